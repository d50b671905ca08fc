// Calls to the studio's own routes. Paths are relative to the page, so a proxy's prefix needs no care.

const TIMEOUT_MS = 10_000;

/** A reply that is not 2xx: `status`, and the server's own sentence as the message. No reply at all: status 0. */
export class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** `path` under studio/api. Resolves to the JSON answer, rejects with a ServerError. */
export async function call(path, method = "GET") {
  let response;
  let body;
  try {
    response = await fetch(new URL(`studio/api/${path}`, document.baseURI), {
      method,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const isJson = response.headers.get("content-type")?.includes("json");
    body = isJson ? await response.json() : { error: await response.text() };
  } catch (error) {
    throw new ServerError(0, String(error)); // also where the connection ends, or time runs out, in mid-reply
  }
  if (!response.ok) throw new ServerError(response.status, body.error ?? response.statusText);
  return body;
}

/**
 * Call `task` again and again: after `delay()` ms, sooner when the page comes back into sight, later and later while the
 * server cannot be reached. `onState("ok" | "reconnecting")` tells which. `task` decides by itself whether it is shown.
 */
export class Poller {
  constructor(task, delay, onState = () => {}) {
    this.task = task;
    this.delay = delay;
    this.onState = onState;
    this.failures = 0;
    this.running = false;
    this.again = false;
    this.timer = 0;
    this.wake = () => document.hidden || this.now();
  }

  start() {
    document.addEventListener("visibilitychange", this.wake);
    this.now();
  }

  stop() {
    document.removeEventListener("visibilitychange", this.wake);
    clearTimeout(this.timer);
    this.stopped = true;
  }

  async now() {
    clearTimeout(this.timer);
    this.stopped = false;
    if (this.running) {
      this.again = true;
      return;
    }
    this.running = true;
    try {
      await this.task();
      this.failures = 0;
      this.onState("ok");
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      this.failures += 1;
      this.onState("reconnecting");
    } finally {
      this.running = false;
      if (!this.stopped) this.timer = setTimeout(() => this.now(), this.wait());
      this.again = false;
    }
  }

  wait() {
    if (this.failures) return Math.min(500 * 2 ** this.failures, 15_000);
    if (this.again) return 0;
    return document.hidden ? 15_000 : this.delay();
  }
}
