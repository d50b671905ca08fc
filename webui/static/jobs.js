// <tune-jobs>: every run, newest first, kept up to date; open, stop, resume, delete.

import { el, setText } from "./dom.js";
import { ACTIVE, RESUMABLE, argument, deleteJob, resumeJob, showJob, shownJob, stopJob } from "./runs.js";
import { Poller, call } from "./server.js";
import { formatCount, formatDuration, formatTime, t } from "./text.js";

const FILTERS = {
  all: () => true,
  active: (job) => ACTIVE.includes(job.state),
  succeeded: (job) => job.state === "succeeded",
  stopped: (job) => job.state === "stopped" || job.state === "paused",
  failed: (job) => job.state === "failed" || job.state === "lost",
};
const COLUMNS = ["name", "state", "progress", "started", "actions"];

class JobList extends HTMLElement {
  connectedCallback() {
    this.filter = "all";
    this.jobs = null;
    this.#build();
    this.poller = new Poller(() => this.#poll(), () => 2000, (state) => (this.connection.hidden = state === "ok"));
    this.listeners = {
      "tunesmith:language": () => {
        this.#build();
        this.#draw();
      },
      "tunesmith:changed": () => this.poller.now(),
      "tunesmith:show": () => this.#draw(),
    };
    for (const [name, listener] of Object.entries(this.listeners)) window.addEventListener(name, listener);
    this.sight = new IntersectionObserver(([entry]) => entry.isIntersecting && this.poller.now());
    this.sight.observe(this);
    this.poller.start();
  }

  disconnectedCallback() {
    this.poller.stop();
    this.sight.disconnect();
    for (const [name, listener] of Object.entries(this.listeners)) window.removeEventListener(name, listener);
  }

  async #poll() {
    if (!this.getClientRects().length) return;
    this.jobs = (await call("jobs?limit=500")).jobs;
    this.#draw();
  }

  #build() {
    this.rows = new Map();
    this.connection = el("span", { className: "pill lost", hidden: true }, t("run.reconnecting"));
    this.filters = Object.keys(FILTERS).map((name) => {
      const count = el("span", { className: "count" });
      const choose = () => {
        this.filter = name;
        this.#draw();
      };
      const button = el("button", { type: "button", onclick: choose }, t(`jobs.filter_${name}`), count);
      return { name, button, count };
    });
    const heads = COLUMNS.map((name) => el("th", { className: name, scope: "col" }, name === "actions" ? "" : t(`jobs.${name}`)));
    this.body = el("tbody");
    this.table = el("table", {}, el("thead", {}, el("tr", {}, ...heads)), this.body);
    this.empty = el("div", { className: "empty", hidden: true });
    this.replaceChildren(
      el(
        "div",
        { className: "jobs-head" },
        el("h3", {}, t("jobs.title")),
        this.connection,
        el("div", { className: "filters", role: "group", "aria-label": t("jobs.filter") }, ...this.filters.map((f) => f.button)),
      ),
      el("div", { className: "jobs-scroll" }, this.table),
      this.empty,
    );
  }

  #draw() {
    if (!this.jobs) return;
    for (const { name, button, count } of this.filters) {
      button.setAttribute("aria-pressed", String(name === this.filter));
      setText(count, String(this.jobs.filter(FILTERS[name]).length));
    }
    const visible = this.jobs.filter(FILTERS[this.filter]);
    const ids = new Set(visible.map((job) => job.id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.rows.delete(id);
    }
    visible.forEach((job, position) => {
      let row = this.rows.get(job.id);
      if (!row) {
        row = new Row(job.id);
        this.rows.set(job.id, row);
      }
      row.draw(job);
      if (this.body.children[position] !== row.element) this.body.insertBefore(row.element, this.body.children[position]);
    });
    this.table.hidden = !visible.length;
    this.empty.hidden = visible.length > 0;
    if (!visible.length) this.#drawEmpty();
  }

  #drawEmpty() {
    if (this.jobs.length) {
      this.empty.replaceChildren(el("p", {}, t("jobs.none_here")));
      return;
    }
    const go = el("a", { href: "#train", onclick: () => window.tunesmith.go("train") }, t("jobs.go_train"));
    this.empty.replaceChildren(el("h3", {}, t("jobs.empty_title")), el("p", {}, ...withCode(t("jobs.empty_body"))), go);
  }
}

/** One job in the table. Cells are kept and rewritten only where they changed, so that a click never misses its button. */
class Row {
  constructor(id) {
    this.id = id;
    this.cells = Object.fromEntries(COLUMNS.map((name) => [name, el("td", { className: name })]));
    this.open = el("button", { type: "button", className: "link", onclick: () => this.#show() });
    this.what = el("small");
    this.cells.name.append(this.open, this.what);
    this.started = el("span");
    this.took = el("small");
    this.cells.started.append(this.started, this.took);
    this.pill = el("span", { className: "pill" });
    this.cells.state.append(this.pill);
    this.bar = el("b");
    this.barBox = el("span", { className: "pbar" }, this.bar);
    this.done = el("span", { className: "done" });
    this.cells.progress.append(this.barBox, this.done);
    this.buttons = {
      stop: this.#button("stop", () => stopJob(this.id)),
      resume: this.#button("resume", () => resumeJob(this.id)),
      delete: this.#button("delete", () => deleteJob(this.job)),
    };
    this.cells.actions.append(...Object.values(this.buttons));
    this.element = el("tr", { onclick: (event) => event.target.closest("button") || this.#show() });
    this.element.append(...COLUMNS.map((name) => this.cells[name]));
  }

  draw(job) {
    this.job = job;
    const active = ACTIVE.includes(job.state);
    setText(this.open, job.name);
    this.open.title = job.run_dir;
    setText(this.pill, active && job.stop_phase ? t("jobs.stopping") : t(`state.${job.state}`));
    this.pill.className = `pill ${job.state}`;
    this.pill.title = job.reason || "";
    const model = argument(job.argv, "--model_name_or_path");
    const parts = [t(`jobs.command_${job.command}`, {}, job.command), model.split("/").filter(Boolean).pop()];
    setText(this.what, parts.filter(Boolean).join(" · "));
    this.what.title = model;
    this.#drawProgress(job);
    setText(this.started, formatTime(job.started ?? job.created));
    const end = job.ended ?? (job.started && Date.now() / 1000);
    setText(this.took, job.started ? formatDuration(end - job.started) : "");
    this.buttons.stop.hidden = !active;
    this.buttons.stop.disabled = Boolean(job.stop_phase);
    this.buttons.resume.hidden = !(RESUMABLE.includes(job.state) && job.resumable);
    this.buttons.delete.hidden = active;
    this.element.classList.toggle("selected", shownJob("jobs") === job.id);
  }

  #drawProgress({ progress, state }) {
    const { current, total, phase, eta } = progress ?? {};
    const counted = total > 1; // one of one, as a chat server says, is no progress
    const share = state === "succeeded" ? 1 : counted ? Math.min(1, current / total) : 0;
    this.barBox.hidden = !share && !(state === "running" && counted);
    this.bar.style.width = `${share * 100}%`;
    const parts = [];
    if (counted) parts.push(`${formatCount(current)} / ${formatCount(total)}`);
    if (state === "running" && eta) parts.push(formatDuration(eta));
    else if (state === "running" && phase && phase !== "training") parts.push(t(`run.phase_${phase}`, {}, phase));
    setText(this.done, parts.join(" · "));
  }

  #show() {
    showJob("jobs", this.id);
    const view = document.querySelector("#ts-run-jobs");
    if (matchMedia("(max-width: 900px)").matches) view?.scrollIntoView({ block: "start" });
  }

  #button(name, onclick) {
    return el("button", { type: "button", className: `act ${name}`, onclick }, t(`jobs.${name}`));
  }
}

/** Text whose `quoted` parts are code. */
function withCode(text) {
  return text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));
}

customElements.define("tune-jobs", JobList);
