// The model in a thread of its own: the page stays responsive while it works.

import { openModel } from "./model.js";

let model;

self.onmessage = async ({ data: { id, facts, image } }) => {
  try {
    if (facts) model = await openModel(facts);
    self.postMessage({ id, result: image ? await model.predict(image) : {} });
  } catch (error) {
    self.postMessage({ id, error: String(error.message ?? error) });
  }
};
