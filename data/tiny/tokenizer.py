"""The tiny model's tokenizer: byte-level BPE with Qwen's way of cutting text, special tokens and chat format.

Trained on the corpus and on the demo sets, so that the demo sets do not fall apart into bytes. Every digit
is a token of its own. It is not Qwen's vocabulary: the numbers of the tokens differ.
Try: python data/tiny/tokenizer.py --out FOLDER
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import corpus
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

VOCABULARY_SIZE = 2048
MAX_LENGTH = 4096
MAX_TOKEN_BYTES = 12  # four Chinese characters: no whole answer becomes one token
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = (
    END_OF_TEXT,
    TURN_START,
    TURN_END,
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# Qwen adds these too, but keeps them as text when special tokens are left out of a decoded answer.
VISIBLE = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
# Contractions, words with at most one leading mark, single digits, runs of marks, line ends, other blanks.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
REPOSITORY_DATA = Path(__file__).resolve().parent.parent
TEMPLATE = Path(__file__).with_name("chat_template.jinja")


LEARNT_FROM = (
    "identity", "alpaca_en_demo", "alpaca_zh_demo", "chat_demo", "demo_identity", "tiny_skills",
    "tiny_heldout",
)  # fmt: skip
"""The demo sets whose words make the vocabulary. A set added later must not change it."""


def demo_texts(folder: Path) -> Iterator[str]:
    """Every string in those demo sets."""
    for name in LEARNT_FROM:
        yield from _strings(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def train(texts: Iterator[str]) -> Tokenizer:
    """A byte-level BPE of VOCABULARY_SIZE tokens, the added ones last, as Qwen has them."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(SPECIAL) - len(VISIBLE),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=MAX_TOKEN_BYTES,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in VISIBLE])
    return tokenizer


def build(out: Path, *, sample: int = 6_000) -> Path:
    """Train on a sample of the corpus and all demo sets; writes the files transformers reads."""
    learnt = (message["content"] for messages in corpus.conversations(sample) for message in messages)
    tokenizer = train(iter([*learnt, *demo_texts(REPOSITORY_DATA)]))
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": TURN_END,
        "pad_token": END_OF_TEXT,
        "bos_token": None,
        "unk_token": None,
        "additional_special_tokens": [text for text in SPECIAL if text not in (END_OF_TEXT, TURN_END)],
        "model_max_length": MAX_LENGTH,
        "clean_up_tokenization_spaces": False,
        "add_bos_token": False,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (out / "chat_template.jinja").write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the tiny model's tokenizer.")
    parser.add_argument("--out", type=Path, default=REPOSITORY_DATA / "tiny-qwen3")
    print(build(parser.parse_args().out))


if __name__ == "__main__":
    main()
