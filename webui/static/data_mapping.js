// Which column of a file means what: the part of a dataset_info.json entry that a person decides, as fields.

import { checkField, selectField, textField } from "./data_fields.js";
import { el } from "./dom.js";
import { t } from "./text.js";

const MEDIA = ["images", "videos", "audios"];

/** Formats -> the columns each knows. main: always shown; pair: only of ranking; more: folded. */
const COLUMNS = {
  alpaca: { main: ["prompt", "query", "response"], more: ["system", "history", "tools", "kto_tag", ...MEDIA] },
  sharegpt: { main: ["messages", "system", "tools"], more: ["kto_tag", ...MEDIA] },
  openai: { main: ["messages", "system", "tools"], more: ["kto_tag", ...MEDIA] },
  text: { main: ["text"], more: [] },
};
const PAIR = ["chosen", "rejected"];
/** What a column is taken to be called where an entry does not say it: leaving it out must then be said. */
const DEFAULTS = {
  alpaca: { prompt: "instruction", query: "input", response: "output" },
  sharegpt: { messages: "conversations" },
  openai: { messages: "messages", tools: "tools" },
  text: { text: "text" },
};
const TAGS = {
  sharegpt: {
    role_tag: "from",
    content_tag: "value",
    user_tag: "human",
    assistant_tag: "gpt",
    observation_tag: "observation",
    function_tag: "function_call",
    system_tag: "system",
  },
  openai: {
    role_tag: "role",
    content_tag: "content",
    user_tag: "user",
    assistant_tag: "assistant",
    observation_tag: "tool",
    function_tag: "function_call",
    system_tag: "system",
  },
};

export class Mapping {
  /** `detected`: the worker's answer to detect. `onchange()` after each edit. */
  constructor(detected, onchange) {
    this.detected = detected;
    this.onchange = onchange;
    this.formatting = detected.formatting in COLUMNS ? detected.formatting : "alpaca";
    this.element = el("div", { className: "td-mapping" });
    this.#take(detected);
    this.#draw();
  }

  /** The entry of dataset_info.json that the fields say. What is said is said in full, as other trainers need it. */
  entry() {
    const entry = {};
    if (this.formatting !== "alpaca") entry.formatting = this.formatting;
    if (this.ranking) entry.ranking = true;
    const usual = DEFAULTS[this.formatting];
    const columns = {};
    for (const role of this.#roles()) {
      if (this.columns[role]) columns[role] = this.columns[role];
      else if (role === "response" || this.detected.found.includes(usual[role])) columns[role] = null;
    }
    if (Object.entries(columns).some(([role, column]) => column !== usual[role])) entry.columns = columns;
    if (this.formatting in TAGS && Object.entries(TAGS.sharegpt).some(([name, tag]) => this.tags[name] !== tag))
      entry.tags = { ...this.tags };
    return entry;
  }

  /** What the fields say, in the shape of an answer to detect. */
  said() {
    const { formatting, columns, tags, ranking } = this;
    return { formatting, columns: { ...columns }, tags: { ...tags }, ranking };
  }

  /** Whether the column without which there is nothing to read is chosen; says so beside its field. */
  ready() {
    const [role] = COLUMNS[this.formatting].main;
    const given = Boolean(this.columns[role]);
    for (const field of Object.values(this.fields)) field.setError("");
    this.fields[role].setError(given ? "" : t("data.needs_column"));
    return given;
  }

  /** Put what is wrong beside its column. Returns whether there was such a field. */
  mark(answer) {
    for (const field of Object.values(this.fields)) field.setError("");
    const wrong = answer?.fields ?? (answer?.field ? [{ field: answer.field, message: answer.error }] : []);
    let found = false;
    for (const { field, message } of wrong) {
      const role = field.replace(/^(columns|tags)\./, "");
      this.fields[role]?.setError(message);
      found ||= role in this.fields;
    }
    return found;
  }

  #take({ columns = {}, tags = {}, ranking = false }) {
    this.columns = { ...columns };
    this.tags = { ...TAGS[this.formatting], ...tags };
    this.ranking = Boolean(ranking);
  }

  #roles() {
    const { main, more } = COLUMNS[this.formatting];
    const answers = this.formatting === "alpaca" ? ["response"] : [];
    return this.ranking ? [...main.filter((role) => !answers.includes(role)), ...PAIR, ...more] : [...main, ...more];
  }

  #draw() {
    const { main, more } = COLUMNS[this.formatting];
    const columns = Object.fromEntries(this.#roles().map((role) => [role, this.#column(role)]));
    const shown = this.#roles().filter((role) => !more.includes(role) || this.columns[role]);
    const folded = this.#roles().filter((role) => !shown.includes(role));
    const formats = Object.keys(COLUMNS).map((name) => [name, t(`data.format_${name}`)]);
    const format = selectField(t("data.format"), this.formatting, formats, (name) => this.#reformat(name), {
      id: "td-formatting",
      wide: true,
    });
    this.fields = { formatting: format, ...columns };
    const grid = el("div", { className: "td-grid" }, format.element);
    if (this.formatting !== "text") {
      const ranking = checkField(t("data.ranking"), this.ranking, (on) => this.#set("ranking", on), {
        id: "td-ranking",
        help: t("data.ranking_help"),
      });
      grid.append(ranking.element);
    }
    const map = el("div", { className: "td-grid" }, ...shown.map((role) => columns[role].element));
    this.element.replaceChildren(grid, el("h4", {}, t("data.columns")), map);
    if (folded.length)
      this.element.append(
        fold(
          t("data.more_columns"),
          folded.map((role) => columns[role].element),
        ),
      );
    if (this.formatting in TAGS) this.element.append(fold(t("data.tags"), this.#tagFields(), this.#tagsDiffer()));
    this.#markMain(main);
  }

  #column(role) {
    const none = [["", t("data.no_column")]];
    const choices = [...none, ...this.detected.found.map((name) => [name, name])];
    const options = { id: `td-column-${role}`, help: t(`data.column_${role}_help`) };
    const value = this.detected.found.includes(this.columns[role]) ? this.columns[role] : "";
    return selectField(
      t(`data.column_${role}`),
      value,
      choices,
      (name) => {
        this.columns[role] = name;
        this.onchange();
      },
      options,
    );
  }

  /** The columns without which there is no dataset are told to be needed. */
  #markMain(main) {
    for (const role of main.slice(0, 1)) this.fields[role]?.input.setAttribute("aria-required", "true");
  }

  #tagFields() {
    return Object.entries(TAGS[this.formatting]).map(([name, usual]) => {
      const options = { id: `td-tag-${name}`, placeholder: usual };
      const made = textField(
        t(`data.tag_${name}`),
        this.tags[name] ?? "",
        (value) => {
          this.tags[name] = value.trim() || usual;
          this.onchange();
        },
        options,
      );
      this.fields[name] = made;
      return made.element;
    });
  }

  #tagsDiffer() {
    return Object.entries(TAGS[this.formatting]).some(([name, usual]) => (this.tags[name] ?? usual) !== usual);
  }

  #reformat(name) {
    this.formatting = name;
    const known = [this.detected, ...(this.detected.alternatives ?? [])].find((one) => one.formatting === name);
    const usual = Object.fromEntries(
      Object.entries(DEFAULTS[name]).filter(([, column]) => this.detected.found.includes(column)),
    );
    this.#take(known ?? { columns: usual });
    this.#draw();
    this.element.querySelector("#td-formatting").focus();
    this.onchange();
  }

  #set(name, value) {
    this[name] = value;
    this.#draw();
    this.element.querySelector(`#td-${name}`)?.focus();
    this.onchange();
  }
}

function fold(title, elements, open = false) {
  return el("details", { open }, el("summary", {}, title), el("div", { className: "td-grid" }, ...elements));
}
