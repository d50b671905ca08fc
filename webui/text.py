"""Every text of the studio by key and language.

English lives beside what it describes: arguments in the schema, the rest in i18n/en.json. i18n/zh.json holds
everything. Knows nothing of pages.
Try: python -c "from webui.text import t; print(t('train.start', 'zh'), t('arg.lora_rank.help', 'zh'))"
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import gradio as gr

from engine.schema.arg import Arg, specs
from engine.schema.commands import COMMANDS

LANGUAGES = ("en", "zh")
LOCALES = {"en": "en", "zh": "zh-CN"}
"""Language -> the browser locale under which the page framework keeps its own texts."""
COOKIE = "tunesmith_language"
SERVER_PREFIXES = ("say.", "js.")
"""Keys with these prefixes are made into text on the server: the page's table does not carry them."""

WITHOUT_FIELD = (
    "repetition_penalty", "num_beams", "length_penalty", "skip_special_tokens", "export_legacy_format",
    "host", "port", "model_name",
)  # fmt: skip
"""Arguments that every page leaves to its box of further arguments: the page needs no words for them."""

_FOLDER = Path(__file__).parent / "i18n"
_FORM_COMMANDS = ("train", "eval", "export", "api")


def t(key: str, language: str, /, **values: object) -> str:
    """The text of `key`, with {names} filled. Raises KeyError for a key that no file has."""
    text = table(language)[key]
    return text.format(**values) if values else text


@functools.cache
def table(language: str) -> Mapping[str, str]:
    """key -> text of one language, arguments included. Raises KeyError for a language we do not have."""
    if language not in LANGUAGES:
        raise KeyError(language)
    texts: dict[str, str] = json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    if language == "en":
        texts = {**argument_texts(), **texts}
    return MappingProxyType(texts)


@functools.cache
def argument_texts() -> Mapping[str, str]:
    """English label and help of every argument that a form shows, from the schema."""
    found: dict[str, str] = {}
    for name in _FORM_COMMANDS:
        for spec in specs(COMMANDS[name].args_class).values():
            key = arg_key(spec)
            found[f"{key}.label"] = spec.label
            found[f"{key}.help"] = spec.help
    return MappingProxyType(found)


def arg_key(spec: Arg) -> str:
    """Key stem of an argument: arg.NAME, or arg.GROUP.NAME where an earlier group gave it another meaning."""
    first = _first_declared()[spec.name]
    same = (first.label, first.help) == (spec.label, spec.help)
    return f"arg.{spec.name}" if same else f"arg.{spec.group}.{spec.name}"


def subset(prefix: str, language: str) -> dict[str, str]:
    """The texts whose key starts with `prefix`, for a script."""
    return {key: text for key, text in table(language).items() if key.startswith(prefix)}


def page_tables() -> dict[str, dict[str, str]]:
    """What the browser translates, by locale, in every language: no text that no page shows."""
    unused = tuple(f"arg.{name}." for name in WITHOUT_FIELD)
    return {
        LOCALES[language]: {
            key: text for key, text in table(language).items() if not key.startswith(SERVER_PREFIXES + unused)
        }
        for language in LANGUAGES
    }


def i18n() -> gr.I18n:
    """The keys of `page_tables`, for labels that the browser translates."""
    return gr.I18n(**page_tables())


def language(request: gr.Request | None) -> str:
    """The language a call was sent in: the page's cookie, else what the browser prefers, else English."""
    if request is None:
        return "en"
    chosen = (request.cookies or {}).get(COOKIE)
    if chosen in LANGUAGES:
        return str(chosen)
    preferred = str((request.headers or {}).get("accept-language", "")).lower()
    return "zh" if preferred.startswith("zh") else "en"


@functools.cache
def _first_declared() -> Mapping[str, Arg]:
    found: dict[str, Arg] = {}
    for name in _FORM_COMMANDS:
        for argument, spec in specs(COMMANDS[name].args_class).items():
            found.setdefault(argument, spec)
    return MappingProxyType(found)
