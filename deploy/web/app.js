// The page: pictures and camera frames go to the worker, its results onto the canvas.

import { drawBoxes, drawImage, drawLabels } from "./draw.js";
import { keepPage, offerInstall } from "./install.js";
import { openCamera, readPicture } from "./pocketvision.js";
import { Rate } from "./rate.js";
import { Setting } from "./settings.js";
import { summarize, summarizeModel } from "./summary.js";

const element = (id) => document.getElementById(id);
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let facts;
let settings = []; // of each task
let shown; // {image, result} on the canvas
let camera;
let count = 0;

worker.onmessage = ({ data: { id, result, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error) reject(new Error(error));
  else resolve(result);
};

worker.onerror = () =>
  say("The worker can't be started: copy the whole folder, and use a browser of 2023 or later.", true);

function ask(message) {
  const id = count++;
  worker.postMessage({ id, ...message });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

function say(text, isError = false) {
  element("status").textContent = text;
  element("status").classList.toggle("error", isError);
}

/** Run `work`; what goes wrong in it is told on the page. */
async function telling(work) {
  try {
    await work();
  } catch (error) {
    say(error.message, true);
  }
}

async function start() {
  const answer = await fetch("model.json");
  if (!answer.ok) throw new Error(`model.json can't be fetched (${answer.status}): copy the whole folder.`);
  facts = await answer.json();
  element("about").textContent = summarizeModel(facts);
  const parts = facts.parts ?? [facts];
  const isOneOfSeveral = parts.length > 1;
  settings = parts.map((part) => new Setting(part, element("settings"), redraw, { isOneOfSeveral }));
  say("Fetching and starting the model ...");
  const device = new URLSearchParams(location.search).get("device") ?? "auto";
  const engine = await ask({ device });
  element("about").textContent = summarizeModel(facts, engine);
  element("file").disabled = element("camera").disabled = false;
  say("Drop a picture here, choose or paste one, or turn on the camera.");
  await keepPage(engine.files, () => (element("kept").hidden = false));
}

async function showFile(file) {
  if (!facts || !file) return;
  stopCamera();
  say(`Looking at ${file.name} ...`);
  const image = await readPicture(file);
  const result = await ask({ image });
  show(image, result);
  element("rate").textContent = new Rate().add(result.milliseconds);
  say(`${file.name}, ${image.width} x ${image.height}`);
}

async function toggleCamera() {
  if (camera) return stopCamera();
  const own = (camera = await openCamera());
  element("camera").textContent = "Stop";
  say("Camera");
  const rate = new Rate();
  try {
    while (camera === own) {
      const image = own.next();
      const result = await ask({ image });
      if (camera !== own) break;
      show(image, result);
      element("rate").textContent = rate.add(result.milliseconds);
      await new Promise(requestAnimationFrame);
    }
  } finally {
    if (camera === own) stopCamera();
  }
}

function stopCamera() {
  camera?.stop();
  camera = undefined;
  element("camera").textContent = "Camera";
}

function show(image, result) {
  shown = { image, result };
  redraw();
}

function redraw() {
  if (!shown) return;
  const { image, result } = shown;
  const canvas = element("canvas");
  canvas.hidden = false;
  const stage = element("stage");
  const scale = drawImage(canvas, image, [stage.clientWidth, Math.max(240, innerHeight * 0.75)]);
  const views = settings.map((setting) => ({ ...setting.of(result), facts: setting.facts, value: setting.value }));
  for (const { labels, facts, value } of views) if (labels) drawLabels(canvas, labels, facts, value);
  for (const { boxes, facts } of views) if (boxes) drawBoxes(canvas, boxes, facts, scale);
  element("found").replaceChildren(...views.flatMap((view) => summarize(view, view.facts)));
}

element("file").onchange = ({ target }) => telling(() => showFile(target.files[0]));
element("camera").onclick = () => telling(toggleCamera);
addEventListener("resize", redraw);
addEventListener("paste", ({ clipboardData }) => telling(() => showFile(clipboardData.files[0])));
addEventListener("dragover", (event) => {
  event.preventDefault();
  element("stage").classList.add("over");
});
addEventListener("dragleave", () => element("stage").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  element("stage").classList.remove("over");
  telling(() => showFile(event.dataTransfer.files[0]));
});
offerInstall(element("install"));
telling(start);
