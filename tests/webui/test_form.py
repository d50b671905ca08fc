"""Fields to arguments and back: the studio adds no meaning, and loses none."""

from __future__ import annotations

import html
import re
import shlex

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ArgError
from engine.schema.arg import flatten, specs
from engine.schema.commands import COMMANDS
from engine.schema.load import load_argv, load_mapping
from webui import text
from webui.form import APPLIES, FURTHER, Form, applies, field_value, number_text
from webui.pages import train
from webui.widgets.command_preview import preview_texts

ODD = {
    "model_name_or_path": 'models/it\'s a "model" $HOME',
    "dataset": ["a b", "数据"],
    "default_system": "你好 $(whoami)\nsecond line `x` \\ 'quoted'",
    "lora_target": '["q_proj,k_proj", "v"]',
    "run_name": "run #1: 100% <b>",
    "lr_scheduler_kwargs": '{"num_cycles": 2}',
}


@pytest.fixture(scope="module")
def form() -> Form:
    """The train form with every field drawn."""
    made = Form("train", "train", initial=train.FIRST_RUN)
    with gr.Blocks(analytics_enabled=False):
        train._draw_form(text.i18n(), made, {})
    return made


def source_of(shown: str) -> str:
    """The text that a person copies out of the preview."""
    inside = re.search(r"<pre>(.*)</pre>", shown, re.DOTALL)
    assert inside
    return html.unescape(re.sub(r"<[^>]+>", "", inside[1]))


def test_the_train_form_has_every_argument_once(form: Form):
    assert sorted(form.fields) == sorted(specs(COMMANDS["train"].args_class))
    placed = [name for names in train.CARDS.values() for name in names]
    placed += [name for _, names in train.SECTIONS.values() for name in names]
    assert len(placed) == len(set(placed))


def test_a_menu_offers_the_value_it_starts_with(form: Form):
    """Gradio answers an event with an error where a menu holds something that it does not offer."""
    menus = {name: box for name, box in form.fields.items() if isinstance(box, (gr.Dropdown, gr.Radio))}
    menus = {name: box for name, box in menus.items() if not getattr(box, "allow_custom_value", False)}
    assert {"stage", "tool_format"} <= set(menus)
    for name, box in menus.items():
        assert box.preprocess(form.start_values()[name]) == form.start_values()[name]


@pytest.mark.parametrize(("value", "said"), [(None, "null"), (False, "false")])
def test_null_is_said_where_it_is_not_the_default(form: Form, value: bool | None, said: str):
    values = form.values_of({"enable_thinking": value})
    assert values["enable_thinking"] == said
    assert form.mapping(values) == {"enable_thinking": said}
    given = form.mapping(values) | {"model_name_or_path": "m", "dataset": ["d"]}
    assert load_mapping("train", given).args.template.enable_thinking is value
    assert form.mapping(form.values_of({})) == {}


def test_an_untouched_form_says_only_what_the_page_starts_from(form: Form):
    assert form.mapping(form.start_values()) == {
        "model_name_or_path": "data/tiny-qwen3",
        "dataset": ["identity"],
    }
    loaded, problems = form.check(form.start_values())
    assert not problems
    assert loaded.args == load_mapping("train", train.FIRST_RUN).args


def test_fields_left_empty_mean_the_default(form: Form):
    values = form.start_values() | {"learning_rate": " ", "max_samples": "", "seed": ""}
    assert form.load(values).args == form.load(form.start_values()).args


def test_odd_values_survive_the_fields_the_command_and_the_yaml(form: Form):
    values = form.start_values() | ODD
    args = form.load(values).args
    assert args.template.default_system == ODD["default_system"]
    assert args.adapter.lora_target == ("q_proj,k_proj", "v")
    assert form.load(form.values_of(flatten(args))).args == args
    command, yaml, problems = preview_texts(form, values, "zh")
    assert not problems
    words = shlex.split(source_of(command).replace("\\\n", " "))
    assert load_argv("train", words[2:]).args == args
    from engine.schema.load import parse_text

    assert load_mapping("train", parse_text(source_of(yaml), name="yaml")).args == args


def test_a_wrong_value_keeps_the_rest_of_the_preview(form: Form):
    command, _, problems = preview_texts(form, form.start_values() | {"learning_rate": "abc"}, "en")
    assert [problem.field for problem in problems] == ["learning_rate"]
    source = source_of(command)
    assert source.startswith("# not ready to run:\n# learning_rate: 'abc'")
    assert "--dataset identity" in source
    assert "--learning_rate" not in source


def test_problems_of_several_fields_come_together(form: Form):
    values = form.start_values() | {"val_size": "x", "seed": "-1", "eval_strategy": "steps"}
    _, problems = form.check(values)
    assert {"val_size", "seed"} <= {problem.field for problem in problems}


def test_what_does_not_apply_is_not_said(form: Form):
    values = form.start_values() | {"finetuning_type": "full", "lora_rank": "64", "eval_steps": "7"}
    assert set(form.mapping(values)) == {"model_name_or_path", "dataset", "finetuning_type"}
    back = form.start_values() | {"lora_rank": "64"}
    assert form.mapping(back)["lora_rank"] == "64"


def test_every_rule_of_visibility_names_real_arguments_and_values():
    known = {name: spec for command in COMMANDS.values() for name, spec in specs(command.args_class).items()}
    for name, (master, wanted) in APPLIES.items():
        assert name in known
        for value in wanted:
            assert known[master].coerce(value) == value


def test_sections_come_and_go_with_the_method(form: Form):
    gated = {section.gate: section for section in form.sections if section.gate}
    assert set(gated) == {"lora_rank", "freeze_trainable_layers"}
    assert gated["lora_rank"].accordion.visible is True
    assert gated["freeze_trainable_layers"].accordion.visible is False
    values = form.start_values() | {"finetuning_type": "freeze"}
    assert not applies("lora_rank", values)
    assert gated["lora_rank"].update(values, set())["visible"] is False
    assert gated["freeze_trainable_layers"].update(values, {"freeze_trainable_layers"}) == gr.update(
        visible=True, open=True
    )


def test_only_what_differs_is_updated(form: Form):
    start = form.start_values()
    updates = form.updates(start | {"seed": "7"}, than=start)
    touched = [name for name, update in zip(form.fields, updates, strict=False) if "value" in update]
    assert touched == ["seed"]


@pytest.fixture(scope="module")
def short_form() -> Form:
    """An evaluation form with few fields and the box for the others."""
    made = Form("eval", "evaluate", initial={"model_name_or_path": "m", "eval_dataset": ("identity",)})
    with gr.Blocks(analytics_enabled=False):
        made.draw(text.i18n(), ["model_name_or_path", "eval_dataset", "predict", "temperature"])
        made.draw_further(text.i18n())
    return made


def test_further_arguments_are_checked_like_fields(short_form: Form):
    values = short_form.start_values() | {FURTHER: "top_k: 7\nrepetition_penalty: 1.5"}
    assert short_form.load(values).args.generation.top_k == 7
    _, problems = short_form.check(values | {FURTHER: "top_kk: 7"})
    assert "top_k" in problems[0].message
    _, problems = short_form.check(values | {FURTHER: "predict: false"})
    assert problems[0].field == FURTHER
    _, problems = short_form.check(values | {FURTHER: "a: [", "temperature": "hot"})
    assert {problem.field for problem in problems} == {FURTHER, "temperature"}


def test_arguments_without_a_field_are_loaded_into_the_box(short_form: Form):
    args = load_mapping("eval", {"model_name_or_path": "m", "eval_dataset": "x", "top_k": 7}).args
    values = short_form.values_of(flatten(args))
    assert values[FURTHER] == "top_k: 7\n"
    assert short_form.load(values).args == args


def test_a_value_no_menu_has_shows_the_default():
    spec = specs(COMMANDS["train"].args_class)["finetuning_type"]
    assert field_value(spec, "bogus") == "lora"
    with pytest.raises(ArgError):
        load_mapping("train", {"finetuning_type": "bogus"})


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**12), 10**12))
def test_numbers_are_written_as_people_write_them_and_parse_back(value):
    assert float(number_text(value)) == value


def test_number_examples():
    assert [number_text(value) for value in (5e-5, 0.1, 3.0, 1e-8, 42)] == ["5e-5", "0.1", "3", "1e-8", "42"]
