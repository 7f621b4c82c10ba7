// Where pixels come from: files and the camera, as Python reads them.

/** A file or blob -> ImageData, upright, without colour management, as OpenCV reads it. */
export async function readPicture(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", imageOrientation: "from-image" });
  } catch {
    throw new Error(`${file.name ?? "This"} can't be read as a picture: choose a JPEG, PNG or WebP file.`);
  }
  const pixels = readPixels(bitmap, bitmap.width, bitmap.height);
  bitmap.close();
  return pixels;
}

/** The camera's frames: {next(), stop()}; next() gives ImageData. */
export async function openCamera() {
  if (!navigator.mediaDevices) {
    throw new Error("Browsers give cameras only to pages from https:// or localhost: serve the folder so.");
  }
  const video = document.createElement("video");
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    throw new Error(`The camera can't be used (${error.message}): connect one, and allow this page its use.`);
  }
  video.muted = video.playsInline = true;
  await video.play();
  return {
    next: () => readPixels(video, video.videoWidth, video.videoHeight),
    stop: () => video.srcObject.getTracks().forEach((track) => track.stop()),
  };
}

function readPixels(source, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height);
}
