// One dataset, opened: what it is, "Train on this", the settings, and its four views.

import { Lengths } from "./data_lengths.js";
import { Preview } from "./data_preview.js";
import { Problems } from "./data_problems.js";
import { RawRows } from "./data_rows.js";
import { Settings } from "./data_settings.js";
import { facts } from "./data_facts.js";
import { VIEWS, remember, settingArguments, sourceArguments, state } from "./data_state.js";
import { button, tabStrip } from "./data_fields.js";
import { el, setText } from "./dom.js";
import { formatCount, t } from "./text.js";

export class DatasetView {
  constructor() {
    this.name = el("h2");
    this.facts = el("p", { className: "td-facts" });
    this.problem = el("div", { className: "note bad", role: "alert", hidden: true });
    this.train = button(t("data.train"), trainOnThis, { id: "td-train", primary: true });
    const question = () => (this.settings.ready() ? { ...sourceArguments(), ...settingArguments() } : null);
    const onStats = (answer) => this.#noteProblems(answer);
    const onError = (answer) => this.settings.mark(answer);
    this.problems = new Problems(sourceArguments);
    this.parts = {
      tokens: new Preview(question, { onError }),
      rows: new RawRows(sourceArguments),
      lengths: new Lengths(question, { onError, onStats }),
    };
    this.parts.problems = this.problems;
    this.settings = new Settings(() => this.#changed());
    const tabs = VIEWS.map((view) => [view, t(`data.view_${view}`)]);
    this.strip = tabStrip(t("data.views"), tabs, state.view, (view) => this.#choose(view));
    this.panel = el("div", { className: "td-panel", id: "td-panel", role: "tabpanel", tabIndex: -1 });
    const head = el("div", { className: "td-head" }, el("div", {}, this.name, this.facts), this.train);
    this.element = el(
      "section",
      { className: "ts-card td-view" },
      head,
      this.problem,
      this.strip.element,
      this.settings.element,
      this.panel,
    );
    this.working = [this.train, this.strip.element, this.settings.element, this.panel];
    this.stale = new Set();
  }

  /** Show the dataset that `state` names. `entry`: its line of the list. */
  open(entry) {
    setText(this.name, entry.name);
    setText(this.facts, facts(entry).join(" · "));
    this.problem.hidden = !entry.problem;
    this.problem.replaceChildren(el("p", {}, entry.problem ?? ""));
    for (const part of Object.values(this.parts)) part.clear();
    this.strip.setCount("problems", "");
    for (const element of this.working) element.hidden = Boolean(entry.problem);
    if (entry.problem) return; // there is nothing to see yet but what is wrong
    this.#allStale();
    this.settings.sync();
    this.#show(state.view);
  }

  /** Ask anew for what could not be answered before. */
  again() {
    if (!this.panel.hidden) this.#show(state.view);
  }

  #choose(view) {
    state.view = view;
    remember();
    this.#show(view);
  }

  #show(view) {
    this.panel.setAttribute("aria-labelledby", `td-tab-${view}`);
    this.panel.replaceChildren(this.parts[view].element);
    this.strip.show(view);
    this.settings.element.hidden = view === "rows";
    const asks = view === "problems" ? "lengths" : view; // the problems are what measuring has found
    const failed = this.parts[asks].element.dataset.state === "error"; // the studio may be back, the file mended
    if (!this.stale.delete(asks) && !failed) return;
    if (view === "problems") this.problems.waiting();
    this.parts[asks].refresh({ fromStart: true });
  }

  #changed() {
    remember();
    this.stale.add("tokens").add("lengths");
    if (state.view === "rows") return;
    const asks = state.view === "problems" ? "lengths" : state.view;
    this.stale.delete(asks);
    this.parts[asks].refresh();
  }

  #allStale() {
    this.stale = new Set(["tokens", "rows", "lengths"]);
  }

  #noteProblems(answer) {
    const bad = this.problems.show(answer);
    this.strip.setCount("problems", bad ? formatCount(bad) : "");
  }
}

function trainOnThis() {
  const bridge = document.getElementById("data-train");
  (bridge?.querySelector("button") ?? bridge)?.click();
}

window.tunesmith_data = {
  /** What is open, for the Train form. */
  chosen: () => JSON.stringify({ dataset: state.dataset, dataset_dir: state.dataset_dir || "data" }),
  /** Open what the Train form has chosen: the first of its datasets. */
  look: (names, folder) => {
    state.dataset_dir = folder || "data";
    state.dataset = names?.[0] ?? state.dataset;
    remember();
    window.dispatchEvent(new Event("tunesmith:look"));
    window.tunesmith.go("data");
  },
};
