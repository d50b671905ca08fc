// <tune-data>: the Data page. The list of datasets on the left; on the right one of them, or the adding of another.
// Gradio may take the element out and put a new one in at any time; what it shows is kept in data_state.js.

import { AddDataset } from "./data_add.js";
import { ask, choices } from "./data_calls.js";
import "./data_look.js";
import { DatasetList } from "./data_list.js";
import { remember, state, takeOver } from "./data_state.js";
import { DatasetView } from "./data_view.js";
import { el, toast } from "./dom.js";
import { t } from "./text.js";

class DataPage extends HTMLElement {
  connectedCallback() {
    this.adding = null;
    this.onlanguage = () => {
      this.adding?.draw();
      this.#build();
      this.#load();
    };
    window.addEventListener("tunesmith:language", this.onlanguage);
    this.onlook = () => (this.looking = true); // the tab opens next, and reads the list
    window.addEventListener("tunesmith:look", this.onlook);
    this.#build();
    this.#start();
    // The tab was opened again: files may have changed. While it is closed nothing is asked.
    this.sight = new IntersectionObserver(([entry]) => {
      if (entry.isIntersecting && this.seen === false) this.#load();
      this.seen = entry.isIntersecting;
    });
    this.sight.observe(this);
  }

  disconnectedCallback() {
    window.removeEventListener("tunesmith:language", this.onlanguage);
    window.removeEventListener("tunesmith:look", this.onlook);
    this.sight.disconnect();
  }

  #build() {
    this.list = new DatasetList(
      (entry, byHand) => this.#open(entry, byHand),
      () => this.#add(),
    );
    this.view = new DatasetView();
    this.shown = "";
    this.empty = el(
      "section",
      { className: "ts-card td-view" },
      el("div", { className: "empty" }, el("h3", {}, t("data.empty_title")), el("p", {}, t("data.empty_body"))),
    );
    this.side = el("div", { className: "td-side" }, this.adding?.element ?? this.empty);
    this.replaceChildren(this.list.element, this.side);
  }

  async #start() {
    await this.#offer();
    this.#build();
    await this.#load();
    this.#offerTemplates();
  }

  /** What the menus offer, once the studio has said it. */
  async #offer() {
    const offered = await choices();
    if (!offered) return;
    const { models, settings } = offered;
    this.offered = true;
    state.models = models;
    takeOver(settings);
    state.settings.model_name_or_path ||= models[0] ?? "";
    remember();
  }

  async #offerTemplates() {
    if (state.templates.length) return;
    const { templates } = await ask("templates");
    state.templates = templates ?? [];
    this.view.settings.offerChoices();
  }

  #load(choose) {
    return this.list.load({ choose });
  }

  /** The studio was away when the page began, and has come back: what it could not say then is asked now. */
  async #makeUp() {
    await this.#offer();
    if (!this.offered) return;
    this.#build();
    await this.#load();
    this.#offerTemplates();
  }

  #open(entry, byHand) {
    const asked = byHand || this.looking;
    this.looking = false;
    if (this.adding?.element.isConnected && !asked) return; // a file that is being added stays in sight
    this.side.replaceChildren(entry ? this.view.element : this.empty);
    // The list is read anew whenever the tab is opened: what has not changed stays as it was left.
    const facts = JSON.stringify([state.dataset_dir, entry]);
    if (entry && facts !== this.shown) this.view.open(entry);
    else if (entry) this.view.again();
    this.shown = facts;
    if (!this.offered) this.#makeUp();
    if (byHand) this.#bringIntoSight();
  }

  #add() {
    this.adding ??= new AddDataset(
      async (name) => {
        this.adding = null;
        this.shown = "";
        toast(t("data.registered", { name }));
        await this.#load(name);
        this.list.focus();
      },
      () => {
        this.adding = null;
        this.shown = "";
        this.#load();
        this.list.add.focus();
      },
    );
    this.side.replaceChildren(this.adding.element);
    this.adding.focus();
    this.#bringIntoSight();
  }

  /** On a small screen the list is above, not beside. */
  #bringIntoSight() {
    if (matchMedia("(max-width: 900px)").matches) this.side.scrollIntoView({ block: "start" });
  }
}

customElements.define("tune-data", DataPage);
