// The model in a thread of its own: the page stays responsive while it works.

import { openModel } from "./pocketvision.js";

let model;

self.onmessage = async ({ data: { id, device, image } }) => {
  try {
    if (device) model = await openModel({ device });
    self.postMessage({ id, result: image ? await model.predict(image) : model.about });
  } catch (error) {
    self.postMessage({ id, error: String(error.message ?? error) });
  }
};
