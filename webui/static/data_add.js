// Adding a dataset: upload a file, see what it was taken for, say which column is what while an example follows, register.

import { Latest, ask, discard, upload } from "./data_calls.js";
import { button, inPlace, textField } from "./data_fields.js";
import { exampleCard } from "./data_example.js";
import { Mapping } from "./data_mapping.js";
import { Preview, problemLines } from "./data_preview.js";
import { Settings } from "./data_settings.js";
import { remember, settingArguments, state } from "./data_state.js";
import { fileSize, rowsCount } from "./data_facts.js";
import { el, setText } from "./dom.js";
import { t } from "./text.js";

const DELAY_MS = 150;

export class AddDataset {
  /** `ondone(name)`: registered; `onclose()`: given up. */
  constructor(ondone, onclose) {
    this.ondone = ondone;
    this.onclose = onclose;
    this.uploaded = null;
    this.detected = null;
    this.turn = 0;
    // Escape leaves only where nothing is lost by it.
    const onkeydown = (event) => {
      if (event.key === "Escape" && !this.uploaded && !this.sending) this.close(this.onclose);
    };
    this.element = el("section", { className: "ts-card td-view td-adding", role: "region", onkeydown });
    this.draw();
  }

  /** Draw it, once and again in another language; what was uploaded and said stays. */
  draw() {
    const said = this.uploaded && this.detected && { ...this.mapping.said(), name: this.name.input.value };
    const close = button(t("data.cancel"), () => this.close(this.onclose));
    const head = el("div", { className: "td-head" }, el("h2", {}, t("data.add_title")), close);
    this.drop = this.#buildDrop();
    this.error = el("div", { className: "note bad", id: "td-file-error", role: "alert", hidden: true });
    this.said = inPlace("");
    this.steps = el("div", { className: "td-steps" });
    this.element.setAttribute("aria-label", t("data.add_title"));
    this.element.replaceChildren(head, this.drop, this.said, this.error, this.steps);
    if (said) this.#map({ ...this.detected, ...said });
  }

  /** Leave nothing behind. */
  close(then) {
    this.#forget();
    then();
  }

  /** The file so far, and whatever is on its way about it. */
  #forget() {
    if (this.uploaded) discard(this.uploaded.upload);
    this.uploaded = this.detected = null;
    this.sending = false;
    this.turn += 1;
    this.#dropQuestions();
  }

  #dropQuestions() {
    clearTimeout(this.timer);
    this.latest?.drop();
    this.preview?.clear();
  }

  focus() {
    this.input.focus();
  }

  #buildDrop() {
    this.input = el("input", { type: "file", id: "td-file", accept: ".json,.jsonl,.csv,.tsv,.txt,.parquet,.arrow,.gz" });
    this.input.addEventListener("change", () => this.input.files[0] && this.#send(this.input.files[0]));
    this.words = el("span", { className: "words" }, el("b", {}, t("data.drop")), el("small", {}, t("data.drop_kinds")));
    this.bar = el("b");
    this.progress = el(
      "span",
      { className: "pbar", role: "progressbar", "aria-label": t("data.uploading"), hidden: true },
      this.bar,
    );
    const drop = el("label", { className: "td-drop", htmlFor: "td-file" }, this.input, this.words, this.progress);
    const over = (event, on) => {
      event.preventDefault();
      drop.classList.toggle("over", on);
    };
    drop.addEventListener("dragover", (event) => over(event, true));
    drop.addEventListener("dragleave", (event) => over(event, false));
    drop.addEventListener("drop", (event) => {
      over(event, false);
      if (event.dataTransfer.files[0]) this.#send(event.dataTransfer.files[0]);
    });
    return drop;
  }

  async #send(file) {
    this.#forget();
    const { turn } = this;
    this.sending = true;
    this.steps.replaceChildren();
    this.#say(null);
    this.#describe(file.name, fileSize(file.size));
    this.progress.hidden = false;
    setText(this.said, "");
    const answer = await upload(file, (share) => {
      if (turn !== this.turn) return;
      this.bar.style.width = `${100 * share}%`;
      this.progress.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    });
    if (turn !== this.turn) {
      if (answer.upload) discard(answer.upload); // another file was chosen meanwhile, or it was given up
      return;
    }
    if (answer.error) {
      this.progress.hidden = true;
      this.sending = false;
      this.input.value = ""; // the same file may be chosen again once it is mended
      this.#say(answer);
      return;
    }
    this.uploaded = answer;
    setText(this.said, t("data.reading"));
    const detected = await ask("detect", { upload: answer.upload, dataset_dir: state.dataset_dir || "data" });
    if (turn !== this.turn) return;
    this.sending = false;
    this.progress.hidden = true;
    setText(this.said, "");
    this.input.value = "";
    // Nothing could be read of it: there are no columns to speak of, only what is wrong.
    const unreadable = detected.error ?? (detected.found?.length ? null : detected.problem);
    if (unreadable) this.#say({ ...detected, error: unreadable });
    else this.#map((this.detected = detected));
  }

  #describe(name, ...facts) {
    this.words.replaceChildren(el("b", {}, name), el("small", {}, facts.filter(Boolean).join(" · ")));
    this.drop.classList.add("filled");
  }

  #say(answer) {
    this.error.hidden = !answer;
    if (answer) this.error.replaceChildren(el("p", {}, answer.error), ...problemLines(answer.problems));
  }

  #map(detected) {
    this.#dropQuestions(); // what the fields before these have asked
    const rows = rowsCount(detected.rows);
    this.#describe(this.uploaded.name, fileSize(this.uploaded.size), rows, t("data.replace"));
    this.mapping = new Mapping({ ...detected, found: detected.found ?? [] }, () => this.#later());
    this.settings = new Settings(() => (remember(), this.preview.refresh()), { prefix: "td-new" });
    this.examples = el("div", { className: "td-examples" });
    this.wrong = el("div", { className: "note bad", role: "alert", hidden: true });
    const onError = (answer) => this.settings.mark(answer) || this.mapping.mark(answer);
    this.preview = new Preview(() => this.#question(), { onError, rows: 3 });
    this.latest = new Latest(
      "map",
      (answer) => this.#showExamples(answer),
      (busy) => this.examples.classList.toggle("busy", busy),
    );
    const guess = el(
      "p",
      { className: "td-said" },
      t("data.detected", { format: t(`data.format_${this.mapping.formatting}`) }),
    );
    if (detected.problem) {
      guess.className = "note warn";
      setText(guess, detected.problem);
    }
    this.name = textField(t("data.name"), detected.name ?? "", () => this.name.setError(""), {
      id: "td-name",
      help: t("data.name_help"),
      wide: true,
    });
    this.go = button(t("data.register"), () => this.#register(), { id: "td-register", primary: true });
    const left = el("div", { className: "td-step" }, el("h3", {}, t("data.step_map")), guess, this.mapping.element);
    const right = el("div", { className: "td-step" }, el("h3", {}, t("data.step_example")), this.wrong, this.examples);
    const tokens = el(
      "div",
      { className: "td-step" },
      el("h3", {}, t("data.view_tokens")),
      this.settings.element,
      this.preview.element,
    );
    const end = el("div", { className: "td-step td-end" }, this.name.element, this.go);
    this.steps.replaceChildren(el("div", { className: "td-two" }, left, right), tokens, end);
    this.#changed();
  }

  /** What the preview asks; null while there is nothing to ask about. */
  #question() {
    if (!this.uploaded || !this.settings.ready()) return null;
    return { ...this.#file(), ...settingArguments() };
  }

  /** The file and the folder that questions are about, with the entry as the fields say it. */
  #file() {
    return { upload: this.uploaded.upload, dataset_dir: state.dataset_dir || "data", entry: this.mapping.entry() };
  }

  #later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#changed(), DELAY_MS);
  }

  #changed() {
    if (!this.uploaded) return;
    if (this.mapping.ready()) this.latest.ask({ upload: this.uploaded.upload, entry: this.mapping.entry(), count: 2 });
    else this.#showExamples({ examples: [], unready: true });
  }

  #showExamples(answer) {
    const beside = !answer.unready && this.mapping.mark(answer.error ? answer : null);
    const problems = answer.error ? [] : (answer.problems ?? []);
    this.wrong.hidden = (!answer.error || beside) && !problems.length;
    this.wrong.replaceChildren(...(answer.error ? [el("p", {}, answer.error)] : []), ...problemLines(problems));
    this.examples.replaceChildren(...(answer.examples ?? []).map(exampleCard));
    this.go.disabled = Boolean(answer.error || answer.unready);
    if (this.go.disabled) this.preview.clear();
    else this.preview.refresh({ fromStart: true });
  }

  async #register() {
    const name = this.name.input.value.trim();
    if (!name) {
      this.name.setError(t("data.needs_name"));
      this.name.input.focus();
      return;
    }
    this.go.disabled = true;
    const answer = await ask("register", { ...this.#file(), name });
    this.go.disabled = false;
    if (answer.error) {
      const beside = this.mapping.mark(answer);
      if (!beside) this.name.setError(answer.error);
      this.name.input.focus();
      return;
    }
    this.uploaded = null;
    this.ondone(answer.name);
  }
}
