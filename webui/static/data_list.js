// The datasets of a folder: searched, chosen, each with its facts and what is wrong with it.

import { ask } from "./data_calls.js";
import { button, searchField, textField } from "./data_fields.js";
import { remember, state } from "./data_state.js";
import { facts } from "./data_facts.js";
import { el, setText } from "./dom.js";
import { t } from "./text.js";

const FOLDER_DELAY_MS = 400;
const AWAY_DELAY_MS = 3000;

export class DatasetList {
  /** `onopen(entry, byHand)`: a dataset was chosen, by a person or as the one to begin with; `onadd()`: "Add" was pressed. */
  constructor(onopen, onadd) {
    this.onopen = onopen;
    this.entries = [];
    this.turn = 0;
    this.search = searchField(t("data.search"), () => this.#draw());
    this.add = button(t("data.add"), onadd, { id: "td-add" });
    const folder = { id: "td-dataset_dir", help: t("arg.dataset_dir.help") };
    const typed = (value) => this.#folderTyped(value);
    this.folder = textField(t("arg.dataset_dir.label"), state.dataset_dir, typed, folder);
    this.items = el("ul", { className: "td-datasets", role: "list" });
    this.said = el("p", { className: "td-nothing", role: "status" });
    const head = el("div", { className: "td-list-head" }, el("h3", {}, t("data.title")), this.add);
    this.element = el(
      "nav",
      { className: "ts-card td-left", "aria-label": t("data.title") },
      head,
      this.search,
      this.items,
      this.said,
      this.folder.element,
    );
  }

  /** Read the folder anew; `choose`: the dataset to open, else the one that was open, else the first that can be used. */
  async load({ choose = "" } = {}) {
    this.folder.input.value = state.dataset_dir;
    this.element.classList.add("busy");
    clearTimeout(this.timer);
    this.turn += 1;
    const { turn } = this;
    const answer = await ask("list", { dataset_dir: state.dataset_dir || "data", search: "" });
    if (turn !== this.turn) return; // a newer one is on its way
    this.element.classList.remove("busy");
    this.folder.setError(answer.error ?? "");
    if (answer.away) {
      // What was read stays, and what was open stays open; it is asked again until somebody answers.
      this.timer = setTimeout(() => this.element.checkVisibility() && this.load({ choose }), AWAY_DELAY_MS);
      return;
    }
    this.entries = answer.datasets ?? [];
    const names = this.entries.map((entry) => entry.name);
    const usable = this.entries.find((entry) => !entry.problem) ?? this.entries[0];
    const wanted = [choose, state.dataset].find((name) => names.includes(name)) ?? usable?.name ?? "";
    this.#choose(wanted);
  }

  #folderTyped(value) {
    state.dataset_dir = value.trim();
    remember();
    this.turn += 1; // what the former folder answers does not matter any more
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), FOLDER_DELAY_MS);
  }

  /** Give the open dataset the keyboard. */
  focus() {
    (this.items.querySelector("[aria-current]") ?? this.add).focus();
  }

  #choose(name, { byHand = false } = {}) {
    state.dataset = name;
    remember();
    this.#draw();
    const current = this.items.querySelector("[aria-current]");
    if (byHand) current?.focus({ preventScroll: true }); // it was drawn anew
    this.#reveal(current);
    this.onopen(this.entries.find((entry) => entry.name === name) ?? null, byHand);
  }

  /** Bring the open dataset into the list's own window; the page stays where it is. */
  #reveal(item) {
    if (!item) return;
    const its = item.getBoundingClientRect();
    const list = this.items.getBoundingClientRect();
    if (its.top < list.top || its.bottom > list.bottom)
      this.items.scrollTop += its.top - list.top - (list.height - its.height) / 2;
  }

  #draw() {
    const wanted = this.search.value.trim().toLowerCase();
    const words = ({ name, formatting, files = [] }) => [name, formatting, ...files].join(" ").toLowerCase();
    const shown = this.entries.filter((entry) => words(entry).includes(wanted));
    this.items.replaceChildren(...shown.map((entry) => this.#item(entry)));
    this.items.hidden = !shown.length;
    setText(this.said, shown.length ? "" : t(this.entries.length ? "data.none_found" : "data.none"));
  }

  #item(entry) {
    const chosen = entry.name === state.dataset;
    const open = el("button", { type: "button", onclick: () => this.#choose(entry.name, { byHand: true }) });
    open.append(el("b", {}, entry.name), el("small", {}, facts(entry).join(" · ")));
    if (entry.problem) open.append(el("small", { className: "problem", title: entry.problem }, entry.problem));
    if (chosen) open.setAttribute("aria-current", "true");
    return el("li", { "data-dataset": entry.name }, open);
  }
}
