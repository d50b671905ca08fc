"""One template for training and inference: the same thinking rule in both, what a named template is compared
with, what is saved.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest

from engine.data.tokens.tokenize import encode
from engine.errors import DataError, UserError
from engine.schema.data import TemplateArgs
from engine.templates.base import Conversation, Rendered
from engine.templates.chat import ChatTemplate, load_chat
from tests.data.support import CHATML, build_tokenizer, template
from tests.templates.styles import WITH_TOOLS, answer, call, tokenizer_of, tool, user
from tests.templates.tool_cases import AGENT, CLOCK, TOOL

NAMES = ("qwen3", "qwen3_nothink", "qwen3_5", "glm4_moe", "gpt_oss", "gemma4", "seed_oss", "minimax2")
NAMES += ("deepseekr1", "llama3", "mistral", "vicuna", "qwen", "glm4", "llama2", "default")
BARE = build_tokenizer(None, bos="<BOS>", eos="<EOS>")
CHAIN = (user("W"), answer("", call("now")), tool("12"), answer("Noon."), user("And?"), answer("Ten."))
CONVERSATIONS: dict[str, tuple[Any, Any]] = {
    "plain": ((user("Hi"), answer("Hello"), user("Who?"), answer("Me")), ()),
    "apart": ((user("Hi"), answer("Hello", thought="T1"), user("Who?"), answer("Me", thought="T2")), ()),
    "inline": (
        (
            user("Hi"),
            answer("<think>\nT1\n</think>\n\nHello"),
            user("Who?"),
            answer("<think>\nT2\n</think>\n\nMe"),
        ),
        (),
    ),
    "chain": (CHAIN, (CLOCK,)),
    "thoughtful chain": (tuple(AGENT[:-2]), (TOOL, CLOCK)),
    "only earlier": ((user("Hi"), answer("Hello", thought="T1"), user("Who?"), answer("Me")), ()),
}
# Llama's template takes one call at a time.
NATIVE = [
    (style, kind)
    for style in (*WITH_TOOLS, "tiny")
    for kind in CONVERSATIONS
    if (style, kind) != ("llama31", "thoughtful chain")
]
SWITCHES = [(thinking, preserve) for thinking in (True, False, None) for preserve in (False, True)]


def args_of(name: str | None = None, **values: Any) -> TemplateArgs:
    return TemplateArgs(template=name, **values)


def rendered_by(chat: ChatTemplate, messages: Any, tools: Any = ()) -> Rendered:
    (rendered,) = chat.render([Conversation(tuple(messages), tuple(tools))])
    assert isinstance(rendered, Rendered), rendered
    return rendered


def assert_training_begins_with_the_prompt(chat: ChatTemplate, messages: Any, tools: Any) -> None:
    prompt = chat.prompt_ids(messages[:-1], tools)
    rendered = rendered_by(chat, messages, tools)
    batch = encode([rendered], chat.tokenizer, cutoff_len=100_000, mask_history=True, train_on_prompt=False)
    ids, labels = batch.row(0)
    assert ids[: len(prompt)] == prompt
    assert labels[: len(prompt)] == [-100] * len(prompt)
    assert labels[len(prompt)] != -100


@pytest.mark.parametrize(("style", "kind"), NATIVE)
@pytest.mark.parametrize(("thinking", "preserve"), SWITCHES)
def test_a_native_prompt_is_a_prefix_of_training(
    style: str, thinking: bool | None, preserve: bool, kind: str
) -> None:
    messages, tools = CONVERSATIONS[kind]
    chat = load_chat(tokenizer_of(style), args_of(enable_thinking=thinking, preserve_thinking=preserve))
    assert_training_begins_with_the_prompt(chat, messages, tools)


@pytest.mark.parametrize("kind", CONVERSATIONS)
@pytest.mark.parametrize(("thinking", "preserve"), SWITCHES)
@pytest.mark.parametrize("name", NAMES)
def test_a_named_prompt_is_a_prefix_of_training(
    name: str, thinking: bool | None, preserve: bool, kind: str
) -> None:
    messages, tools = CONVERSATIONS[kind]
    args = args_of(name, enable_thinking=thinking, preserve_thinking=preserve)
    chat = load_chat(BARE, args, mask_history=True)
    thinks = "think" in messages[-1]["content"] or "reasoning_content" in messages[-1]
    if thinking is None and thinks:
        # The answer decides in training; who is asked has not answered yet, and no thoughts are expected.
        assert chat.prompt_text(messages[:-1], tools).startswith(
            rendered_by(chat, messages, tools).text[: rendered_by(chat, messages, tools).turns[-1].answer]
        )
        return
    assert_training_begins_with_the_prompt(chat, messages, tools)


@pytest.mark.parametrize(("thinking", "preserve"), SWITCHES)
@pytest.mark.parametrize("style", ["qwen3", "tiny", "glm45"])
def test_native_text_is_apply_chat_templates_with_the_same_switches(
    style: str, thinking: bool | None, preserve: bool
) -> None:
    tokenizer = tokenizer_of(style)
    messages = list(CONVERSATIONS["plain"][0])
    switches: dict[str, bool] = {"clear_thinking": not preserve}
    if thinking is False:
        switches["enable_thinking"] = False
    chat = load_chat(tokenizer, args_of(enable_thinking=thinking, preserve_thinking=preserve))
    expected = tokenizer.apply_chat_template(messages, tokenize=False, **switches)
    if thinking is False and style == "tiny":
        # This template writes finished answers without what the generation prompt ends with.
        head, _, last = expected.rpartition("Me<|im_end|>")
        expected = f"{head}<think>\n\n</think>\n\nMe<|im_end|>{last}"
    expected += "<|endoftext|>" if style == "glm45" else ""
    assert rendered_by(chat, messages).text == expected
    assert chat.prompt_text(messages[:-1]) == tokenizer.apply_chat_template(
        messages[:-1], tokenize=False, add_generation_prompt=True, **switches
    )


def test_thinking_switched_off_takes_thoughts_out_of_what_is_learnt() -> None:
    for style in ("qwen3", "tiny"):
        chat = load_chat(tokenizer_of(style), args_of(enable_thinking=False))
        for kind in ("apart", "inline"):
            rendered = rendered_by(chat, CONVERSATIONS[kind][0])
            last = rendered.turns[-1]
            assert rendered.text[last.answer : last.stop] == "Me<|im_end|>"
            assert rendered.text[: last.answer].endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
            assert not any(thought in rendered.text for thought in ("T1", "T2"))


def test_earlier_thoughts_are_kept_where_the_template_has_a_switch_and_noted_where_not() -> None:
    messages = CONVERSATIONS["apart"][0]
    keeps = load_chat(tokenizer_of("glm45"), args_of(preserve_thinking=True))
    assert "<think>T1</think>" in rendered_by(keeps, messages).text
    assert "<think>T1</think>" in keeps.prompt_text(messages[:-1])
    assert not [note for note in keeps.notes if "preserve_thinking" in note]
    drops = load_chat(tokenizer_of("glm45"), args_of())
    assert "T1" not in rendered_by(drops, messages).text + drops.prompt_text(messages[:-1])
    (note,) = load_chat(tokenizer_of("qwen3"), args_of(preserve_thinking=True)).notes
    assert note == "preserve_thinking has no effect: the tokenizer's chat template knows no such switch"


def test_named_thoughts_that_are_only_read_are_kept_or_dropped_in_training_and_inference_alike() -> None:
    messages = CONVERSATIONS["apart"][0]
    for preserve in (False, True):
        args = args_of("qwen3", preserve_thinking=preserve)
        read = load_chat(BARE, args, mask_history=True)
        assert ("T1" in rendered_by(read, messages).text) is preserve
        assert ("T1" in read.prompt_text(messages[:-1])) is preserve
        # What is learnt keeps its thoughts in any case.
        assert "T1" in rendered_by(load_chat(BARE, args), messages).text
        assert "T2" in rendered_by(read, messages).text


def test_every_argument_of_the_template_is_in_the_fingerprint() -> None:
    values = {
        "default_system": "S",
        "tool_format": "qwen",
        "enable_thinking": None,
        "preserve_thinking": True,
        "allow_control_tokens": True,
    }
    assert {"template", *values} == {field.name for field in dataclasses.fields(TemplateArgs)}
    seen = {load_chat(BARE, args_of("llama3", **{key: value})).fingerprint for key, value in values.items()}
    seen |= {load_chat(BARE, args_of("llama3")).fingerprint, load_chat(BARE, args_of("qwen")).fingerprint}
    assert len(seen) == len(values) + 2


def test_default_system_is_for_those_that_bring_none() -> None:
    chat = load_chat(build_tokenizer(), args_of(default_system="Be kind."))
    assert "system\nBe kind." in chat.prompt_text([user("Hi")])
    assert "Be kind." not in chat.prompt_text([{"role": "system", "content": "Be brief."}, user("Hi")])
    assert "system\nBe kind." in rendered_by(chat, [user("Hi"), answer("Hello")]).text


def test_tool_format_replaces_the_formats_own() -> None:
    chat = load_chat(BARE, args_of("chatml", tool_format="mistral"))
    rendered = rendered_by(chat, CHAIN, (CLOCK,))
    first = rendered.turns[0]
    assert rendered.text[first.answer : first.stop] == '[{"name": "now", "arguments": {}}]<|im_end|>'
    assert chat.parse_answer('[{"name": "now", "arguments": {}}]<|im_end|>').calls == (("now", {}),)


def test_a_difference_is_shown_as_a_diff() -> None:
    """The demo model writes no empty thought, the format named qwen3 does."""
    (note,) = load_chat(tokenizer_of("tiny"), args_of("qwen3")).notes
    lines = note.splitlines()
    assert lines[0].startswith(
        "template=qwen3 differs from the tokenizer's own chat template (plain, system,"
    )
    assert lines[1:] == [
        "--- the tokenizer's own",
        "+++ template=qwen3",
        "@@ -3,2 +3,6 @@",
        " <|im_start|>assistant\\n",
        "+<think>\\n",
        "+\\n",
        "+</think>\\n",
        "+\\n",
        " Two.<|im_end|>\\n",
    ]


def test_only_what_differs_is_named() -> None:
    """Plain turns are written alike, tools are not."""
    (note,) = load_chat(tokenizer_of("tiny"), args_of("qwen3_nothink")).notes
    assert note.startswith("template=qwen3_nothink differs from the tokenizer's own chat template (tools")


def test_a_generation_prompt_that_differs_is_noted() -> None:
    opens = build_tokenizer(
        CHATML.replace("'<|im_start|>assistant\\n'", "'<|im_start|>assistant\\n<think>\\n'")
    )
    (note,) = load_chat(opens, args_of("chatml")).notes
    assert "(the prompt of an answer)" in note


def test_templates_own_jinja_is_saved_untouched_and_a_named_one_speaks_the_same() -> None:
    assert load_chat(build_tokenizer()).jinja() == CHATML
    chat = load_chat(BARE, args_of("qwen3", enable_thinking=False))
    saved = build_tokenizer(chat.jinja(), bos="<BOS>", eos="<EOS>")
    messages, tools = CONVERSATIONS["chain"]
    assert chat.prompt_text(messages[:-1], tools) == saved.apply_chat_template(
        list(messages[:-1]), tools=list(tools), tokenize=False, add_generation_prompt=True
    )


def test_answers_are_read_back_by_a_named_template() -> None:
    chat = load_chat(BARE, args_of("qwen3"))
    words = "<think>\nT\n</think>\n\nI look.\n"
    parsed = chat.parse_answer(
        words + '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call><|im_end|>'
    )
    assert (parsed.content.strip(), parsed.thought, parsed.calls) == ("I look.", "T", (("now", {}),))


def test_refusals() -> None:
    with pytest.raises(UserError, match="chatml"):
        load_chat(BARE, args_of("chatm"))
    with pytest.raises(DataError, match="has no chat template of its own"):
        load_chat(BARE)
    with pytest.raises(DataError, match="the last message must be from the user or a tool"):
        load_chat(BARE, args_of("chatml")).prompt_ids([user("Hi"), answer("Hello")])
    with pytest.raises(DataError, match="refuses this conversation: system role is not supported"):
        load_chat(build_tokenizer(template("turns"), bos="<s>")).prompt_ids(
            [{"role": "system", "content": "S"}, user("Hi")]
        )
    broken = call("now")
    broken["function"]["arguments"] = "{"
    for chat in (load_chat(BARE, args_of("qwen3")), load_chat(tokenizer_of("qwen3"))):
        with pytest.raises(DataError, match="no JSON"):
            chat.prompt_ids([user("W"), answer("", broken), tool("1")])


def test_arguments_as_json_text_are_the_same_as_an_object() -> None:
    """Clients of the API send text."""
    text = call("get_weather")
    text["function"]["arguments"] = '{"city": "Paris"}'
    for style in (*WITH_TOOLS, "tiny"):
        chat = load_chat(tokenizer_of(style))
        asked = [
            chat.prompt_text([user("W"), answer("", made), tool("1")], [TOOL])
            for made in (text, call("get_weather", city="Paris"))
        ]
        assert asked[0] == asked[1]


def test_a_named_template_needs_no_heavy_library_and_hardly_a_tokenizer() -> None:
    code = """
import sys
from types import SimpleNamespace
from engine.schema.data import TemplateArgs
from engine.templates.base import Conversation
from engine.templates.chat import load_chat
bare = SimpleNamespace(bos_token="<BOS>", eos_token="<EOS>", pad_token=None, chat_template=None,
                       added_tokens_decoder={}, special_tokens_map={}, get_vocab=dict)
chat = load_chat(bare, TemplateArgs(template="llama3"))
question = {"role": "user", "content": "Hi"}
(rendered,) = chat.render([Conversation((question, {"role": "assistant", "content": "Hello"}))])
assert rendered.text.startswith(chat.prompt_text([question]) + "Hello")
heavy = {"torch", "transformers", "tokenizers", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
