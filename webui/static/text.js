// Texts in the chosen language. The table is the one the page already carries for Gradio (webui/i18n/*.json).

const LOCALES = { en: "en", zh: "zh-CN" };

export function language() {
  return document.documentElement.lang.startsWith("zh") ? "zh" : "en";
}

/** The text of `key`, with {names} filled from `values`; `fallback` where there is no such text. */
export function t(key, values = {}, fallback = key) {
  const tables = window.gradio_config?.i18n_translations ?? {};
  const text = tables[LOCALES[language()]]?.[key] ?? tables.en?.[key] ?? fallback;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/**
 * Switch language without a reload, by a function that Gradio exports but does not document. Where this version does not
 * have it, reload: the boot script takes the remembered language up.
 */
export async function switchLanguage(chosen) {
  localStorage.setItem("tunesmith.language", chosen);
  document.cookie = `tunesmith_language=${chosen}; path=/; max-age=31536000; SameSite=Lax`;
  const core = window.tunesmith_page?.gradio_core;
  try {
    const module = await import(new URL(core, document.baseURI).href);
    module.changeLocale(LOCALES[chosen]);
  } catch {
    location.reload();
    return;
  }
  document.documentElement.lang = LOCALES[chosen];
  window.dispatchEvent(new CustomEvent("tunesmith:language", { detail: { language: chosen } }));
}

/** Seconds as "8s", "2m 12s", "1h 04m". */
export function formatDuration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s}s`;
  const two = (n) => String(n).padStart(2, "0");
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86400)}d ${two(Math.floor((s % 86400) / 3600))}h`;
}

/** Unix seconds as the local time of day, with the date where it is not today. */
export function formatTime(seconds) {
  if (!seconds) return "";
  const when = new Date(seconds * 1000);
  const time = when.toLocaleTimeString(LOCALES[language()], { hour: "2-digit", minute: "2-digit", hour12: false });
  if (when.toDateString() === new Date().toDateString()) return time;
  return `${when.toLocaleDateString(LOCALES[language()], { month: "short", day: "numeric" })} ${time}`;
}

export function formatCount(number) {
  return Math.round(number).toLocaleString("en");
}
