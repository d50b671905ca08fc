// "As the model sees it": some rows through the trainer's own template, tokenizer, truncation and packing, drawn anew as
// settings change. The same view shows a file that is not registered yet.

import { Latest } from "./data_calls.js";
import { button, inPlace, pagerEnds } from "./data_fields.js";
import { rowCard } from "./data_tokens.js";
import { el, setText } from "./dom.js";
import { formatCount, t } from "./text.js";

const ROWS = 5;
const SLOW_MS = 400;

export class Preview {
  /** `question()`: the arguments that say which data and which settings; null where there is nothing to ask. */
  constructor(question, { onError = () => {}, rows = ROWS } = {}) {
    this.question = question;
    this.onError = onError;
    this.count = rows;
    this.start = 0;
    this.shown = "";
    this.list = el("div", { className: "td-rows", "aria-live": "off" });
    this.notes = el("ul", { className: "td-notes", hidden: true });
    this.error = el("div", { className: "note bad", role: "alert", hidden: true });
    this.said = inPlace("");
    this.where = el("span", { className: "td-where", role: "status" });
    this.back = button(t("data.back"), () => this.#page(-1));
    this.forth = button(t("data.forth"), () => this.#page(1));
    this.element = el(
      "div",
      { className: "td-preview" },
      el("div", { className: "td-bar" }, legend(), el("span", { className: "td-pager" }, this.back, this.where, this.forth)),
      this.error,
      this.notes,
      this.said,
      this.list,
    );
    this.back.disabled = this.forth.disabled = true;
    this.latest = new Latest(
      "preview",
      (answer) => this.#draw(answer),
      (busy) => this.#wait(busy),
    );
  }

  /** Ask again: a setting, the mapping or the dataset has changed. */
  refresh({ fromStart = false } = {}) {
    if (fromStart) this.start = 0;
    const question = this.question();
    if (!question) {
      this.latest.drop(); // what is on its way answers what nobody asks any more
      setText(this.said, "");
      return;
    }
    if (!this.list.children.length) setText(this.said, t("data.reading"));
    this.latest.ask({ ...question, start: this.start, count: this.count });
  }

  /** Rows that are there stay while others are read; where that takes long, a word says so. */
  #wait(busy) {
    this.element.classList.toggle("busy", busy);
    clearTimeout(this.timer);
    if (busy) this.timer = setTimeout(() => this.list.children.length && setText(this.where, t("data.reading")), SLOW_MS);
    else if (this.list.children.length) setText(this.where, this.shown);
  }

  clear() {
    this.latest.drop();
    this.list.replaceChildren();
    setText(this.said, "");
    this.notes.hidden = true;
    this.error.hidden = true;
    this.start = 0;
    this.back.disabled = this.forth.disabled = true;
    this.shown = "";
    setText(this.where, "");
    this.element.removeAttribute("data-state");
  }

  #page(step) {
    this.start = Math.max(0, this.start + step * this.count);
    this.refresh();
  }

  #draw(answer) {
    this.element.setAttribute("data-state", answer.error ? "error" : "ready");
    this.error.hidden = !answer.error;
    setText(this.said, "");
    if (answer.error) {
      const elsewhere = this.onError(answer); // beside the field that is at fault, where that is known
      this.error.hidden = Boolean(elsewhere);
      this.error.replaceChildren(el("p", {}, answer.error), ...problemLines(answer.problems));
      return; // the rows stay as they were, dimmed: a half-typed setting takes nothing away
    }
    this.onError(null);
    this.notes.hidden = !answer.notes?.length;
    this.notes.replaceChildren(...(answer.notes ?? []).map(noteLine));
    const cards = answer.rows.map((row, i) => rowCard(row, answer.cutoff_len, i ? "" : t("data.info_hint")));
    const tokens = () => [...this.list.querySelectorAll(".td-tokens")];
    const focused = tokens().indexOf(document.activeElement);
    this.list.replaceChildren(...(answer.packs?.length ? packed(cards, answer) : cards));
    tokens()[focused]?.focus({ preventScroll: true }); // whoever reads by keyboard stays in the row
    if (!cards.length) setText(this.said, t("data.no_more_rows"));
    const more = answer.rows.length >= this.count && this.start + this.count < (answer.total ?? Infinity);
    pagerEnds(this.back, this.forth, this.start > 0, more);
    const last = this.start + answer.rows.length;
    this.shown = cards.length ? t("data.shown", { first: formatCount(this.start + 1), last: formatCount(last) }) : "";
    setText(this.where, this.shown);
  }
}

/** The rows that packing puts into one sequence, inside one border. */
function packed(cards, answer) {
  const groups = answer.packs.map((indices, i) => {
    const used = indices.reduce((sum, index) => sum + (answer.rows[index]?.kept ?? 0), 0);
    const values = { number: i + 1, used: formatCount(used), cutoff: formatCount(answer.cutoff_len), rows: indices.length };
    const group = el(
      "section",
      { className: "td-pack" },
      el("h4", {}, t(indices.length === 1 ? "data.pack_one" : "data.pack", values)),
    );
    group.append(...indices.map((index) => cards[index]).filter(Boolean));
    return group;
  });
  const alone = new Set(answer.packs.flat());
  return [...groups, ...cards.filter((_, index) => !alone.has(index))];
}

/** A note of several lines (a difference between two templates) shows its first one, and the rest on demand. */
function noteLine(note) {
  const [first, ...rest] = note.split("\n");
  if (!rest.length) return el("li", {}, note);
  return el("li", {}, el("details", {}, el("summary", {}, first), el("pre", {}, rest.join("\n"))));
}

export function problemLines(problems) {
  if (!problems?.length) return [];
  const lines = problems.slice(0, 10).map((one) => el("li", {}, placeOf(one) + one.reason));
  return [el("ul", {}, ...lines)];
}

function placeOf({ file, row, column }) {
  const place = [file, row && t("data.row", { number: row }), column].filter(Boolean).join(", ");
  return place && `${place}: `;
}

function legend() {
  return el(
    "span",
    { className: "td-legend" },
    el("span", {}, el("mark", { className: "run learn" }, t("data.legend_learn"))),
    el("span", {}, el("span", { className: "run context" }, t("data.legend_context"))),
    el("span", {}, el("del", { className: "run cut" }, t("data.legend_cut"))),
  );
}
