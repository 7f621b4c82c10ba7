// How what each task says is shown: a slider, and where there are several tasks a switch.

const SLIDERS = {
  detection: { name: "Threshold", value: 0.5 },
  segmentation: { name: "Opacity", value: 0.5 },
};
const RESULTS = { detection: "boxes", segmentation: "labels", classification: "classes" };
const SHOWN = { detection: "Boxes", segmentation: "Map", classification: "Classes" };

/** The settings of one task, whose controls are put into `room`; `changed` is called when one is moved. */
export class Setting {
  #slider;
  #output;
  #box;

  constructor(facts, room, changed, { isOneOfSeveral }) {
    this.facts = facts;
    const moved = () => {
      this.#tell();
      changed();
    };
    const label = make(room, "label", { className: "setting" });
    if (isOneOfSeveral) {
      this.#box = make(label, "input", { type: "checkbox", checked: true, name: facts.task });
      label.append(SHOWN[facts.task]);
      this.#box.addEventListener("input", moved);
    }
    const slider = SLIDERS[facts.task];
    if (!slider) return;
    const place = isOneOfSeveral ? make(room, "label", { className: "setting" }) : label;
    place.append(slider.name);
    const value = facts.threshold ?? slider.value;
    this.#slider = make(place, "input", { type: "range", min: 0, max: 1, step: 0.01, value });
    this.#slider.addEventListener("input", moved);
    this.#output = make(place, "output", {});
    this.#tell();
  }

  #tell() {
    if (this.#output) this.#output.textContent = this.value.toFixed(2);
  }

  /** Where the slider stands. */
  get value() {
    return Number(this.#slider?.value);
  }

  /** What this task says of a whole result, {boxes}, {labels} or {classes}; nothing where it is switched off. */
  of(result) {
    const name = RESULTS[this.facts.task];
    if (this.#box && !this.#box.checked) return {};
    const found = result[name];
    return { [name]: name === "boxes" ? found.filter(({ score }) => score > this.value) : found };
  }
}

function make(parent, kind, properties) {
  const made = Object.assign(document.createElement(kind), properties);
  parent.append(made);
  return made;
}
