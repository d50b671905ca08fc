// What the forms need beyond their framework: problems beside their fields, files to download, and a nudge when a run ends.
// It never decides what is valid; the server's summary of problems is the only source.

const buttons = { shown: "shown", refresh: "refresh" };

function press(tab, which) {
  const found = document.getElementById(`${tab}-${buttons[which]}`);
  (found?.querySelector("button") ?? found)?.click();
}

// ---- problems beside their fields

const MESSAGE = "ts-field-message";

function problems_by_field() {
  const found = new Map();
  for (const item of document.querySelectorAll(".ts-problems li[data-field]")) {
    found.set(item.dataset.field, item.querySelector("span")?.textContent ?? "");
  }
  return found;
}

function mark_fields() {
  const problems = problems_by_field();
  for (const block of document.querySelectorAll(".ts-bad-field")) {
    if (!problems.has(block.id)) unmark(block);
  }
  for (const [id, message] of problems) {
    const block = document.getElementById(id);
    if (block) mark(block, message);
  }
}

function mark(block, message) {
  block.classList.add("ts-bad-field");
  let note = block.querySelector(`:scope > .${MESSAGE}`);
  if (!note) {
    note = document.createElement("div");
    note.className = MESSAGE;
    note.id = `${block.id}-message`;
    block.append(note);
  }
  if (note.textContent !== message) note.textContent = message;
  for (const input of block.querySelectorAll("input, textarea")) {
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", note.id);
  }
}

function unmark(block) {
  block.classList.remove("ts-bad-field");
  block.querySelector(`:scope > .${MESSAGE}`)?.remove();
  for (const input of block.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
  }
}

function go_to(id) {
  const block = document.getElementById(id);
  if (!block) return;
  block.scrollIntoView({ block: "center", behavior: "smooth" });
  block.querySelector("input, textarea")?.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const item = event.target.closest?.(".ts-goto")?.closest("li[data-field]");
  if (item) go_to(item.dataset.field);
});

// ---- copying

async function copy(button) {
  const source = button.parentElement.querySelector("pre");
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    // Plain http from another machine has no clipboard: select the text and copy it the old way.
    getSelection().selectAllChildren(source);
    document.execCommand("copy");
  }
  const said = button.textContent;
  button.textContent = button.dataset.done;
  setTimeout(() => (button.textContent = said), 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.(".ts-copy");
  if (button) copy(button);
});

// ---- menus

// Any key opens the list of a menu, also the Tab that leaves it, and then it stays open over the next fields. Escape
// closes it and keeps the text.
document.addEventListener(
  "keydown",
  ({ key, target }) => {
    if (key !== "Tab" || target.getAttribute?.("role") !== "combobox") return;
    setTimeout(() => target.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true })), 0);
  },
  true,
);

// Sections and tabs enter the document when they are opened: mark again whenever something was added or removed.
let waiting = false;
new MutationObserver(() => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    mark_fields();
  });
}).observe(document.documentElement, { childList: true, subtree: true });

// ---- runs and languages

const last_shown = new Map();

addEventListener("tunesmith:job", ({ detail }) => {
  const facts = `${detail.id} ${detail.state}`;
  if (last_shown.get(detail.tab) === facts) return;
  last_shown.set(detail.tab, facts);
  press(detail.tab, "shown");
});

addEventListener("tunesmith:language", () => {
  for (const tab of ["train", "chat", "evaluate", "export"]) {
    press(tab, "refresh");
    press(tab, "shown");
  }
});

// ---- called from the pages' events

let restored = false;

window.tunesmith_form = {
  /** The fields show what was remembered: from now on edits are worth keeping. */
  restored() {
    restored = true;
  },
  shown_job(tab) {
    return restored ? (window.tunesmith?.job(tab) ?? "") : null;
  },
  /** Bring the summary of problems into view after a Start that was refused. */
  show_problems(tab) {
    const box = document.querySelector(`#${tab}-problems .ts-problems, #${tab}-notes .ts-notes`);
    box?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  },
  /** Bring a panel that has just been opened into view; it may have been closed instead. */
  show(id) {
    requestAnimationFrame(() => {
      document.getElementById(id)?.scrollIntoView({ block: "nearest", behavior: "smooth" });
    });
  },
  /** Draw the preview of a tab anew; its fields were changed by another tab. */
  refresh(tab) {
    press(tab, "refresh");
  },
  /** Hand a file to the browser. `file`: JSON of {name, content}; empty where there is nothing to hand out. */
  download(file) {
    if (!file) return;
    const { name, content } = JSON.parse(file);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: "application/yaml" }));
    link.download = `${name}.yaml`;
    link.click();
    URL.revokeObjectURL(link.href);
  },
};
