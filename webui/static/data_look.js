// "Look at it" beside the dataset field of the Train form: opens the chosen dataset on the Data page.

import { el, setText } from "./dom.js";
import { t } from "./text.js";

const FIELD = "train-dataset";
const BRIDGE = "train-look"; // a button of the form: it hands over what the field holds

function press() {
  const bridge = document.getElementById(BRIDGE);
  (bridge?.querySelector("button") ?? bridge)?.click();
}

function place() {
  const field = document.getElementById(FIELD);
  if (!field) return;
  const link =
    field.querySelector(":scope > .ts-look") ??
    field.appendChild(el("button", { type: "button", className: "ts-look", onclick: press }));
  setText(link, t("data.look"));
  link.title = t("data.look_help");
}

// Tabs enter the document when they are opened.
let waiting = false;
new MutationObserver(() => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    place();
  });
}).observe(document.documentElement, { childList: true, subtree: true });
window.addEventListener("tunesmith:language", place);
place();
