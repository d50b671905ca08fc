// What the Data page shows: folder, dataset, view and settings. Kept outside its element, which Gradio may replace at any
// time, and for this browser tab.

const KEY = "tunesmith.data";

export const VIEWS = ["tokens", "rows", "lengths", "problems"];

/** The settings a preview depends on, by argument name; texts as typed. */
const SETTINGS = {
  model_name_or_path: "",
  template: "",
  cutoff_len: "2048",
  packing: "",
  mask_history: false,
  enable_thinking: "true",
};

function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

const kept = remembered();
/** What the address asks for comes before what was open. */
const asked = new URLSearchParams(location.search);

export const state = {
  dataset_dir: asked.get("dataset_dir") ?? kept.dataset_dir ?? "data",
  dataset: asked.get("dataset") ?? kept.dataset ?? "",
  view: VIEWS.includes(kept.view) ? kept.view : "tokens",
  settings: { ...SETTINGS, ...kept.settings },
  /** Nobody has chosen anything yet: what the Train form holds is taken over. */
  fresh: !kept.settings,
  models: [],
  templates: [],
};

export function remember() {
  const { dataset_dir, dataset, view, settings } = state;
  sessionStorage.setItem(KEY, JSON.stringify({ dataset_dir, dataset, view, settings }));
  window.dispatchEvent(new Event("tunesmith:dataset"));
}

/** The part of the address that says which dataset is open: parameter -> value, null where it goes without saying. */
export function addressed() {
  const { dataset, dataset_dir } = state;
  return { dataset: dataset || null, dataset_dir: dataset && dataset_dir !== "data" ? dataset_dir : null };
}

/** Take over what the Train form holds, once. */
export function takeOver(settings) {
  if (!state.fresh) return;
  state.fresh = false;
  for (const [name, value] of Object.entries(settings)) {
    if (name === "dataset_dir") state.dataset_dir = asked.get("dataset_dir") ?? String(value);
    else if (name in SETTINGS) state.settings[name] = typeof SETTINGS[name] === "boolean" ? Boolean(value) : String(value);
  }
}

/** The settings as arguments of the worker's questions: unsaid where they are empty. */
export function settingArguments() {
  const { model_name_or_path, template, cutoff_len, packing, mask_history, enable_thinking } = state.settings;
  const given = { model_name_or_path: model_name_or_path.trim(), mask_history };
  if (template.trim()) given.template = template.trim();
  if (String(cutoff_len).trim())
    given.cutoff_len = /^\d+$/.test(String(cutoff_len).trim()) ? Number(cutoff_len) : cutoff_len;
  if (packing) given.packing = packing === "true";
  given.enable_thinking = enable_thinking === "null" ? null : enable_thinking === "true";
  return given;
}

/** Which data a question is about. */
export function sourceArguments() {
  return { dataset_dir: state.dataset_dir || "data", dataset: state.dataset };
}
