// Small helpers to build the page. Text always goes in as text, never as HTML.

/** An element. Properties named on* are listeners, aria-* and data-* attributes, the rest properties. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (/^(aria|data)-|^role$/.test(name)) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** Set text only where it differs, so that a screen reader and a selection are left alone. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Ask before something that cannot be undone. Resolves to true when confirmed; Escape means no. */
export function confirmDialog(title, body, yes, no) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { className: "ts-dialog" });
    const cancel = el("button", { type: "button", onclick: () => dialog.close("no") }, no);
    const confirm = el("button", { type: "button", className: "danger", onclick: () => dialog.close("yes") }, yes);
    dialog.append(el("h3", {}, title), el("p", {}, body), el("div", { className: "buttons" }, cancel, confirm));
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
    cancel.focus();
  });
}

/** A short message at the bottom of the page. `kind`: "info" or "error". */
export function toast(text, kind = "info") {
  let list = document.querySelector(".ts-toasts");
  if (!list) {
    list = el("div", { className: "ts-toasts", role: "status", "aria-live": "polite" });
    document.body.append(list);
  }
  const note = el("div", { className: `ts-toast ${kind}` }, text);
  list.append(note);
  setTimeout(() => note.remove(), kind === "error" ? 9000 : 4000);
}
