// From the outputs of the model to results in the pixels of the image, as deploy/runtimes/results.py makes them.

import { enlargePlanes, labelMap } from "./labels.js";
import { contentSize } from "./resize.js";

const NUM_CLASSES = 5;

/** Outputs by name -> {boxes}, {labels} or {classes}, or several of them, for an image of `size` [height, width]. */
export function finish(facts, outputs, size) {
  if (facts.parts) return Object.assign({}, ...facts.parts.map((part) => finish(part, outputsOf(part, outputs), size)));
  if (facts.task === "detection") return { boxes: restoreBoxes(facts, outputs, size) };
  if (facts.task === "segmentation") return { labels: restoreLabels(facts, outputs, size) };
  return { classes: bestClasses(facts, outputs) };
}

/** What a graph of several tasks answers for one of them, by the names that it would have alone. */
function outputsOf(part, outputs) {
  return Object.fromEntries(part.outputs.map((name) => [name, outputs[`${part.task}_${name}`]]));
}

/** [{box: [x1, y1, x2, y2], score, label}], best first, clipped to the image. */
function restoreBoxes({ resize }, { boxes, scores, labels, num_detections }, [height, width]) {
  const [contentHeight, contentWidth] = contentSize(resize, [height, width]);
  const limits = [width, height, width, height];
  const factors = [contentWidth / width, contentHeight / height];
  return Array.from({ length: Number(num_detections.data[0]) }, (_, i) => ({
    box: limits.map((limit, side) => clip(boxes.data[4 * i + side] / factors[side % 2], limit)),
    score: scores.data[i],
    label: Number(labels.data[i]),
  }));
}

function clip(value, limit) {
  return Math.min(limit, Math.max(0, value));
}

/** {data, width, height}: the class of every pixel. */
function restoreLabels({ resize, class_names }, { logits }, size) {
  const [height, width] = logits.dims.slice(2);
  const planes = { data: logits.data, height, width };
  const content = contentSize(resize, size);
  const isWhole = content.every((side, i) => side === resize.image_size[i]);
  const named = [...class_names.keys()].filter((label) => class_names[label] !== null);
  return labelMap(isWhole ? planes : enlargePlanes(planes, resize.image_size, content), size, named);
}

/** [{score, label}], best first; classes without a name are none. */
function bestClasses({ class_names }, { class_logits }) {
  const highest = class_logits.data.reduce((most, value) => Math.max(most, value));
  const powers = Array.from(class_logits.data, (value) => Math.exp(value - highest));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers
    .map((power, label) => ({ score: power / sum, label }))
    .filter(({ label }) => class_names[label] !== null)
    .sort((one, other) => other.score - one.score)
    .slice(0, NUM_CLASSES);
}
