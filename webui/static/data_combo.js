// A text field with a list of suggestions: any text may be typed, all suggestions show until something is.

import { el } from "./dom.js";

let counter = 0;

/** {element, input, setList(texts)}. `onchange(value)` after each edit and each choice. */
export function combobox(value, onchange, { id, label = "", placeholder = "" }) {
  counter += 1;
  const list = el("ul", {
    className: "td-list",
    id: `td-list-${counter}`,
    role: "listbox",
    hidden: true,
    "aria-label": label,
  });
  const input = el("input", {
    type: "text",
    id,
    value,
    placeholder,
    autocomplete: "off",
    spellcheck: false,
    role: "combobox",
  });
  for (const [name, text] of Object.entries({ autocomplete: "list", controls: list.id, expanded: "false" })) {
    input.setAttribute(`aria-${name}`, text);
  }
  const element = el("div", { className: "td-combo" }, input, list);
  let texts = [];
  let at = -1;

  function open(filter = "") {
    const wanted = filter.trim().toLowerCase();
    const shown = texts.filter((text) => text.toLowerCase().includes(wanted)).slice(0, 200);
    at = -1;
    list.replaceChildren(...shown.map((text, i) => option(text, i)));
    list.hidden = !shown.length;
    input.setAttribute("aria-expanded", String(shown.length > 0));
    input.removeAttribute("aria-activedescendant");
  }

  function close() {
    list.hidden = true;
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function option(text, i) {
    const item = el("li", { role: "option", id: `${list.id}-${i}`, "aria-selected": String(text === input.value) }, text);
    item.addEventListener("mousedown", (event) => {
      event.preventDefault(); // the field keeps the keyboard
      choose(text);
    });
    return item;
  }

  function choose(text) {
    input.value = text;
    close();
    onchange(text);
  }

  function move(step) {
    if (list.hidden) open();
    const items = [...list.children];
    if (!items.length) return;
    at = (at + step + items.length) % items.length;
    items.forEach((item, i) => item.classList.toggle("active", i === at));
    items[at].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", items[at].id);
  }

  input.addEventListener("mousedown", () => list.hidden && open());
  input.addEventListener("blur", close);
  input.addEventListener("input", () => {
    open(input.value);
    onchange(input.value);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") move(event.key === "ArrowDown" ? 1 : -1);
    else if (event.key === "Enter" && at >= 0) choose(list.children[at].textContent);
    else if (event.key === "Escape" && !list.hidden) close();
    else return;
    event.preventDefault();
  });
  return { element, input, setList: (found) => (texts = found) };
}
