// The settings that decide what the model sees: model, template, max length, packing, masking, thinking.

import { checkField, numberField, selectField, textField } from "./data_fields.js";
import { state } from "./data_state.js";
import { el } from "./dom.js";
import { t } from "./text.js";

const DELAY_MS = 120;

export class Settings {
  /** `prefix` keeps the ids of two sets of fields apart. */
  constructor(onchange, { prefix = "td" } = {}) {
    this.onchange = onchange;
    const { settings } = state;
    /** A field of `kind` for an argument; `more` is what that kind takes beside label, value and id. */
    const field = (kind, name, value, more = [], { delay = 0, read = (typed) => typed, ...options } = {}) => {
      const set = (typed) => this.#set(name, read(typed), delay);
      const about = { id: `${prefix}-${name}`, help: t(`arg.${name}.help`), ...options };
      return kind(t(`arg.${name}.label`), value, ...more, set, about);
    };
    const onOff = [
      ["true", t("form.on")],
      ["false", t("form.off")],
    ];
    const thinking = [...onOff, ["null", t("data.thinking_null")]];
    const auto = t("form.auto");
    this.fields = {
      model_name_or_path: field(textField, "model_name_or_path", settings.model_name_or_path, [], {
        delay: 400,
        suggest: true,
        wide: true,
      }),
      template: field(textField, "template", settings.template, [], { delay: 250, suggest: true, placeholder: auto }),
      cutoff_len: field(numberField, "cutoff_len", settings.cutoff_len, [], { delay: DELAY_MS }),
      enable_thinking: field(selectField, "enable_thinking", settings.enable_thinking, [thinking]),
      packing: field(checkField, "packing", settings.packing === "true", [], { read: String }),
      mask_history: field(checkField, "mask_history", settings.mask_history),
    };
    this.offerChoices();
    this.element = el("div", { className: "td-settings" }, ...Object.values(this.fields).map((field) => field.element));
  }

  /** Show what `state` says: another set of these fields may have changed it. */
  sync() {
    const { settings } = state;
    for (const name of ["model_name_or_path", "template", "cutoff_len", "enable_thinking"])
      this.fields[name].input.value = settings[name];
    this.fields.packing.input.checked = settings.packing === "true";
    this.fields.mask_history.input.checked = settings.mask_history;
  }

  /** The menus' choices have come. */
  offerChoices() {
    this.fields.model_name_or_path.setList(state.models);
    this.fields.template.setList(state.templates);
  }

  /** Whether there is a model to ask about; says so beside the field where there is none. */
  ready() {
    const given = state.settings.model_name_or_path.trim() !== "";
    this.fields.model_name_or_path.setError(given ? "" : t("data.needs_model"));
    return given;
  }

  /** Put what is wrong beside its field. Returns whether there was such a field. `answer` null: nothing is wrong. */
  mark(answer) {
    for (const field of Object.values(this.fields)) field.setError("");
    const wrong = answer?.fields ?? (answer?.field ? [{ field: answer.field, message: answer.error }] : []);
    let found = false;
    for (const { field, message } of wrong) {
      this.fields[field]?.setError(message);
      found ||= field in this.fields;
    }
    return found;
  }

  #set(name, value, delay) {
    state.settings[name] = value;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.onchange(), delay ?? 0);
  }
}
