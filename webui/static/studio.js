// The page's own script: loads its parts, ties the tabs to the address, and offers `window.tunesmith` to the pages.

import "./bar.js";
import "./jobs.js";
import "./run_view.js";
import { addressed } from "./data_state.js";
import { toast } from "./dom.js";
import { resumeJob, showJob, shownJob, shownState, stopJob, tabOf } from "./runs.js";
import { ServerError, call } from "./server.js";
import { language, t } from "./text.js";

const NAV = "#ts-nav > .tab-wrapper";

function tabButton(tab) {
  return document.querySelector(`${NAV} [role=tab][data-tab-id="${CSS.escape(tab)}"]`);
}

function currentTab() {
  return document.querySelector(`${NAV} [role=tab][aria-selected=true]`)?.dataset.tabId ?? "";
}

/** Open a tab. */
function go(tab) {
  const button = tabButton(tab);
  if (button && currentTab() !== tab) button.click();
}

/** Show run `id`: in `tab`, or else in the tab of its command. */
async function open(id, tab) {
  let target = tab;
  if (!target) {
    try {
      target = tabOf((await call(`jobs/${encodeURIComponent(id)}`)).command);
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      toast(error.status ? error.message : t("run.unreachable"), "error");
      return;
    }
  }
  showJob(target, id);
  go(target);
  keepAddress();
}

function stop(tab) {
  const id = shownJob(tab);
  if (id && ["queued", "starting", "running"].includes(shownState(tab))) stopJob(id);
  else toast(t("run.nothing_to_stop"));
}

function resume(tab) {
  const id = shownJob(tab);
  if (id) resumeJob(id);
}

/** #tab, ?job= and ?dataset= say what is on screen, so that a reload and a copied address show the same. */
function keepAddress() {
  const tab = currentTab();
  if (!tab) return;
  const url = new URL(location.href);
  const job = shownJob(tab);
  if (job) url.searchParams.set("job", job);
  else url.searchParams.delete("job");
  for (const [name, value] of Object.entries(addressed())) {
    if (tab === "data" && value) url.searchParams.set(name, value);
    else url.searchParams.delete(name);
  }
  url.searchParams.delete("__theme");
  url.hash = tab;
  if (url.href === location.href) return;
  const sameTab = location.hash === url.hash || !location.hash;
  history[sameTab ? "replaceState" : "pushState"](history.state, "", url);
}

/** Gradio gives the tabs it has not opened yet their titles once, in the language of that moment. */
function nameTabs() {
  for (const button of document.querySelectorAll(`${NAV} [role=tab]`)) {
    const words = [...button.childNodes].find((node) => node.nodeType === Node.TEXT_NODE);
    if (words) words.nodeValue = t(`bar.${button.dataset.tabId}`); // its own text node: Gradio will write to it again
  }
}

/** Gradio draws the tabs some time after this script has run. */
function whenTabsAreThere(callback) {
  if (tabButton("train")) return callback();
  const watcher = new MutationObserver(() => {
    if (!tabButton("train")) return;
    watcher.disconnect();
    callback();
  });
  watcher.observe(document.documentElement, { childList: true, subtree: true });
}

function start() {
  const job = new URL(location.href).searchParams.get("job");
  const tab = location.hash.slice(1);
  if (tab) go(tab);
  if (job) open(job, tab || undefined);
  // Python may select a tab too, so the strip is watched, not the clicks.
  const strip = document.querySelector(NAV);
  new MutationObserver(keepAddress).observe(strip, { attributes: true, attributeFilter: ["aria-selected"], subtree: true });
  window.addEventListener("popstate", () => go(location.hash.slice(1)));
  window.addEventListener("tunesmith:show", keepAddress);
  window.addEventListener("tunesmith:dataset", keepAddress);
  window.addEventListener("tunesmith:language", () => setTimeout(nameTabs, 0));
  keepAddress();
}

window.tunesmith = { open, go, stop, resume, toast, t, language, job: shownJob, state: shownState };
whenTabsAreThere(start);
