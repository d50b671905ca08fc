// The rows of a dataset as they stand in its files: paged, searched, long cells folded.

import { Latest } from "./data_calls.js";
import { button, inPlace, pagerEnds, searchField } from "./data_fields.js";
import { el, setText } from "./dom.js";
import { formatCount, t } from "./text.js";

const ROWS = 20;
const FOLDED_LETTERS = 280;
const FOLDED_LINES = 5;
const SEARCH_DELAY_MS = 200;

export class RawRows {
  constructor(question) {
    this.question = question;
    this.start = 0;
    this.text = "";
    this.head = el("tr");
    this.body = el("tbody");
    this.error = el("div", { className: "note bad", role: "alert", hidden: true });
    this.nothing = inPlace("");
    this.where = el("span", { className: "td-where", role: "status" });
    this.back = button(t("data.back"), () => this.#page(-1));
    this.forth = button(t("data.forth"), () => this.#page(1));
    this.search = searchField(t("data.search_rows"), (words) => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        this.text = words;
        this.refresh({ fromStart: true });
      }, SEARCH_DELAY_MS);
    });
    const pager = el("span", { className: "td-pager" }, this.back, this.where, this.forth);
    const table = el("table", {}, el("thead", {}, this.head), this.body);
    this.scroll = el(
      "div",
      { className: "td-scroll", tabIndex: 0, role: "region", "aria-label": t("data.view_rows") },
      table,
    );
    this.element = el(
      "div",
      { className: "td-raw" },
      el("div", { className: "td-bar" }, this.search, pager),
      this.error,
      this.nothing,
      this.scroll,
    );
    this.latest = new Latest(
      "raw",
      (answer) => this.#draw(answer),
      (busy) => this.element.classList.toggle("busy", busy),
    );
  }

  refresh({ fromStart = false } = {}) {
    if (fromStart) this.start = 0;
    if (!this.body.children.length) this.#say(t("data.reading"));
    this.latest.ask({ ...this.question(), start: this.start, count: ROWS, search: this.text });
  }

  clear() {
    this.latest.drop();
    clearTimeout(this.timer);
    this.start = 0;
    this.text = "";
    this.search.value = "";
    this.body.replaceChildren();
  }

  /** A word in place of the rows; "" shows them. */
  #say(words) {
    setText(this.nothing, words);
    this.scroll.hidden = Boolean(words);
  }

  #page(step) {
    this.start = Math.max(0, this.start + step * ROWS);
    this.scroll.scrollTop = 0;
    this.refresh();
  }

  #draw(answer) {
    this.error.hidden = !answer.error;
    this.element.setAttribute("data-state", answer.error ? "error" : "ready");
    if (answer.error) {
      this.#say("");
      this.scroll.hidden = true;
      this.error.replaceChildren(el("p", {}, answer.error));
      return;
    }
    const several = new Set(answer.rows.map((row) => row.file)).size > 1;
    const columns = answer.columns ?? [];
    const number = el("th", { scope: "col", className: "number" }, t("data.row_number"));
    this.head.replaceChildren(number, ...columns.map((name) => el("th", { scope: "col" }, name)));
    this.body.replaceChildren(...answer.rows.map((row) => drawRow(row, columns, several)));
    this.#say(answer.rows.length ? "" : t("data.no_row"));
    const last = this.start + answer.rows.length;
    const known = answer.total !== null && answer.total !== undefined;
    const values = {
      first: formatCount(this.start + 1),
      last: formatCount(last),
      total: known ? formatCount(answer.total) : "",
    };
    setText(this.where, answer.rows.length ? t(known ? "data.shown_of" : "data.shown", values) : "");
    pagerEnds(this.back, this.forth, this.start > 0, known ? last < answer.total : answer.rows.length >= ROWS);
  }
}

function drawRow({ file, number, row, text, problem }, columns, several) {
  const name = el("td", { className: "number" }, formatCount(number));
  if (several) name.append(el("small", {}, file));
  if (problem || row === null) {
    const cell = el(
      "td",
      { className: "td-bad-row", colSpan: Math.max(1, columns.length) },
      el("b", {}, problem ?? ""),
      folded(text ?? ""),
    );
    return el("tr", {}, name, cell);
  }
  const isRecord = typeof row === "object" && !Array.isArray(row);
  if (!isRecord && columns.length > 1) {
    return el("tr", {}, name, el("td", { className: "td-bad-row", colSpan: columns.length }, folded(asText(row))));
  }
  const cells = columns.map((column) => {
    const cell = el("td", { "data-column": column });
    const content = isRecord ? row[column] : row; // what is no record has one column
    if (content === undefined || content === null || content === "") cell.classList.add("void");
    else cell.append(folded(asText(content)));
    return cell;
  });
  return el("tr", {}, name, ...cells);
}

/** A record as a list of its columns, for one row beside a problem. */
export function record({ row, text, problem }) {
  if (row === null || typeof row !== "object" || Array.isArray(row)) {
    return el("div", { className: "td-record" }, el("p", {}, problem ?? ""), el("pre", {}, text ?? asText(row)));
  }
  const parts = Object.entries(row).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, folded(asText(value)))]);
  return el("dl", { className: "td-record" }, ...parts);
}

/** A cell as text; of a list, each element on a line of its own. */
export function asText(value) {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.length) return value.map((one) => JSON.stringify(one)).join("\n");
  return JSON.stringify(value);
}

/** A long text shows its beginning, with a button for the rest. */
function folded(text) {
  const lines = text.split("\n");
  if (text.length <= FOLDED_LETTERS && lines.length <= FOLDED_LINES) return el("div", { className: "cell" }, text);
  const start = lines.slice(0, FOLDED_LINES).join("\n").slice(0, FOLDED_LETTERS);
  const shown = el("span", {}, `${start}…`);
  const button = el("button", { type: "button", className: "td-fold", "aria-expanded": "false" }, t("data.more"));
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-expanded") === "true";
    shown.textContent = open ? `${start}…` : text;
    button.setAttribute("aria-expanded", String(!open));
    button.textContent = t(open ? "data.more" : "data.less");
  });
  return el("div", { className: "cell" }, shown, " ", button);
}
