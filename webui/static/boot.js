// Runs in the head, before the page is drawn: the remembered language and theme are in force from the first paint.
// Gradio reads the browser's language and the `__theme` query parameter when it starts, so both are set before that.
(() => {
  const remembered = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage is blocked: every visit is a first visit
    }
  };

  const prefersChinese = navigator.language.toLowerCase().startsWith("zh");
  const language = remembered("tunesmith.language") || (prefersChinese ? "zh" : "en");
  const locale = language === "zh" ? "zh-CN" : "en";
  Object.defineProperty(navigator, "language", { get: () => locale, configurable: true });
  document.documentElement.lang = locale;
  document.cookie = `tunesmith_language=${language}; path=/; max-age=31536000; SameSite=Lax`;

  const theme = remembered("tunesmith.theme");
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  if (theme) {
    const url = new URL(location.href);
    url.searchParams.set("__theme", theme);
    history.replaceState(history.state, "", url);
  }
  const showTheme = () => {
    const chosen = remembered("tunesmith.theme");
    document.documentElement.classList.toggle("dark", chosen ? chosen === "dark" : systemDark.matches);
  };
  showTheme();
  systemDark.addEventListener("change", showTheme);
})();
