// A picture and what was found in it, on the canvas, in pixels of the screen: names stay legible at any size.

import { choosePlace, hides } from "./places.js";

const LARGEST_SCALE = 3;
const FONT = 14;
const LINE = 2;

/** Fit the canvas into a room [width, height] of CSS pixels and draw the image; returns its scale. */
export function drawImage(canvas, image, [roomWidth, roomHeight]) {
  const shown = Math.min(LARGEST_SCALE, roomWidth / image.width, roomHeight / image.height);
  const density = globalThis.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(image.width * shown * density));
  canvas.height = Math.max(1, Math.round(image.height * shown * density));
  canvas.style.width = `${canvas.width / density}px`;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(toCanvas(image), 0, 0, canvas.width, canvas.height);
  return canvas.width / image.width;
}

/** Boxes [{box, score, label}] with their names and scores; in a crowd names are left out, as in core/drawing.py. */
export function drawBoxes(canvas, boxes, facts, scale) {
  const context = canvas.getContext("2d");
  const density = globalThis.devicePixelRatio || 1;
  const rows = boxes.map(({ box }) => box.map((value) => value * scale));
  context.lineWidth = LINE * density;
  rows.forEach(([left, top, right, bottom], i) => {
    context.strokeStyle = css(facts.colors[boxes[i].label]);
    const line = context.lineWidth;
    const [width, height] = [Math.max(0, right - left - line), Math.max(0, bottom - top - line)];
    context.strokeRect(left + line / 2, top + line / 2, width, height);
  });
  context.font = `${FONT * density}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  const height = Math.round(FONT * 1.35 * density);
  const taken = [];
  boxes.forEach(({ score, label }, i) => {
    const text = `${facts.class_names[label] ?? label} ${score.toFixed(2)}`;
    const width = Math.ceil(context.measureText(text).width) + 6 * density;
    const place = choosePlace(rows[i], [width, height], canvas, taken, rows);
    const isFirst = !boxes.slice(0, i).some((other) => other.label === label);
    if (!isFirst && hides(place, taken, rows.filter((_, j) => j !== i))) return;
    taken.push(place);
    context.fillStyle = css(facts.colors[label]);
    context.fillRect(place[0], place[1], width, height);
    context.fillStyle = textColor(facts.colors[label]);
    context.fillText(text, place[0] + 3 * density, place[1] + height / 2);
  });
}

/** A label map over the image; a class called background stays clear. */
export function drawLabels(canvas, labels, facts, opacity) {
  const colored = new ImageData(labels.width, labels.height);
  const pixels = new Uint32Array(colored.data.buffer);
  const isClear = (label) => facts.class_names[label] === "background";
  const table = facts.colors.map((color, label) => pack(color, isClear(label) ? 0 : 255));
  for (let i = 0; i < pixels.length; i++) pixels[i] = table[labels.data[i]];
  const context = canvas.getContext("2d");
  context.globalAlpha = opacity;
  context.imageSmoothingEnabled = false;
  context.drawImage(toCanvas(colored), 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 1;
}

/** Black or white, whichever is read better on `color`. */
export function textColor([red, green, blue]) {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 110 ? "#000" : "#fff";
}

export function css(color) {
  return `rgb(${color.join(" ")})`;
}

function pack([red, green, blue], alpha) {
  return new Uint32Array(new Uint8Array([red, green, blue, alpha]).buffer)[0];
}

function toCanvas(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
