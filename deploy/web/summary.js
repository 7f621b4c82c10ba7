// The model in a line, and what was found, as a list below the picture: it is the legend of the masks, too.

import { css } from "./draw.js";

const DEVICES = { webgpu: "WebGPU", wasm: "WebAssembly" };

/** What the model is for and, once it runs, how: `engine` is its `about`. */
export function summarizeModel(facts, engine) {
  const [height, width] = facts.resize.image_size;
  const names = facts.class_names.filter((name) => name !== null);
  const tasks = (facts.parts ?? [facts]).map(({ task }) => task).join(" and ");
  const parts = [`${tasks}, ${names.length === 1 ? names[0] : `${names.length} classes`}, ${width} x ${height}`];
  if (engine) {
    const threads = engine.device === "wasm" && engine.threads > 1 ? ` in ${engine.threads} threads` : "";
    parts.push(`${(engine.bytes / 1e6).toFixed(1)}\u00a0MB${facts.int8 ? " in int8" : ""}`);
    parts.push(`${DEVICES[engine.device]}${threads}`, `warm-up ${engine.warmup.toFixed(0)} ms`);
  }
  if (facts.licence) parts.push(`weights: ${facts.licence}`);
  return parts.join(" · ");
}

/** List items for what one task says: counts of boxes, shares of masks, or scores of classes. */
export function summarize({ boxes, labels, classes }, facts) {
  if (classes) return classes.map(({ score, label }) => item(facts, label, score.toFixed(3)));
  const counts = new Array(facts.class_names.length).fill(0);
  if (!boxes && !labels) return [];
  if (boxes) for (const { label } of boxes) counts[label]++;
  else for (const label of labels.data) counts[label]++;
  const rows = [...counts.entries()].filter(([, number]) => number > 0);
  rows.sort((one, other) => other[1] - one[1]);
  if (!rows.length) return [text("Nothing above the threshold")];
  return rows.map(([label, number]) =>
    item(facts, label, boxes ? `${number}` : `${((100 * number) / labels.data.length).toFixed(1)} %`),
  );
}

function item(facts, label, value) {
  const row = text(`${facts.class_names[label] ?? label} ${value}`);
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  swatch.style.background = css(facts.colors[label]);
  row.prepend(swatch);
  return row;
}

function text(content) {
  const row = document.createElement("li");
  row.textContent = content;
  return row;
}
