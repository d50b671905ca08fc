// The fields of the Data page: a label, a control, and what is wrong with it below. Plain elements, no framework.

import { combobox } from "./data_combo.js";
import { el, setText } from "./dom.js";

let counter = 0;

/** {element, input, setError(text)}. `control` is an input or a select; its id and error are tied to the label. */
function field(label, control, { help = "", wide = false, around = control } = {}) {
  counter += 1;
  control.id ||= `td-field-${counter}`;
  const error = el("div", { className: "td-error", id: `${control.id}-error`, hidden: true, role: "alert" });
  const name = el("label", { htmlFor: control.id, title: help }, label);
  const element = el("div", { className: wide ? "td-field wide" : "td-field" }, name, around, error);
  return {
    element,
    input: control,
    setError(text) {
      error.hidden = !text;
      setText(error, text ?? "");
      element.classList.toggle("bad", Boolean(text));
      if (text) {
        control.setAttribute("aria-invalid", "true");
        control.setAttribute("aria-describedby", error.id);
      } else {
        control.removeAttribute("aria-invalid");
        control.removeAttribute("aria-describedby");
      }
    },
  };
}

/** A line of text. `oninput(value)` after each edit; `suggest`: it has a list to choose from, set with `setList`. */
export function textField(label, value, oninput, { suggest = false, id = "", placeholder = "", ...options } = {}) {
  if (suggest) {
    const combo = combobox(value, oninput, { id, label, placeholder });
    return { ...field(label, combo.input, { ...options, around: combo.element }), setList: combo.setList };
  }
  const input = el("input", { type: "text", value, placeholder, autocomplete: "off", spellcheck: false });
  if (id) input.id = id;
  input.addEventListener("input", () => oninput(input.value));
  return field(label, input, options);
}

export function numberField(label, value, oninput, options = {}) {
  const made = textField(label, value, oninput, options);
  made.input.inputMode = "numeric";
  return made;
}

/** `choices`: [value, label] pairs. */
export function selectField(label, value, choices, onchange, { id = "", ...options } = {}) {
  const select = el("select", {});
  if (id) select.id = id;
  for (const [code, name] of choices) select.append(el("option", { value: code }, name));
  select.value = value;
  select.addEventListener("change", () => onchange(select.value));
  return field(label, select, options);
}

export function checkField(label, checked, onchange, { id = "", help = "" } = {}) {
  const input = el("input", { type: "checkbox", checked });
  if (id) input.id = id;
  input.addEventListener("change", () => onchange(input.checked));
  const element = el("div", { className: "td-field check" }, el("label", { title: help }, input, el("span", {}, label)));
  return { element, input, setError() {} };
}

/** A row of buttons of which one is pressed: [value, label, count?]. Arrow keys move, as in a tab strip. */
export function tabStrip(label, items, current, onchange) {
  const strip = el("div", { className: "td-tabs", role: "tablist", "aria-label": label });
  const buttons = items.map(([value, name]) => {
    const count = el("span", { className: "count" });
    const button = el(
      "button",
      { type: "button", role: "tab", id: `td-tab-${value}`, "aria-controls": "td-panel" },
      name,
      count,
    );
    button.addEventListener("click", () => choose(value));
    strip.append(button);
    return { value, button, count };
  });
  const show = (value) => {
    for (const { value: other, button } of buttons) {
      button.setAttribute("aria-selected", String(other === value));
      button.tabIndex = other === value ? 0 : -1;
    }
  };
  function choose(value) {
    show(value);
    onchange(value);
  }
  strip.addEventListener("keydown", (event) => {
    const at = buttons.findIndex(({ button }) => button === event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    const next = buttons[(to + buttons.length) % buttons.length];
    next.button.focus();
    choose(next.value);
    event.preventDefault();
  });
  show(current);
  return {
    element: strip,
    show,
    setCount: (value, text) => setText(buttons.find((one) => one.value === value).count, text),
  };
}

/** A plain button. `options`: id, primary (the one thing to do), hidden. */
export function button(label, onclick, { primary = false, ...options } = {}) {
  return el(
    "button",
    { type: "button", className: primary ? "td-button primary" : "td-button", onclick, ...options },
    label,
  );
}

export function searchField(label, oninput) {
  const input = el("input", { type: "search", className: "td-search", placeholder: label, "aria-label": label });
  input.addEventListener("input", () => oninput(input.value));
  return input;
}

/** Enable what leads on. A button that had the keyboard and leads nowhere any more hands it to the other. */
export function pagerEnds(back, forth, hasBack, hasForth) {
  const held = document.activeElement;
  back.disabled = !hasBack;
  forth.disabled = !hasForth;
  if (held === back && !hasBack) forth.focus();
  else if (held === forth && !hasForth) back.focus();
}

/** A sentence in place of something that is not there (yet). */
export function inPlace(words) {
  return el("p", { className: "td-nothing", role: "status" }, words);
}
