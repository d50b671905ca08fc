// How long the rows are: a histogram with the cutoff line, and the figures that decide max length and packing.

import { Latest } from "./data_calls.js";
import { button } from "./data_fields.js";
import { el, setText } from "./dom.js";
import { formatCount, t } from "./text.js";
import { rowsCount } from "./data_facts.js";

const SAMPLE = 2000;
const PROBLEMS = 200;

export class Lengths {
  /** `onStats(answer)`: the problems that were found on the way have a view of their own. */
  constructor(question, { onError = () => {}, onStats = () => {} } = {}) {
    this.question = question;
    this.onError = onError;
    this.onStats = onStats;
    this.whole = false;
    this.error = el("div", { className: "note bad", role: "alert", hidden: true });
    this.said = el("p", { className: "td-said", role: "status" });
    this.all = button(t("data.measure_all"), () => this.#measureAll(), { hidden: true });
    this.chart = el("div", { className: "td-chart" });
    this.figures = el("dl", { className: "ts-figures" });
    const bar = el("div", { className: "td-bar" }, this.said, this.all);
    this.element = el("div", { className: "td-lengths" }, bar, this.error, this.chart, this.figures);
    this.latest = new Latest(
      "stats",
      (answer, asked) => this.#draw(answer, asked),
      (busy) => this.element.classList.toggle("busy", busy),
    );
  }

  refresh() {
    const question = this.question();
    if (!question) return;
    setText(this.said, t("data.measuring"));
    this.latest.ask({ ...question, show: PROBLEMS, sample: this.whole ? null : SAMPLE });
  }

  clear() {
    this.latest.drop();
    this.whole = false;
    this.chart.replaceChildren();
    this.figures.replaceChildren();
    this.error.hidden = true;
    setText(this.said, "");
  }

  #measureAll() {
    this.whole = true;
    this.refresh();
  }

  #draw(answer, asked) {
    this.element.setAttribute("data-state", answer.error ? "error" : "ready");
    this.error.hidden = !answer.error || Boolean(this.onError(answer.error ? answer : null));
    this.onStats(answer);
    if (answer.error) {
      setText(this.said, "");
      this.error.replaceChildren(el("p", {}, answer.error));
      return;
    }
    const cutoff = answer.cutoff_len ?? asked.cutoff_len;
    const part = Boolean(answer.sample) && answer.of !== answer.read;
    this.all.hidden = !part;
    const values = { read: formatCount(answer.read), used: formatCount(answer.used) };
    setText(this.said, t(part ? "data.measured_part" : "data.measured", values));
    this.chart.replaceChildren(histogram(answer.histogram ?? [], cutoff));
    this.figures.replaceChildren(...figures(answer, cutoff));
  }
}

/**
 * Bars of plain elements: one stop of the keyboard, arrow keys from bar to bar, each with its words. `bins`: {from, to,
 * rows}, both ends included.
 */
function histogram(bins, cutoff) {
  const most = Math.max(1, ...bins.map((bin) => bin.rows));
  const to = bins.at(-1)?.to ?? 1;
  const words = (bin) =>
    t("data.bin", { from: formatCount(bin.from), to: formatCount(bin.to), rows: formatCount(bin.rows) });
  const said = el("output", { className: "td-info" }, t("data.bins_hint"));
  const bars = bins.map((bin) => {
    const fill = el("span", { className: "fill" });
    fill.style.height = bin.rows ? `max(2px, ${(100 * bin.rows) / most}%)` : "0";
    const bar = el(
      "span",
      { className: bin.from > cutoff ? "bin over" : "bin", role: "listitem", "aria-label": words(bin), title: words(bin) },
      fill,
    );
    bar.style.left = `${(100 * (bin.from - 1)) / to}%`;
    bar.style.width = `${(100 * (bin.to - bin.from + 1)) / to}%`;
    bar.addEventListener("pointerenter", () => setText(said, words(bin)));
    return bar;
  });
  const plot = el("div", { className: "plot", role: "list", tabIndex: 0, "aria-label": t("data.histogram") }, ...bars);
  let at = -1;
  plot.addEventListener("keydown", (event) => {
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: bars.length - 1 }[event.key];
    if (next === undefined || !bars[next]) return;
    bars[at]?.classList.remove("at");
    at = next;
    bars[at].classList.add("at");
    setText(said, words(bins[at]));
    event.preventDefault();
  });
  if (bins.length) {
    const share = Math.min(1, cutoff / to);
    const words = t("data.cutoff_line", { cutoff: formatCount(cutoff) });
    const line = el(
      "span",
      { className: share > 0.85 ? "cutoff left" : "cutoff" },
      el("b", {}, cutoff > to ? `${words} →` : words),
    );
    line.style.left = `${100 * share}%`;
    plot.append(line);
  }
  const axis = el("div", { className: "axis", "aria-hidden": "true" });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) axis.append(el("span", {}, formatCount(share * to)));
  const top = el("span", { className: "most", "aria-hidden": "true" }, rowsCount(most));
  return el("figure", { className: "td-histogram" }, top, plot, axis, said);
}

function figures(answer, cutoff) {
  const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
  const percentiles = answer.percentiles ?? {};
  const found = [
    ["data.figure_rows", formatCount(answer.used)],
    ["data.figure_tokens", formatCount(answer.tokens ?? 0)],
    ["data.figure_learnt", percent(answer.learnt_share ?? 0)],
    ["data.figure_over", formatCount(answer.over_cutoff ?? 0), { cutoff: formatCount(cutoff) }, answer.over_cutoff > 0],
    ...["50", "90", "95", "99", "max"].map((key) => [`data.figure_p${key}`, formatCount(percentiles[key] ?? 0)]),
  ];
  if (answer.packing) {
    found.push(
      ["data.figure_packed", formatCount(answer.packed_rows)],
      ["data.figure_fill", percent(answer.packing_fill ?? 0)],
    );
  }
  return found.map(([key, value, values = {}, warn = false]) =>
    el("div", { className: warn ? "warn" : "" }, el("dt", {}, t(key, values)), el("dd", {}, value)),
  );
}
