// <tune-run tab="train">: one run, watched. State, progress, tiles, chart and log, polled by byte offset.
// Gradio may take the element out and put a new one in at any time; which run it shows is kept in runs.js.

import { Chart } from "./chart.js";
import { el, setText, toast } from "./dom.js";
import { LogView } from "./log_view.js";
import { Metrics, TILES } from "./metrics.js";
import { ACTIVE, RESUMABLE, argument, commandOf, noteState, resumeJob, showJob, shownJob, stopJob } from "./runs.js";
import { RunData } from "./run_data.js";
import { Poller, call } from "./server.js";
import { formatCount, formatDuration, t } from "./text.js";

class RunView extends HTMLElement {
  connectedCallback() {
    this.tab = this.getAttribute("tab");
    this.tile = "loss";
    this.#build();
    this.poller = new Poller(() => this.#poll(), () => this.#delay(), (state) => this.#showConnection(state));
    this.listeners = {
      "tunesmith:show": (event) => event.detail.tab === this.tab && this.#reset(),
      "tunesmith:language": () => {
        this.#build();
        this.#reset();
      },
      "tunesmith:theme": () => this.chart.redraw(),
      "tunesmith:changed": () => this.poller.now(),
    };
    for (const [name, listener] of Object.entries(this.listeners)) window.addEventListener(name, listener);
    // Its tab was opened: look at once. While it is closed nothing is asked.
    this.sight = new IntersectionObserver(([entry]) => {
      if (!entry.isIntersecting) return;
      this.log.settle();
      this.poller.now();
    });
    this.sight.observe(this);
    this.#reset();
    this.poller.start();
  }

  disconnectedCallback() {
    this.poller.stop();
    this.sight.disconnect();
    this.chart.close();
    for (const [name, listener] of Object.entries(this.listeners)) window.removeEventListener(name, listener);
  }

  // ---- what is on the page

  #build() {
    this.name = el("span", { className: "name" });
    this.pill = el("span", { className: "pill", role: "status" });
    this.connection = el("span", { className: "pill lost", hidden: true }, t("run.reconnecting"));
    this.eta = el("span", { className: "eta" });
    this.bar = el("b");
    this.progress = el("div", { className: "pbar", role: "progressbar", "aria-label": t("run.progress") }, this.bar);
    this.note = el("div", { className: "note", hidden: true });
    this.tiles = new Map(TILES.map((tile) => [tile.key, this.#buildTile(tile)]));
    this.tileRow = el("div", { className: "tiles" }, ...[...this.tiles.values()].map((tile) => tile.button));
    this.figure = this.#buildFigure();
    this.data = new RunData();
    this.log = new LogView();
    this.empty = el("div", { className: "empty" }, el("h3", {}, t("run.empty_title")), el("p", {}, t(`run.empty_${this.tab}`)));
    this.body = el(
      "div",
      { className: "run" },
      el("div", { className: "run-head" }, this.name, this.pill, this.connection, this.eta),
      this.progress,
      this.note,
      this.data.element,
      this.tileRow,
      this.figure,
      this.log.element,
    );
    this.replaceChildren(this.empty, this.body);
    this.noteKey = "";
  }

  #buildTile({ key, label }) {
    const value = el("b", {}, "–");
    const button = el("button", { type: "button", className: "tile", "aria-pressed": String(key === this.tile) });
    button.append(el("small", {}, t(label)), value);
    button.addEventListener("click", () => {
      this.tile = key;
      for (const [other, tile] of this.tiles) tile.button.setAttribute("aria-pressed", String(other === key));
      this.#drawChart();
    });
    return { button, value };
  }

  #buildFigure() {
    const options = chartOptions();
    const keep = () => {
      options.smoothing = Number(range.value);
      options.logScale = log.checked;
      localStorage.setItem("tunesmith.chart", JSON.stringify(options));
      this.#drawChart();
    };
    const range = el("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: options.smoothing, oninput: keep });
    const log = el("input", { type: "checkbox", checked: options.logScale, onchange: keep });
    const all = el("button", { type: "button", hidden: true, onclick: () => this.chart.resetZoom() }, t("run.zoom_out"));
    this.legend = el("span", { className: "legend" });
    const tools = el("div", { className: "chart-tools" });
    tools.append(el("label", {}, t("run.smoothing"), range), el("label", {}, log, t("run.log_scale")), all, this.legend);
    const host = el("div", { className: "chart" });
    this.chart?.close();
    this.chart = new Chart(host);
    this.chart.canvas.title = t("run.chart_help");
    this.chart.onzoom = (zoom) => (all.hidden = !zoom);
    this.options = options;
    return el("div", { className: "figure" }, tools, host);
  }

  // ---- what is asked

  #reset() {
    this.metrics = new Metrics();
    this.offsets = { log: 0, metrics: 0 };
    this.job = null;
    this.phase = null;
    this.log.clear();
    this.chart.resetZoom();
    this.#draw();
    this.poller.now();
  }

  async #poll() {
    if (!this.getClientRects().length) return;
    const id = shownJob(this.tab);
    if (!id) {
      await this.#findActive();
      return;
    }
    const { log, metrics } = this.offsets;
    let tail;
    try {
      tail = await call(`jobs/${id}/tail?log=${log}&metrics=${metrics}`);
    } catch (error) {
      if (error.status !== 409 && error.status !== 404) throw error;
      toast(t("run.gone"), "error");
      showJob(this.tab, "");
      return;
    }
    if (id === shownJob(this.tab)) this.#take(tail);
  }

  /** Nothing is shown: a run of this tab's command that is going on, from a shell perhaps, is taken up. */
  async #findActive() {
    const command = commandOf(this.tab);
    if (!command) return;
    const { jobs } = await call("jobs?limit=20");
    const found = jobs.find((job) => job.command === command && ACTIVE.includes(job.state));
    if (found && !shownJob(this.tab)) showJob(this.tab, found.id);
  }

  #take(tail) {
    if (tail.reset) {
      this.metrics = new Metrics();
      this.log.clear();
    }
    this.offsets = { log: tail.log_offset, metrics: tail.metrics_offset };
    this.more = tail.more;
    this.job = tail.job;
    this.metrics.add(tail.metrics);
    this.log.append(tail.log);
    noteState(this.tab, tail.job);
    this.#draw(tail.metrics.length > 0 || tail.reset);
  }

  #delay() {
    if (this.more) return 0;
    if (!this.job) return 4000;
    return ACTIVE.includes(this.job.state) ? 1000 : 4000;
  }

  // ---- how it is drawn

  #draw(metricsChanged = true) {
    const job = this.job;
    this.empty.hidden = Boolean(shownJob(this.tab));
    this.body.hidden = !shownJob(this.tab);
    setText(this.name, job?.name ?? "");
    this.name.title = job?.run_dir ?? "";
    setText(this.pill, job ? t(`state.${job.state}`) : "");
    this.pill.className = `pill ${job?.state ?? ""}`;
    this.#drawProgress();
    this.#drawNote();
    this.data.follow(job, !this.metrics.empty);
    const coming = job?.command === "train" && ACTIVE.includes(job.state);
    this.tileRow.hidden = this.metrics.empty && !coming;
    this.figure.hidden = this.tileRow.hidden;
    this.chart.host.dataset.empty = this.metrics.empty ? t("run.no_points") : "";
    if (!metricsChanged) return;
    for (const { key, format } of TILES) {
      const value = this.metrics.latest(key);
      setText(this.tiles.get(key).value, value === null ? "–" : format(value));
    }
    this.#drawChart();
  }

  #drawProgress() {
    const job = this.job;
    let { current, total, eta, phase } = job?.progress ?? {};
    if (job && !ACTIVE.includes(job.state) && this.metrics.steps) [current, total] = this.metrics.steps;
    const share = job?.state === "succeeded" ? 1 : total ? Math.min(1, current / total) : 0;
    const known = share > 0 || !ACTIVE.includes(job?.state) || job?.state === "queued";
    this.progress.hidden = job?.command === "api" && job.progress?.phase === "serving"; // it has no end to run to
    this.progress.classList.toggle("unknown", !known);
    this.progress.setAttribute("aria-valuenow", String(Math.round(share * 100)));
    this.bar.style.width = `${share * 100}%`;
    const parts = [];
    if (phase && phase !== "training" && ACTIVE.includes(job.state)) parts.push(t(`run.phase_${phase}`, {}, phase));
    if (total > 1) parts.push(`${formatCount(current)} / ${formatCount(total)}`);
    if (eta && job.state === "running") parts.push(t("run.eta", { time: formatDuration(eta) }));
    if (job?.ended && job.started) parts.push(t("run.took", { time: formatDuration(job.ended - job.started) }));
    setText(this.eta, parts.join(" · "));
    const going = job && ACTIVE.includes(job.state);
    if (job && this.getClientRects().length) {
      document.title = going ? `${Math.round(share * 100)}% · ${job.name} · Tunesmith` : "Tunesmith";
    }
  }

  #drawNote() {
    const note = describe(this.job);
    this.note.hidden = !note;
    const key = JSON.stringify(note);
    if (!note || key === this.noteKey) return;
    this.noteKey = key;
    this.note.className = `note ${note.tone}`;
    this.note.replaceChildren(el("p", {}, note.text));
    const id = this.job.id;
    const actions = {
      resume: [t("run.resume"), () => resumeJob(id)],
      stop_now: [t("run.stop_now"), () => stopJob(id, true)],
    };
    if (note.action) {
      const [label, action] = actions[note.action];
      this.note.append(el("button", { type: "button", onclick: action }, label));
    }
  }

  #drawChart() {
    const tile = TILES.find(({ key }) => key === this.tile);
    const series = [{ name: t(tile.label), color: "--ts-acc", ...this.metrics.series[tile.key] }];
    const pair = tile.pair && this.metrics.series[tile.pair];
    if (pair?.x.length) series.push({ name: t(`run.${tile.pair}`), color: "--ts-s2", dots: true, ...pair });
    this.chart.show(series, tile.exact ? { ...this.options, smoothing: 0 } : this.options);
    const value = this.metrics.latest(tile.key);
    const label = value === null ? t(tile.label) : `${t(tile.label)} ${tile.format(value)}`;
    this.chart.canvas.setAttribute("aria-label", label);
    this.legend.replaceChildren();
    if (series.length > 1) {
      const last = pair.y[pair.y.length - 1];
      const names = [t("run.train"), `${t("run.eval")} ${last === null ? "–" : last.toFixed(4)}`];
      this.legend.append(...names.map((text, i) => el("span", { className: i ? "eval" : "train" }, text)));
    }
  }

  #showConnection(state) {
    this.connection.hidden = state === "ok";
  }
}

/** The line under the head: why it ended or what it waits for, and the one thing to do next. */
function describe(job) {
  if (!job) return null;
  if (ACTIVE.includes(job.state) && job.stop_phase) {
    const hurry = job.stop_phase === "ask";
    return { tone: "warn", text: t(`run.stop_${job.stop_phase}`, {}, job.stop_phase), action: hurry ? "stop_now" : null };
  }
  if (job.state === "queued") return { tone: "", text: job.reason || t("run.waiting"), action: null };
  if (job.state === "succeeded") return { tone: "good", text: t("run.saved_to", { folder: shortPath(job) }), action: null };
  if (!RESUMABLE.includes(job.state)) return null;
  const tone = job.state === "failed" ? "bad" : "warn";
  const text = (job.state !== "stopped" && job.reason) || t(`run.ended_${job.state}`);
  return { tone, text, action: job.resumable ? "resume" : null };
}

/** Where the run left its result, as a person in the studio's folder would type it. */
function shortPath({ command, argv, run_dir, cwd }) {
  const folder = (command === "export" && argument(argv, "--export_dir")) || run_dir;
  return cwd && folder.startsWith(`${cwd}/`) ? folder.slice(cwd.length + 1) : folder;
}

function chartOptions() {
  try {
    return { smoothing: 0.6, logScale: false, ...JSON.parse(localStorage.getItem("tunesmith.chart")) };
  } catch {
    return { smoothing: 0.6, logScale: false };
  }
}

customElements.define("tune-run", RunView);
