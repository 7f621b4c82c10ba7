// A large picture in overlapping tiles, and what is found in them as the picture's: as core/resize.py's Tiling and
// datasets/tiles/merging.py. A window is {top, left, height, width}; sizes are [height, width].

import { roundHalfEven } from "./taps.js";

const EDGE = 0.01; // a box that ends within this share of a tile from its edge may be cut off there
const MOSTLY = 0.7;

/** The tiles of a picture, row by row. */
export function windowsOf({ tile, overlap, adds_whole }, size) {
  const [tops, lefts] = size.map((length, i) => starts(length, tile[i], overlap));
  const [height, width] = size.map((length, i) => Math.min(length, tile[i]));
  const windows = tops.flatMap((top) => lefts.map((left) => ({ top, left, height, width })));
  if (adds_whole && windows.length > 1) windows.push({ top: 0, left: 0, height: size[0], width: size[1] });
  return windows;
}

function starts(length, tile, overlap) {
  if (length <= tile) return [0];
  const steps = Math.ceil((length - tile) / (tile * (1 - overlap)));
  return Array.from({ length: steps + 1 }, (_, i) => roundHalfEven((i * (length - tile)) / steps));
}

/** The part of a picture {data, width, height, channels} that a window shows. */
export function cutOut({ data, width, channels }, window) {
  const row = window.width * channels;
  const part = new Uint8ClampedArray(window.height * row);
  for (let y = 0; y < window.height; y++) {
    const from = ((window.top + y) * width + window.left) * channels;
    part.set(data.subarray(from, from + row), y * row);
  }
  return { data: part, width: window.width, height: window.height, channels };
}

/** Boxes [{box, score, label}] of each window, in its pixels -> those of the picture, best first. */
export function mergeBoxes(parts, windows, size, threshold) {
  const all = parts.flatMap((part, i) => part.map((found) => placed(found, windows[i], size)));
  const rank = (found) => (found.isCut ? found.area : found.score);
  let rest = [...all].sort((one, other) => one.isCut - other.isCut || rank(other) - rank(one));
  const kept = [];
  while (rest.length) {
    const [first, ...others] = rest;
    kept.push(first);
    rest = others.filter((found) => !isSame(first, found, threshold));
  }
  const cut = all.filter(({ isCut }) => isCut);
  return kept
    .filter((found) => !(found.isCut && kept.some((other) => isPartOf(found, other))))
    .map((found) => {
      const views = cut.filter((other) => isSame(found, other, threshold));
      const score = views.reduce((most, view) => Math.max(most, view.score), found.score);
      return { box: found.box, score, label: found.label };
    })
    .sort((one, other) => other.score - one.score);
}

function placed({ box, score, label }, { top, left, height, width }, size) {
  const moved = box.map((side, i) => side + (i % 2 ? top : left));
  const [x, y] = [EDGE * width, EDGE * height];
  const isCut =
    (moved[0] <= left + x && left > 0) ||
    (moved[1] <= top + y && top > 0) ||
    (moved[2] >= left + width - x && left + width < size[1]) ||
    (moved[3] >= top + height - y && top + height < size[0]);
  return { box: moved, score, label, isCut, area: (moved[2] - moved[0]) * (moved[3] - moved[1]) };
}

function shared(one, other) {
  const side = (i) => Math.max(0, Math.min(one[i + 2], other[i + 2]) - Math.max(one[i], other[i]));
  return side(0) * side(1);
}

function isSame(one, other, threshold) {
  const both = shared(one.box, other.box);
  const union = one.area + other.area - both;
  return one.label === other.label && union > 0 && both / union > threshold;
}

function isPartOf(part, whole) {
  return (
    part.label === whole.label && whole.area > part.area && shared(part.box, whole.box) > MOSTLY * part.area
  );
}

/** Label maps {data, width, height} of the windows -> the picture's: each pixel of the tile with the nearest middle. */
export function mergeLabels(parts, windows, [height, width]) {
  const rows = owned(windows.map(({ top, height: length }) => [top, length]));
  const columns = owned(windows.map(({ left, width: length }) => [left, length]));
  const data = new Uint8Array(height * width);
  parts.forEach((part, i) => {
    const { top, left } = windows[i];
    const [begin, end] = columns.get(left);
    for (let y = rows.get(top)[0]; y < rows.get(top)[1]; y++) {
      const from = (y - top) * part.width - left;
      data.set(part.data.subarray(from + begin, from + end), y * width + begin);
    }
  });
  return { data, width, height };
}

/** [start, length] of tiles along a side -> start: begin and end of what is taken of each. */
function owned(pairs) {
  const lengths = new Map(pairs);
  const begins = [...lengths.keys()].sort((one, other) => one - other);
  const border = (i) => Math.floor((begins[i + 1] + begins[i] + lengths.get(begins[i])) / 2);
  const ends = begins.map((start, i) => (i + 1 < begins.length ? border(i) : start + lengths.get(start)));
  return new Map(begins.map((start, i) => [start, [i ? ends[i - 1] : 0, ends[i]]]));
}
