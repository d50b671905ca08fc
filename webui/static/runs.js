// Which run each tab shows, and what may be done to a run. Remembered for this browser tab; the visible one is in ?job=.

import { confirmDialog, toast } from "./dom.js";
import { ServerError, call } from "./server.js";
import { t } from "./text.js";

export const ACTIVE = ["queued", "starting", "running"];
export const RESUMABLE = ["failed", "stopped", "lost", "paused"];

const TAB_OF_COMMAND = { train: "train", eval: "evaluate", export: "export", api: "jobs" };
const KEY = "tunesmith.runs";

/** tab -> {id, state, command} */
const shown = new Map(Object.entries(JSON.parse(sessionStorage.getItem(KEY) ?? "{}")));

export function tabOf(command) {
  return TAB_OF_COMMAND[command] ?? "jobs";
}

export function commandOf(tab) {
  return Object.keys(TAB_OF_COMMAND).find((command) => TAB_OF_COMMAND[command] === tab && tab !== "jobs");
}

/** The value of one argument of a run's command line; "" where it is not given. */
export function argument(argv, name) {
  const at = argv.indexOf(name);
  return at >= 0 ? String(argv[at + 1] ?? "") : "";
}

export function shownJob(tab) {
  return shown.get(tab)?.id ?? "";
}

export function shownState(tab) {
  return shown.get(tab)?.state ?? "";
}

/** Show run `id` in `tab` (its view hears of it by the event); "" shows none. */
export function showJob(tab, id) {
  if (shownJob(tab) === id) return;
  if (id) shown.set(tab, { id, state: "", command: "" });
  else shown.delete(tab);
  remember();
  window.dispatchEvent(new CustomEvent("tunesmith:show", { detail: { tab, id } }));
  announce(tab);
}

/** What the view has read: tells the page when the state of the shown run has changed. */
export function noteState(tab, job) {
  const entry = shown.get(tab);
  if (!entry || entry.id !== job.id || entry.state === job.state) return;
  shown.set(tab, { id: job.id, state: job.state, command: job.command });
  remember();
  announce(tab);
}

function remember() {
  sessionStorage.setItem(KEY, JSON.stringify(Object.fromEntries(shown)));
}

function announce(tab) {
  const detail = { tab, id: "", state: "", command: "", ...shown.get(tab) };
  window.dispatchEvent(new CustomEvent("tunesmith:job", { detail }));
}

/** Ask a run to stop; `now` gives up on saving. */
export function stopJob(id, now = false) {
  return act(() => call(`jobs/${id}/stop${now ? "?now=true" : ""}`, "POST"));
}

export function resumeJob(id) {
  return act(() => call(`jobs/${id}/resume`, "POST"));
}

/** Delete a run after asking. Resolves to true when it is gone. */
export async function deleteJob(job) {
  const body = t("jobs.delete_body", { folder: job.run_dir });
  const sure = await confirmDialog(t("jobs.delete_title", { name: job.name }), body, t("jobs.delete"), t("jobs.keep"));
  if (!sure) return false;
  const answer = await act(() => call(`jobs/${job.id}`, "DELETE"));
  if (!answer) return false;
  for (const [tab, entry] of shown) if (entry.id === job.id) showJob(tab, "");
  if (!answer.folder_deleted) toast(t("jobs.folder_kept", { folder: job.run_dir }));
  return true;
}

/** Run an action; what went wrong is said in a toast. Every list and view then looks again. Resolves to null on failure. */
async function act(request) {
  try {
    return await request();
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    toast(error.status ? error.message : t("run.unreachable"), "error");
    return null;
  } finally {
    window.dispatchEvent(new CustomEvent("tunesmith:changed"));
  }
}
