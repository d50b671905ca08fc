// What the Data page asks of the server: questions for the data worker, and uploads. Draws nothing.

import { t } from "./text.js";

const address = (path) => new URL(`studio/api/data/${path}`, document.baseURI);

/**
 * One question to the worker. Resolves to its answer, which has `error` where the data or a setting is at fault, and `away`
 * too where the studio cannot be reached.
 */
export async function ask(op, args = {}) {
  try {
    const response = await fetch(address(op), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(args),
    });
    if (response.ok) return await response.json();
    return { error: t("data.no_answer", { status: response.status }) };
  } catch {
    return { error: t("run.unreachable"), away: true };
  }
}

/** What the menus offer before anything has been asked; null while the studio is away. */
export async function choices() {
  try {
    const response = await fetch(address("choices"));
    if (response.ok) return await response.json();
  } catch {
    // the list says that the studio is away, and asks until it is back
  }
  return null;
}

/** Send a file. `onProgress(share)` follows it. Resolves to {upload, name, size} or {error}. */
export function upload(file, onProgress) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much has been sent
    request.open("POST", address(`uploads?name=${encodeURIComponent(file.name)}`));
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onload = () => {
      try {
        resolve(JSON.parse(request.responseText));
      } catch {
        resolve({ error: t("data.no_answer", { status: request.status }) });
      }
    };
    request.onerror = () => resolve({ error: t("data.upload_failed") });
    request.send(file);
  });
}

/** Forget an upload that will not be registered. */
export function discard(id) {
  fetch(address(`uploads/${id}`), { method: "DELETE" }).catch(() => {}); // the server sweeps old ones by itself
}

/**
 * Ask again and again as settings change: one question is on its way at a time, and of those that wait only the newest is
 * asked. `show(answer, args)` is called with the newest answer alone.
 */
export class Latest {
  constructor(op, show, onBusy = () => {}) {
    this.op = op;
    this.show = show;
    this.onBusy = onBusy;
    this.waiting = null;
    this.busy = false;
    this.turn = 0;
  }

  async ask(args) {
    this.waiting = args;
    if (this.busy) return;
    this.busy = true;
    this.onBusy(true);
    try {
      while (this.waiting) {
        const asked = this.waiting;
        this.waiting = null;
        const turn = this.turn;
        const answer = await ask(this.op, asked);
        if (!this.waiting && turn === this.turn) this.show(answer, asked);
      }
    } finally {
      this.busy = false; // an answer that cannot be drawn must not keep the next one out
      this.onBusy(false);
    }
  }

  /** What is on its way does not matter any more. */
  drop() {
    this.turn += 1;
    this.waiting = null;
  }
}
