// The model on onnxruntime-web: on the graphics card by WebGPU, or in WebAssembly. All files lie beside this one.

import { readPicture } from "./pictures.js";
import { makeInput } from "./resize.js";
import { finish } from "./results.js";
import { cutOut, mergeBoxes, mergeLabels, windowsOf } from "./tiles.js";

const MOST_THREADS = 4;
const RUNTIMES = {
  webgpu: { script: "ort.webgpu.bundle.min.mjs", binary: "ort-wasm-simd-threaded.asyncify.wasm" },
  wasm: { script: "ort.wasm.bundle.min.mjs", binary: "ort-wasm-simd-threaded.wasm" },
};

/**
 * Fetch the model beside this file, start it, and run it once on a blank image.
 *
 * `device`: "webgpu", "wasm", or "auto": WebGPU where the browser has a graphics card for it and the model is
 * not int8, else WebAssembly.
 */
export async function openModel({ device = "auto" } = {}) {
  const facts = await (await fetchBeside("model.json")).json();
  const bytes = new Uint8Array(await (await fetchBeside("model.onnx")).arrayBuffer());
  if (device === "auto") {
    try {
      if (facts.devices.includes("webgpu") && (await hasGraphicsCard())) return await start("webgpu", facts, bytes);
    } catch (error) {
      console.warn(`WebGPU failed, WebAssembly is used: ${error.message}`);
    }
    return start("wasm", facts, bytes);
  }
  if (!facts.devices.includes(device)) {
    throw new Error(`This model can't run on "${device}": choose from ${facts.devices.join(", ")}, auto.`);
  }
  return start(device, facts, bytes);
}

/** A browser may offer WebGPU in software, which is slower than WebAssembly. */
async function hasGraphicsCard() {
  const adapter = await navigator.gpu?.requestAdapter();
  return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

async function start(device, facts, bytes) {
  const { script, binary } = RUNTIMES[device];
  const ort = await import(new URL(script, import.meta.url).href);
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = { wasm: new URL(binary, import.meta.url).href };
  // Threads need memory that they share, which browsers give only to pages served with two extra headers.
  const most = globalThis.crossOriginIsolated ? MOST_THREADS : 1;
  ort.env.wasm.numThreads = Math.min(most, navigator.hardwareConcurrency);
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: device === "wasm" ? ["wasm"] : [device, "wasm"],
    graphOptimizationLevel: "all",
  });
  const about = { device, threads: ort.env.wasm.numThreads, bytes: bytes.length, files: [script, binary] };
  const model = new Model(ort, session, facts, about);
  const [height, width] = facts.resize.image_size;
  about.warmup = (await model.predict(new ImageData(width, height))).milliseconds;
  return model;
}

async function fetchBeside(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name} can't be fetched (${answer.status}): copy the whole folder.`);
  return answer;
}

/**
 * What `openModel` gives. `facts` is the content of model.json: class_names, colors, threshold and so on; a model of
 * several tasks has those of each as `facts.parts`, and `predict` says what all of them say from one run.
 * `about`: {device, threads, bytes, warmup, files}, the last being those of onnxruntime-web that are used.
 */
class Model {
  #ort;
  #session;
  #last = Promise.resolve();

  constructor(ort, session, facts, about) {
    this.#ort = ort;
    this.#session = session;
    this.facts = facts;
    this.about = about;
  }

  /** Boxes in a picture (see `readPicture`): [{box: [x1, y1, x2, y2], score, label, name}], best first. */
  async detect(source, { threshold } = {}) {
    const facts = this.#part("detection", "detect");
    const least = threshold ?? facts.threshold ?? 0.5;
    const { boxes } = await this.predict(await readPicture(source));
    return boxes.filter(({ score }) => score > least).map((found) => named(found, facts));
  }

  /** The class of every pixel of a picture, row by row: {data, width, height}, with numbers as in `facts`. */
  async segment(source) {
    this.#part("segmentation", "segment");
    return (await this.predict(await readPicture(source))).labels;
  }

  /** The five best classes of a picture: [{score, label, name}]. */
  async classify(source) {
    const facts = this.#part("classification", "classify");
    return (await this.predict(await readPicture(source))).classes.map((found) => named(found, facts));
  }

  /** An ImageData -> {boxes}, {labels} or {classes}, of several tasks all that they say, and the milliseconds from its pixels to there. */
  async predict(image) {
    // A session answers one call at a time.
    const mine = this.#last.then(() => this.#run(image));
    this.#last = mine.catch(() => {});
    return mine;
  }

  async #run(image) {
    const begin = performance.now();
    const picture = { data: image.data, width: image.width, height: image.height, channels: 4 };
    const result = this.facts.resize.tiling ? await this.#runTiles(picture) : await this.#runWhole(picture);
    return { ...result, milliseconds: performance.now() - begin };
  }

  async #runWhole(picture) {
    const input = makeInput(this.facts.resize, picture);
    const images = new this.#ort.Tensor("uint8", input, [1, 3, ...this.facts.resize.image_size]);
    const outputs = await this.#session.run({ images });
    const result = finish(this.facts, outputs, [picture.height, picture.width]);
    for (const tensor of [images, ...Object.values(outputs)]) tensor.dispose();
    return result;
  }

  /** A picture as the model was trained to see it: tile by tile. */
  async #runTiles(picture) {
    const size = [picture.height, picture.width];
    const windows = windowsOf(this.facts.resize.tiling, size);
    const parts = [];
    for (const window of windows) parts.push(await this.#runWhole(cutOut(picture, window)));
    if (this.facts.task === "segmentation") {
      return { labels: mergeLabels(parts.map(({ labels }) => labels), windows, size) };
    }
    const found = parts.map(({ boxes }) => boxes);
    return { boxes: mergeBoxes(found, windows, size, this.facts.iou_threshold) };
  }

  /** What is known of a task. */
  #part(task, method) {
    const parts = this.facts.parts ?? [this.facts];
    const own = parts.find((part) => part.task === task);
    if (own) return own;
    throw new Error(`${method}() is for ${task}: this model is for ${parts.map((part) => part.task).join(" and ")}.`);
  }
}

function named(found, { class_names }) {
  return { ...found, name: class_names[found.label] };
}
