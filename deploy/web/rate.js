// How fast it goes: the model's milliseconds, and frames a second from one result to the next.

const SMOOTHING = 0.8;

export class Rate {
  /** Count a result that took `milliseconds`; returns the text to show. */
  add(milliseconds) {
    const now = performance.now();
    const interval = this.last === undefined ? milliseconds : now - this.last;
    this.last = now;
    this.milliseconds = smooth(this.milliseconds, milliseconds);
    this.interval = smooth(this.interval, interval);
    return `${(1000 / this.interval).toFixed(1)} frames/s · ${this.milliseconds.toFixed(0)} ms`;
  }
}

function smooth(before, now) {
  return before === undefined ? now : SMOOTHING * before + (1 - SMOOTHING) * now;
}
