// The model on onnxruntime-web's WebAssembly backend. All of its files lie beside this one.

import * as ort from "./ort.wasm.bundle.min.mjs";
import { makeInput } from "./resize.js";
import { finish } from "./results.js";

const MOST_THREADS = 4;

/** Fetch and start the model; `facts` is the content of model.json. */
export async function openModel(facts) {
  ort.env.wasm.wasmPaths = { wasm: new URL("./ort-wasm-simd-threaded.wasm", import.meta.url).href };
  // Threads need memory that they share, which browsers give only to pages served with two extra headers.
  const most = globalThis.crossOriginIsolated ? MOST_THREADS : 1;
  ort.env.wasm.numThreads = Math.min(most, navigator.hardwareConcurrency);
  const answer = await fetch(new URL("./model.onnx", import.meta.url));
  if (!answer.ok) throw new Error(`model.onnx can't be fetched (${answer.status}): copy the whole folder`);
  const session = await ort.InferenceSession.create(new Uint8Array(await answer.arrayBuffer()), {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "all",
  });
  return new Model(session, facts);
}

class Model {
  constructor(session, facts) {
    this.session = session;
    this.facts = facts;
  }

  /** An ImageData -> its result, and the milliseconds that resizing, the model and the rest took. */
  async predict(image) {
    const start = performance.now();
    const picture = { data: image.data, width: image.width, height: image.height, channels: 4 };
    const input = makeInput(this.facts.resize, picture);
    const images = new ort.Tensor("uint8", input, [1, 3, ...this.facts.resize.image_size]);
    const outputs = await this.session.run({ images });
    const result = finish(this.facts, outputs, [image.height, image.width]);
    for (const tensor of [images, ...Object.values(outputs)]) tensor.dispose();
    return { ...result, milliseconds: performance.now() - start };
  }
}
