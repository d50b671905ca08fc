"""A byte-level BPE tokenizer with merges, chat templates in the manners that models ship, and datasets in a
folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from engine.data.example import ASSISTANT, USER, Example, Message

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<s>",
    "</s>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|user|>",
    "<|assistant|>",
)
WORDS = (
    "Hello there, who are you? I am a small model. The sum of two and three is five.\n\n"
    "Say the first letter of the word.  It is a.\n- one\n- two\n```python\nprint(1)\n```\n"
    "line\n\nline\n\n\nline\n你好，我是一个小模型。天空是蓝色的。"
)
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

JINJA = Path(__file__).parent / "jinja"


def template(name: str) -> str:
    """A chat template in the manner of models that ship one; its first line says what is special about it."""
    return (JINJA / f"{name}.jinja").read_text(encoding="utf-8").removesuffix("\n")


CHATML, NO_STOP = template("chatml"), template("no_stop")


def build_tokenizer(
    chat_template: str | None = CHATML, *, bos: str | None = None, eos: str = "<|im_end|>"
) -> PreTrainedTokenizerFast:
    """A few hundred merges, enough for tokens of several characters and characters of several tokens."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([WORDS] * 20, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=eos, bos_token=bos, pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = chat_template
    return tokenizer


def conversation(*contents: str, system: str = "") -> Example:
    """User and assistant in turn."""
    roles = (USER, ASSISTANT)
    return Example(tuple(Message(roles[i % 2], text) for i, text in enumerate(contents)), system)


def learnt_text(tokenizer: Any, labels: list[int]) -> str:
    return tokenizer.decode([label for label in labels if label != -100], clean_up_tokenization_spaces=False)


def write_dataset(
    directory: Path, name: str, content: object, *, suffix: str = ".json", **entry: object
) -> Path:
    """Write NAME.json (or raw text/bytes as given) and register it. Returns the data file."""
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}{suffix}"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        path.write_text(text, encoding="utf-8")
    info_path = directory / "dataset_info.json"
    info = json.loads(info_path.read_text()) if info_path.exists() else {}
    info_path.write_text(json.dumps({**info, name: {"file_name": path.name, **entry}}))
    return path


def alpaca(count: int, *, start: int = 0) -> list[dict[str, str]]:
    """Rows of uneven length."""
    return [
        {"instruction": f"Say {i}" + " please" * (i % 7), "input": "", "output": f"It is {i}." * (1 + i % 5)}
        for i in range(start, start + count)
    ]
