// What a run has measured, as the page needs it: a series per name, the latest values, the phase. No drawing.

export const TILES = [
  { key: "loss", label: "run.loss", format: (v) => v.toFixed(4), pair: "eval_loss" },
  { key: "lr", label: "run.lr", format: (v) => (v === 0 ? "0" : v.toExponential(2)), exact: true },
  { key: "grad_norm", label: "run.grad_norm", format: (v) => (v >= 1000 ? v.toExponential(2) : v.toFixed(4)) },
  { key: "throughput", label: "run.throughput", format: (v) => Math.round(v).toLocaleString("en") },
];

const NAMES = ["loss", "eval_loss", "lr", "grad_norm", "throughput"];

export class Metrics {
  constructor() {
    this.steps = null; // [done, planned] of the training
    this.series = Object.fromEntries(NAMES.map((name) => [name, { x: [], y: [] }]));
  }

  /** Take new lines of the metric log, in order. */
  add(events) {
    for (const event of events) {
      if ("resumed_from" in event) this.#cutAfter(event.resumed_from);
      if (typeof event.current_steps !== "number") continue;
      if (event.total_steps > 1) this.steps = [event.current_steps, event.total_steps];
      for (const name of NAMES) {
        if (name in event) this.#append(this.series[name], event.current_steps, event[name]);
      }
    }
  }

  latest(name) {
    const { y } = this.series[name];
    return y.length ? y[y.length - 1] : null;
  }

  get empty() {
    return NAMES.every((name) => !this.series[name].x.length);
  }

  #append(series, step, value) {
    const last = series.x.length - 1;
    if (last >= 0 && series.x[last] > step) return; // steps only grow; a resume has said so before
    if (last >= 0 && series.x[last] === step) {
      series.y[last] = value;
      return;
    }
    series.x.push(step);
    series.y.push(value);
  }

  /** A resumed run goes on from `step`: what an earlier attempt measured after it is not part of this run. */
  #cutAfter(step) {
    for (const { x, y } of Object.values(this.series)) {
      while (x.length && x[x.length - 1] > step) {
        x.pop();
        y.pop();
      }
    }
  }
}
