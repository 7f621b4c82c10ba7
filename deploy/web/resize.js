// Images of any size -> the model's input, as core/resize.py does it with OpenCV and Pillow: a canvas would
// smooth in its own way, and scores would differ from Python's. What the shipped configs use is the same to
// the bit; bicubic without antialiasing differs by 1 here and there.
//
// A picture is {data, width, height, channels}: rows of interleaved values 0..255. Sizes are [height, width].

import { makeTaps, reduceAcross, reduceDown, roundHalfEven } from "./taps.js";

/** Size of the part of the input that shows an image of `size`. */
export function contentSize(resize, [height, width]) {
  const [inputHeight, inputWidth] = resize.image_size;
  if (resize.mode !== "letterbox") return [inputHeight, inputWidth];
  const scale = Math.min(inputHeight / height, inputWidth / width);
  const fitted = (side) => Math.max(1, roundHalfEven(side * scale));
  return [Math.min(fitted(height), inputHeight), Math.min(fitted(width), inputWidth)];
}

/** The model's images (1, 3, H, W), as flat uint8. */
export function makeInput(resize, picture) {
  const [height, width] = resize.image_size;
  const isCrop = resize.mode === "crop";
  const size = [picture.height, picture.width];
  const target = isCrop ? sizeBeforeCrop(resize, size) : contentSize(resize, size);
  const scaled = interpolate(resize, picture, target);
  const top = isCrop ? roundHalfEven((scaled.height - height) / 2) : 0;
  const left = isCrop ? roundHalfEven((scaled.width - width) / 2) : 0;
  const plane = height * width;
  const input = new Uint8Array(3 * plane).fill(resize.fill);
  for (let y = 0; y < Math.min(height, scaled.height); y++) {
    for (let x = 0; x < Math.min(width, scaled.width); x++) {
      const from = ((y + top) * scaled.width + x + left) * scaled.channels;
      const to = y * width + x;
      for (let color = 0; color < 3; color++) input[color * plane + to] = scaled.data[from + color];
    }
  }
  return input;
}

/** The whole image's size of which the center is cut. */
function sizeBeforeCrop(resize, [height, width]) {
  const whole = (side) => roundHalfEven(side / resize.crop_share);
  const [targetHeight, targetWidth] = resize.image_size.map(whole);
  return targetHeight * width >= targetWidth * height
    ? [targetHeight, Math.floor((targetHeight * width) / height)]
    : [Math.floor((targetWidth * height) / width), targetWidth];
}

function interpolate(resize, picture, [height, width]) {
  if (height === picture.height && width === picture.width) return picture;
  if (resize.interpolation === "nearest") {
    const shift = resize.antialias ? 0.5 : 0; // Pillow takes a pixel's middle, OpenCV its corner
    const places = (from, to) =>
      Array.from({ length: to }, (_, i) => Math.min(from - 1, Math.floor((i + shift) * (from / to))));
    return pick(picture, places(picture.height, height), places(picture.width, width));
  }
  const across = makeTaps(resize, picture.width, width);
  const down = makeTaps(resize, picture.height, height);
  const isUsed = new Uint8Array(picture.height);
  for (const place of down.places) isUsed[place] = 1;
  return reduceDown(reduceAcross(picture, across, isUsed), down);
}

function pick(picture, rows, columns) {
  const { channels } = picture;
  const data = new Uint8Array(rows.length * columns.length * channels);
  let to = 0;
  for (const y of rows) {
    for (const x of columns) {
      const from = (y * picture.width + x) * channels;
      for (let channel = 0; channel < channels; channel++) data[to++] = picture.data[from + channel];
    }
  }
  return { data, width: columns.length, height: rows.length, channels };
}
