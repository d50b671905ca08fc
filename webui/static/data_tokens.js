// One row as the model sees it: its tokens in the rendered text's own line breaks, what is learnt marked by colour, weight
// and underline, what is cut struck out behind a border. The text of the tokens is the text that is trained on.

import { inPlace } from "./data_fields.js";
import { el, setText } from "./dom.js";
import { formatCount, t } from "./text.js";

/** At most this many tokens of a row are drawn at once; the rest comes on demand. */
const DRAWN = 3000;

/** A card of one previewed row. `cutoff`: the settings' cutoff_len, for the border's words; `hint`: stands where a token's
 * facts will. */
export function rowCard(row, cutoff, hint = "") {
  const title = el("h4", {}, t("data.row", { number: row.number }), el("small", {}, row.file));
  const card = el("article", { className: "td-row" });
  if (row.problem) {
    card.append(el("header", {}, title, el("span", { className: "pill failed" }, t("data.not_used"))));
    card.append(el("p", { className: "td-reason" }, row.column ? `${row.column}: ${row.problem}` : row.problem));
    card.classList.add("bad");
    return card;
  }
  const learnt = row.learnt ?? row.tokens.filter((token) => token.learn && !token.cut).length;
  const figures = [
    t("data.tokens", { count: formatCount(row.kept ?? row.tokens.length) }),
    t("data.learnt", { count: formatCount(learnt) }),
  ];
  const info = el("output", { className: "td-info" }, hint);
  const header = el("header", {}, title, info, el("span", { className: "td-figures" }, figures.join(" · ")));
  if (row.kind === "label") {
    const [pill, words] = row.desirable ? ["pill succeeded", "data.desirable"] : ["pill failed", "data.undesirable"];
    header.append(el("span", { className: pill }, t(words)));
  }
  if (row.truncated) {
    const left = formatCount(row.length - row.kept);
    header.append(el("span", { className: "pill stopped" }, t("data.cut", { count: left })));
  }
  card.append(header, tokenText(row, cutoff, info));
  if (row.rejected)
    card.append(
      el("h4", { className: "td-second" }, t("data.rejected")),
      tokenText({ ...row, ...row.rejected }, cutoff, info),
    );
  return card;
}

/** The tokens as one text. A stop of the keyboard is the whole text; arrow keys go from token to token. */
function tokenText(row, cutoff, info) {
  const text = el("div", { className: "td-tokens", role: "group", tabIndex: 0 });
  text.setAttribute("aria-label", t("data.tokens_label", { number: row.number }));
  const drawn = row.tokens.slice(0, DRAWN);
  const blocks = new Set(row.block_starts);
  text.append(...pieces(drawn, cutoff, blocks));
  if (drawn.length < row.tokens.length) {
    const rest = el(
      "button",
      { type: "button", className: "td-more" },
      t("data.all_tokens", { count: formatCount(row.tokens.length) }),
    );
    rest.addEventListener("click", () => {
      text.replaceChildren(...pieces(row.tokens, cutoff, blocks));
      text.focus();
    });
    text.append(rest);
  }
  if (row.length > row.tokens.length) {
    const counts = { count: formatCount(row.tokens.length), length: formatCount(row.length) };
    text.append(inPlace(t("data.first_tokens", counts)));
  }
  const all = () => [...text.querySelectorAll(".tok")];
  let current = -1;
  const point = (token) => {
    text.querySelector(".tok.at")?.classList.remove("at");
    token.classList.add("at");
    describe(info, row.tokens[Number(token.dataset.at)], Number(token.dataset.at));
  };
  text.addEventListener("pointerover", (event) => {
    const token = event.target.closest(".tok");
    if (token) point(token);
  });
  text.addEventListener("focus", () => {
    const token = all()[Math.max(0, current)];
    if (!token || !text.matches(":focus-visible")) return; // the pointer shows its own token
    current = Math.max(0, current);
    point(token);
  });
  text.addEventListener("keydown", (event) => {
    const tokens = all();
    const next = { ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: tokens.length - 1 }[event.key];
    if (next === undefined || !tokens[next]) return;
    current = next;
    point(tokens[current]);
    tokens[current].scrollIntoView({ block: "nearest" });
    event.preventDefault();
  });
  return text;
}

/** Runs of learnt, unlearnt and cut tokens; a learnt run is a <mark>, which is told to a screen reader too. */
function pieces(tokens, cutoff, blocks) {
  const found = [];
  let run = null;
  let kind = "";
  tokens.forEach((token, at) => {
    if (at && blocks.has(at)) {
      found.push(border("td-cut td-block", t("data.block_here", { cutoff })));
      kind = "";
    }
    const its = token.cut ? "cut" : token.learn ? "learn" : "context";
    if (its !== kind) {
      if (its === "cut") found.push(border("td-cut", t("data.cut_here", { cutoff })));
      run = el(its === "learn" ? "mark" : its === "cut" ? "del" : "span", { className: `run ${its}` });
      found.push(run);
      kind = its;
    }
    const element = el("span", {
      className: at % 2 ? "tok odd" : "tok",
      "data-at": at,
      "data-id": token.id,
      title: `${token.id}`,
    });
    if (its === "learn") element.dataset.learn = "";
    element.textContent = token.text;
    if (/^<[|/\w].*>$/.test(token.text.trim())) element.classList.add("control");
    run.append(element);
  });
  return found;
}

function border(className, words) {
  return el("span", { className, role: "separator" }, words);
}

function describe(info, token, at) {
  const state = token.cut ? "data.is_cut" : token.learn ? "data.is_learnt" : "data.is_context";
  const shown = JSON.stringify(token.text);
  setText(info, t("data.token_info", { at: at + 1, id: token.id, text: shown, state: t(state) }));
}
