// The log of a run: the newest lines, coloured by what they are, following the end until a person scrolls up.

import { el } from "./dom.js";
import { t } from "./text.js";

const MAX_LINES = 2000;
const ERROR = /\b(error|traceback|exception|killed)\b/i;
const WARNING = /\bwarn(ing)?\b/i;

export class LogView {
  constructor() {
    this.box = el("div", { className: "log", tabIndex: 0, role: "log", "aria-label": t("run.log"), onscroll: () => this.#onScroll() });
    this.box.setAttribute("aria-live", "off"); // one line a second is too much to be read aloud
    this.followButton = toggle(t("run.follow"), true, (on) => on && this.#toEnd());
    const wrap = toggle(t("run.wrap"), localStorage.getItem("tunesmith.wrap") === "true", (on) => {
      localStorage.setItem("tunesmith.wrap", String(on));
      this.box.classList.toggle("wrapped", on);
    });
    this.box.classList.toggle("wrapped", isOn(wrap));
    const head = el("div", { className: "log-head" }, el("span", {}, t("run.log")), wrap, this.followButton);
    this.element = el("div", { className: "log-view" }, head, this.box);
  }

  /** Add whole lines. */
  append(text) {
    if (!text) return;
    const lines = text.replace(/\n$/, "").split("\n").slice(-MAX_LINES);
    const fragment = document.createDocumentFragment();
    for (const line of lines) {
      const kind = ERROR.test(line) ? "error" : WARNING.test(line) ? "warning" : "";
      fragment.append(el("div", { className: kind }, line || " "));
    }
    this.box.append(fragment);
    for (let extra = this.box.childElementCount - MAX_LINES; extra > 0; extra -= 1) this.box.firstChild.remove();
    if (isOn(this.followButton)) this.#toEnd();
  }

  /** It has come into sight: a closed tab forgets how far it was scrolled. */
  settle() {
    if (isOn(this.followButton)) this.#toEnd();
  }

  clear() {
    this.box.replaceChildren();
    setOn(this.followButton, true);
  }

  #toEnd() {
    this.box.scrollTop = this.box.scrollHeight;
  }

  #onScroll() {
    const atEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 24;
    setOn(this.followButton, atEnd);
  }
}

function toggle(label, on, onChange) {
  const button = el("button", { type: "button" }, label);
  setOn(button, on);
  button.addEventListener("click", () => {
    setOn(button, !isOn(button));
    onChange(isOn(button));
  });
  return button;
}

const isOn = (button) => button.getAttribute("aria-pressed") === "true";
const setOn = (button, on) => button.setAttribute("aria-pressed", String(on));
