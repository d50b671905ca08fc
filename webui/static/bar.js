// <tune-bar>: the top bar. Brand, meters, language and theme; the tab strip between them is Gradio's.

import { el, setText } from "./dom.js";
import { Poller, call } from "./server.js";
import { language, switchLanguage, t } from "./text.js";

const LANGUAGES = { en: "English", zh: "中文" };
const GIB = 2 ** 30;
const MARK = `<svg viewBox="0 0 24 24" aria-hidden="true"><rect width="24" height="24" rx="6" fill="#3f5bd9"/>
<path d="M7 10v4M12 6v12M17 9v6" stroke="#fff" stroke-width="2.2" stroke-linecap="round"/></svg>`;
const HALF_MOON = `<svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6" fill="none" stroke="currentColor"
stroke-width="1.4"/><path d="M8 2a6 6 0 0 1 0 12z" fill="currentColor"/></svg>`;

class Bar extends HTMLElement {
  connectedCallback() {
    this.#build();
    this.poller = new Poller(() => this.#readMeters(), () => 3000, (state) => this.classList.toggle("offline", state !== "ok"));
    this.onlanguage = () => {
      this.#build();
      this.poller.now();
    };
    window.addEventListener("tunesmith:language", this.onlanguage);
    this.poller.start();
  }

  disconnectedCallback() {
    this.poller.stop();
    window.removeEventListener("tunesmith:language", this.onlanguage);
  }

  #build() {
    const brand = el("a", { className: "brand", href: "#train" });
    brand.innerHTML = MARK; // a constant of this file
    brand.append(el("span", {}, "Tunesmith"));
    this.meters = el("span", { className: "meters" });
    const select = el("select", { "aria-label": t("bar.language"), onchange: () => switchLanguage(select.value) });
    for (const [code, name] of Object.entries(LANGUAGES)) select.append(el("option", { value: code }, name));
    select.value = language();
    const theme = el("button", { type: "button", "aria-label": t("bar.theme"), title: t("bar.theme"), onclick: switchTheme });
    theme.innerHTML = HALF_MOON; // a constant of this file
    this.replaceChildren(brand, el("span", { className: "tools" }, this.meters, select, theme));
    this.shown = new Map();
  }

  async #readMeters() {
    if (document.hidden) return;
    const { cpu, memory, gpus } = await call("meters");
    const used = gibibytes(memory.used, memory.total);
    if (gpus.length) {
      const loads = gpus.map((gpu) => gpu.load ?? 0);
      const load = loads.reduce((a, b) => a + b, 0) / loads.length;
      const detail = gpus.map((gpu) => `${gpu.index} ${gpu.name}: ${gpu.load ?? "–"} %, ${gibibytes(gpu.used, gpu.total)}`);
      this.#show("GPU", load, detail.join("\n"));
      const [held, all] = ["used", "total"].map((key) => gpus.reduce((sum, gpu) => sum + gpu[key], 0));
      this.#show("VRAM", (100 * held) / all, gibibytes(held, all));
    }
    this.#show("CPU", cpu, t("bar.cpu"));
    this.#show("RAM", (100 * memory.used) / memory.total, used);
  }

  #show(name, percent, detail) {
    let meter = this.shown.get(name);
    if (!meter) {
      const fill = el("b");
      const value = el("span", { className: "value" });
      const element = el("span", { className: "meter", "data-meter": name }, name, el("i", {}, fill), value);
      this.meters.append(element);
      meter = { element, fill, value };
      this.shown.set(name, meter);
    }
    const rounded = Math.round(percent);
    meter.fill.style.width = `${rounded}%`;
    setText(meter.value, `${rounded}%`);
    meter.element.title = detail;
  }
}

function gibibytes(used, total) {
  return `${(used / GIB).toFixed(1)} / ${(total / GIB).toFixed(1)} GiB`;
}

function switchTheme() {
  const dark = !document.documentElement.classList.contains("dark");
  localStorage.setItem("tunesmith.theme", dark ? "dark" : "light");
  document.documentElement.classList.toggle("dark", dark);
  document.body.classList.toggle("dark", dark);
  window.dispatchEvent(new CustomEvent("tunesmith:theme"));
}

customElements.define("tune-bar", Bar);
