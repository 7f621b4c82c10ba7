// EXIF's orientation of WebP files, which not every browser looks at.

const TAG = 0x0112;
const SHORT = 3;

/** 1 to 8; 1 for other formats, and where nothing is said. */
export async function webpOrientation(file) {
  const head = new DataView(await file.slice(0, 12).arrayBuffer());
  if (head.byteLength < 12 || text(head, 0) !== "RIFF" || text(head, 8) !== "WEBP") return 1;
  const view = new DataView(await file.arrayBuffer());
  for (let place = 12; place + 8 <= view.byteLength; ) {
    const length = view.getUint32(place + 4, true);
    if (text(view, place) === "EXIF" && place + 8 + length <= view.byteLength) {
      return orientationOf(new DataView(view.buffer, place + 8, length));
    }
    place += 8 + length + (length % 2);
  }
  return 1;
}

function text(view, place) {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(place + i)));
}

function orientationOf(exif) {
  try {
    const start = text(exif, 0) === "Exif" ? 6 : 0;
    const isLittle = exif.getUint16(start) === 0x4949;
    const table = start + exif.getUint32(start + 4, isLittle);
    for (let row = 0; row < exif.getUint16(table, isLittle); row++) {
      const entry = table + 2 + 12 * row;
      if (exif.getUint16(entry, isLittle) !== TAG) continue;
      const value = exif.getUint16(entry + 8, isLittle);
      return exif.getUint16(entry + 2, isLittle) === SHORT && value >= 1 && value <= 8 ? value : 1;
    }
  } catch {
    // Broken EXIF is as good as none.
  }
  return 1;
}
