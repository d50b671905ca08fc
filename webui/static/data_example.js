// One row after mapping: who says what. The live example of "Add a dataset".

import { el } from "./dom.js";
import { t } from "./text.js";

export function exampleCard(example) {
  const card = el("article", { className: "td-example", "data-kind": example.kind });
  if (example.text) card.append(turn("text", example.text));
  if (example.system) card.append(turn("system", example.system));
  if (example.tools?.length) card.append(turn("tools", JSON.stringify(example.tools, null, 1)));
  for (const message of example.messages ?? []) card.append(said(message));
  for (const answer of ["chosen", "rejected"]) if (example[answer]) card.append(said(example[answer], answer));
  if (example.kind === "label")
    card.append(el("p", { className: "td-label" }, t(example.desirable ? "data.desirable" : "data.undesirable")));
  return card;
}

function said(message, as = message.role) {
  const element = turn(as, message.content ?? "");
  const thought = message.reasoning_content ?? message.thought;
  if (thought) element.insertBefore(el("p", { className: "thought" }, thought), element.lastChild);
  for (const call of message.tool_calls ?? []) {
    const { name, arguments: given } = call.function ?? call;
    element.append(el("pre", {}, `${name}(${JSON.stringify(given)})`));
  }
  return element;
}

function turn(role, content) {
  return el("div", { className: `turn ${role}` }, el("b", {}, t(`data.role_${role}`, {}, role)), el("p", {}, content));
}
