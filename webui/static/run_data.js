// What became of the rows of a run: one line under the head of the run view, the reasons and places on demand.

import { el } from "./dom.js";
import { ServerError, call } from "./server.js";
import { formatCount, t } from "./text.js";

export class RunData {
  constructor() {
    this.element = el("details", { className: "run-data", hidden: true });
    this.key = "";
  }

  /** Read it once the run has come past its data, and once more when it has ended. `job` null: nothing is shown. */
  async follow(job, measured) {
    const ready = job?.command === "train" && (measured || job.ended);
    const key = ready ? `${job.id} ${job.attempt} ${Boolean(job.ended)}` : "";
    if (key === this.key) return;
    this.key = key;
    if (!key) this.element.hidden = true;
    if (!key) return;
    let report = {};
    try {
      report = await call(`jobs/${job.id}/data`);
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.key = ""; // the studio is away: asked again with the next look
      return;
    }
    if (key === this.key) this.#draw(report);
  }

  #draw(report) {
    const datasets = [...(report.datasets ?? []), ...(report.eval_datasets ?? [])];
    this.element.hidden = !datasets.some((one) => one.read);
    const dropped = datasets.reduce((sum, one) => sum + count(one), 0);
    this.element.classList.toggle("warn", dropped > 0);
    const facts = summary(report, dropped);
    this.element.replaceChildren(el("summary", {}, el("b", {}, t("run.data")), facts.join(" · ")), ...datasets.map(lines));
    for (const note of report.notes ?? []) this.element.append(el("p", {}, note));
  }
}

function count(dataset) {
  return Object.values(dataset.dropped ?? {}).reduce((sum, rows) => sum + rows, 0);
}

function percent(share) {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

function summary({ datasets, labelled_share, packing_fill }, dropped) {
  const sum = (name) => (datasets ?? []).reduce((total, one) => total + (one[name] ?? 0), 0);
  const found = [t("run.data_used", { used: formatCount(sum("used")), read: formatCount(sum("read")) })];
  if (dropped) found.push(t("run.data_dropped", { count: formatCount(dropped) }));
  if (sum("truncated")) found.push(t("run.data_cut", { count: formatCount(sum("truncated")) }));
  if (labelled_share) found.push(t("run.data_learnt", { share: percent(labelled_share) }));
  if (packing_fill) found.push(t("run.data_fill", { share: percent(packing_fill) }));
  return found;
}

/** One dataset: its count, then its first bad rows word for word. */
function lines(dataset) {
  const used = t("run.data_used", { used: formatCount(dataset.used), read: formatCount(dataset.read) });
  const problems = (dataset.problems ?? []).map(({ file, row, column, reason }) => {
    const place = [file, t("data.row", { number: formatCount(row) }), column].filter(Boolean).join(", ");
    return el("li", {}, `${place}: ${reason}`);
  });
  return el("div", {}, el("p", {}, `${dataset.name}: ${used}`), el("ul", {}, ...problems));
}
