"""The shipped tokenizer: digits, special tokens, the chat template."""

import json

import pytest
import tokenizer as script

TURNS = [
    {"role": "system", "content": "Answer briefly."},
    {"role": "user", "content": "What is 2 + 3?"},
    {"role": "assistant", "content": "5"},
    {"role": "user", "content": "谢谢。"},
    {"role": "assistant", "content": "不客气！"},
]


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def test_every_digit_is_a_token_of_its_own(tokenizer):
    for text in ("1234567890", "What is 23 + 45?", "计算 99 - 10。"):
        digits = [tokenizer.decode([token]) for token in tokenizer.encode(text)]
        assert [piece for piece in digits if any(mark.isdigit() for mark in piece)] == [
            m for m in text if m.isdigit()
        ]


def test_any_text_survives(tokenizer):
    for text in ("naïve café ½ 🙂\n\ttab", "人工智能：2025 年。", "def f(x):\n    return x ** 2\n"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_special_tokens_are_single_and_stop_is_the_turn_end(tokenizer):
    for text in (*script.SPECIAL, *script.VISIBLE):
        assert len(tokenizer.encode(text)) == 1, text
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert (
        tokenizer.decode(tokenizer.encode("<think>hm</think>5<|im_end|>"), skip_special_tokens=True)
        == "<think>hm</think>5"
    )


def test_the_configuration_agrees_with_the_tokenizer(tokenizer, tiny_model):
    config = json.loads((tiny_model / "config.json").read_text(encoding="utf-8"))
    assert config["vocab_size"] == len(tokenizer) == script.VOCABULARY_SIZE
    assert config["eos_token_id"] == tokenizer.eos_token_id
    assert config["pad_token_id"] == tokenizer.pad_token_id


def test_the_script_makes_such_a_tokenizer(tmp_path):
    from transformers import AutoTokenizer

    made = AutoTokenizer.from_pretrained(script.build(tmp_path, sample=300))
    assert len(made) == script.VOCABULARY_SIZE
    assert len(made.encode("57")) == 2 and made.eos_token == script.TURN_END


def test_the_shipped_chat_template_is_the_one_in_the_scripts(tiny_model):
    assert (tiny_model / "chat_template.jinja").read_bytes() == script.TEMPLATE.read_bytes()


def test_a_conversation_renders_as_chatml(tokenizer):
    assert tokenizer.apply_chat_template(TURNS, tokenize=False) == (
        "<|im_start|>system\nAnswer briefly.<|im_end|>\n"
        "<|im_start|>user\nWhat is 2 + 3?<|im_end|>\n<|im_start|>assistant\n5<|im_end|>\n"
        "<|im_start|>user\n谢谢。<|im_end|>\n<|im_start|>assistant\n不客气！<|im_end|>\n"
    )


def test_a_prefix_renders_as_a_prefix(tokenizer):
    whole = tokenizer.apply_chat_template(TURNS, tokenize=False)
    for count in range(1, len(TURNS)):
        assert whole.startswith(tokenizer.apply_chat_template(TURNS[:count], tokenize=False))
    prompt = tokenizer.apply_chat_template(TURNS[:4], tokenize=False, add_generation_prompt=True)
    assert whole.startswith(prompt) and prompt.endswith("<|im_start|>assistant\n")


def test_thinking_off_opens_behind_an_empty_think_block(tokenizer):
    ask = TURNS[1:2]
    plain = tokenizer.apply_chat_template(ask, tokenize=False, add_generation_prompt=True)
    quiet = tokenizer.apply_chat_template(
        ask, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    assert quiet == plain + "<think>\n\n</think>\n\n"
    thought = [*ask, {"role": "assistant", "reasoning_content": "2 and 3", "content": "5"}]
    rendered = tokenizer.apply_chat_template(thought, tokenize=False)
    assert rendered == plain + "<think>\n2 and 3\n</think>\n\n5<|im_end|>\n"


def test_tools_and_their_results_render(tokenizer):
    signature = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}
    turns = [
        {"role": "user", "content": "Weather in Oslo?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "rain"},
    ]
    text = tokenizer.apply_chat_template(turns, tools=[signature], tokenize=False)
    assert text.startswith("<|im_start|>system\n# Tools")
    assert json.dumps(signature) in text
    assert '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call><|im_end|>' in text
    assert text.endswith("<tool_response>\nrain\n</tool_response><|im_end|>\n")
