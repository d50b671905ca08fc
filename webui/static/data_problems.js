// The rows that cannot be used: how many and why, each with its file, number and column, and the raw row beside it.

import { ask } from "./data_calls.js";
import { record } from "./data_rows.js";
import { el, setText } from "./dom.js";
import { formatCount, t } from "./text.js";

export class Problems {
  constructor(source) {
    this.source = source;
    this.said = el("p", { className: "td-said", role: "status" });
    this.reasons = el("ul", { className: "td-reasons" });
    this.body = el("tbody");
    const heads = ["file", "row", "column", "reason"].map((name) => el("th", { scope: "col" }, t(`data.head_${name}`)));
    const table = el("table", {}, el("thead", {}, el("tr", {}, ...heads)), this.body);
    this.scroll = el("div", { className: "td-scroll", hidden: true }, table);
    this.beside = el("aside", {
      className: "td-beside",
      "aria-live": "polite",
      "aria-label": t("data.view_rows"),
      tabIndex: 0,
      hidden: true,
    });
    const onkeydown = (event) => event.key === "Escape" && this.#close();
    this.split = el("div", { className: "td-split", onkeydown }, this.scroll, this.beside);
    this.element = el("div", { className: "td-problems" }, this.said, this.reasons, this.split);
  }

  /** What stats or a check have found; both tell it in the same words. */
  show(answer) {
    const problems = answer.problems ?? [];
    const dropped = Object.entries(answer.dropped ?? {}).filter(([, count]) => count > 0);
    const bad = dropped.reduce((sum, [, count]) => sum + count, 0) || problems.length;
    const counts = { count: formatCount(bad), read: formatCount(answer.read ?? 0) };
    setText(this.said, bad ? t("data.bad_rows", counts) : (answer.error ?? t("data.no_problem")));
    this.element.classList.toggle("good", !bad && !answer.error);
    this.reasons.replaceChildren(...dropped.map(([reason, count]) => el("li", {}, el("b", {}, formatCount(count)), reason)));
    this.scroll.hidden = !problems.length;
    this.beside.hidden = true;
    this.body.replaceChildren(...problems.map((problem) => this.#line(problem)));
    return bad;
  }

  waiting() {
    setText(this.said, t("data.measuring"));
  }

  clear() {
    this.body.replaceChildren();
    this.reasons.replaceChildren();
    this.scroll.hidden = true;
    this.beside.hidden = true;
    setText(this.said, "");
  }

  #line(problem) {
    const { file, row, column, reason } = problem;
    const open = el(
      "button",
      { type: "button", className: "td-link", onclick: () => this.#open(problem, line) },
      row ? formatCount(row) : "–",
    );
    const cells = [file ?? "", open, column ?? "", reason].map((content) => el("td", {}, content));
    const line = el("tr", { onclick: (event) => event.target.closest("button") || this.#open(problem, line) }, ...cells);
    return line;
  }

  #close() {
    const line = this.body.querySelector(".selected");
    line?.classList.remove("selected");
    if (this.beside.contains(document.activeElement)) line?.querySelector("button").focus();
    this.beside.hidden = true;
  }

  async #open({ file, row, reason }, line) {
    for (const other of this.body.children) other.classList.toggle("selected", other === line);
    if (!row) return;
    this.beside.replaceChildren(el("p", {}, t("data.reading")));
    this.beside.hidden = false;
    const answer = await ask("raw", { ...this.source(), file, number: row });
    // Another was opened meanwhile, or this one closed, or another dataset is shown.
    if (!line.classList.contains("selected") || !this.body.contains(line)) return;
    const found = answer.rows?.[0];
    const title = el("h4", {}, t("data.row", { number: formatCount(row) }), el("small", {}, file));
    const content = found ? record(found) : el("p", {}, answer.error ?? t("data.no_row"));
    this.beside.replaceChildren(title, el("p", { className: "td-reason" }, reason), content);
    if (matchMedia("(max-width: 900px)").matches) this.beside.scrollIntoView({ block: "nearest" });
  }
}
