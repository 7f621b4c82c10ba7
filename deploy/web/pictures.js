// Where pixels come from: files and the camera, as Python reads them (datasets/images): upright by EXIF,
// transparency over white, no color management.

import { webpOrientation } from "./orientation.js";

/** An address, a file or blob, or what a canvas can draw (img, video, canvas, bitmap) -> ImageData. */
export async function readPicture(source) {
  if (typeof source === "string") return readPicture(await fetchPicture(source));
  if (typeof source.arrayBuffer === "function") return readFile(source);
  if (source.data) return source; // an ImageData
  await source.decode?.(); // an <img> that may still load
  const width = source.videoWidth ?? source.naturalWidth ?? source.width;
  return readPixels(source, width, source.videoHeight ?? source.naturalHeight ?? source.height);
}

async function fetchPicture(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address} can't be fetched (${answer.status}): check the address.`);
  return answer.blob();
}

async function readFile(file) {
  // Browsers differ in whether they turn WebP pictures: those are taken as stored, and turned here.
  const orientation = await webpOrientation(file);
  const imageOrientation = orientation === 1 ? "from-image" : "none";
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", imageOrientation, premultiplyAlpha: "none" });
  } catch {
    throw new Error(`${file.name ?? "This"} can't be read as a picture: choose a JPEG, PNG or WebP file.`);
  }
  const pixels = readPixels(bitmap, bitmap.width, bitmap.height, orientation);
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

function readPixels(source, width, height, orientation = 1) {
  const isSideways = orientation >= 5;
  const size = isSideways ? [height, width] : [width, height];
  const context = new OffscreenCanvas(...size).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, ...size);
  context.setTransform(...turning(orientation, ...size));
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, ...size);
}

/** The canvas transform that turns a stored picture upright, which then has `width` and `height`. */
function turning(orientation, width, height) {
  return [
    [1, 0, 0, 1, 0, 0],
    [-1, 0, 0, 1, width, 0],
    [-1, 0, 0, -1, width, height],
    [1, 0, 0, -1, 0, height],
    [0, 1, 1, 0, 0, 0],
    [0, 1, -1, 0, width, 0],
    [0, -1, -1, 0, width, height],
    [0, -1, 1, 0, 0, height],
  ][orientation - 1];
}
