"""Every text in every language, and nothing that only one of them has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import webui
from engine.schema.arg import specs
from engine.schema.commands import COMMANDS
from webui import text

FOLDER = Path(webui.__file__).parent
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def test_both_languages_have_the_same_keys():
    assert set(text.table("en")) == set(text.table("zh"))


@pytest.mark.parametrize("command", ["train", "eval", "export", "api"])
def test_every_argument_has_a_chinese_label_and_help(command: str):
    chinese = text.table("zh")
    for spec in specs(COMMANDS[command].args_class).values():
        key = text.arg_key(spec)
        assert chinese[f"{key}.label"].strip(), key
        assert re.search(r"[\u4e00-\u9fff]", chinese[f"{key}.help"]), key


def test_chinese_has_no_argument_that_the_schema_has_not():
    known = set(text.argument_texts())
    assert {key for key in text.table("zh") if key.startswith("arg.")} <= known


def test_english_of_an_argument_is_the_schema_s_own():
    written = json.loads((FOLDER / "i18n" / "en.json").read_text(encoding="utf-8"))
    assert not [key for key in written if key.startswith("arg.")]
    assert text.t("arg.lora_rank.help", "en") == specs(COMMANDS["train"].args_class)["lora_rank"].help


def test_placeholders_agree():
    for key, english in text.table("en").items():
        assert set(PLACEHOLDER.findall(english)) == set(PLACEHOLDER.findall(text.table("zh")[key])), key


def test_an_argument_that_means_something_else_in_another_group_has_its_own_text():
    train, evaluate = (specs(COMMANDS[name].args_class)["seed"] for name in ("train", "eval"))
    assert text.arg_key(train) == "arg.seed"
    assert text.arg_key(evaluate) == "arg.evaluation.seed"


def test_every_key_that_the_pages_name_exists():
    """Keys are written in the code as "area.word": each one that looks like ours must be in the table."""
    known = text.table("en")
    areas = {key.split(".")[0] for key in known} - {"arg"}
    named = re.compile(rf"""["']({"|".join(sorted(areas))})\.([a-z_.]+)["']""")
    missing = set()
    for path in [*FOLDER.glob("*.py"), *FOLDER.glob("pages/*.py"), *FOLDER.glob("widgets/*.py")]:
        for area, word in named.findall(path.read_text(encoding="utf-8")):
            key = f"{area}.{word}"
            if key not in known and not any(other.startswith(f"{key}.") for other in known):
                missing.add(f"{path.name}: {key}")
    parts = {"train.next"}  # what a page leaves for another has a key of the same shape
    assert {entry for entry in missing if entry.split(": ")[1] not in parts} == set()


def test_server_texts_stay_out_of_the_page():
    sent = text.i18n().translations_dict
    assert set(sent) == {"en", "zh-CN"}
    assert not [key for key in sent["en"] if key.startswith(text.SERVER_PREFIXES)]
    assert sent["zh-CN"]["train.start"] == text.t("train.start", "zh")


@pytest.mark.parametrize(
    ("cookies", "headers", "expected"),
    [
        ({text.COOKIE: "zh"}, {"accept-language": "en"}, "zh"),
        ({}, {"accept-language": "zh-CN,zh;q=0.9"}, "zh"),
        ({text.COOKIE: "xx"}, {"accept-language": "de"}, "en"),
        ({}, {}, "en"),
    ],
)
def test_a_call_is_answered_in_the_page_s_language(cookies: dict, headers: dict, expected: str):
    assert text.language(SimpleNamespace(cookies=cookies, headers=headers)) == expected


def test_values_are_filled_in():
    assert text.t("say.saved", "en", path="a b") == "Saved as a b."
    with pytest.raises(KeyError):
        text.t("no.such.key", "en")
