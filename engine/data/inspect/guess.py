"""What columns may mean, by their names and by what they hold. Guesses; detect.py tries them on the rows.

Try: python -c "from engine.data.inspect.guess import name_score; print(name_score('reply', 'response'))"
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Names that columns of each role go by, the surest first.
NAMES: Mapping[str, tuple[str, ...]] = {
    "prompt": (
        "instruction", "prompt", "question", "query", "problem", "request", "ask", "task", "user", "human",
        "q", "input", "source", "title", "指令", "问题", "提问", "用户", "输入",
    ),
    "response": (
        "output", "response", "answer", "completion", "reply", "solution", "target", "assistant", "gpt",
        "bot", "a", "result", "输出", "回答", "答案", "回复",
    ),
    "query": ("input", "context", "passage", "background", "document", "输入", "上下文"),
    "system": ("system", "sys", "persona"),
    "history": ("history",),
    "tools": ("tools", "functions"),
    "images": ("images", "image"),
    "videos": ("videos", "video"),
    "audios": ("audios", "audio"),
    "messages": ("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "turns"),
    "chosen": ("chosen", "preferred", "better", "accepted", "winner", "positive"),
    "rejected": ("rejected", "dispreferred", "worse", "loser", "negative"),
    "kto_tag": ("kto_tag", "desirable", "label", "liked", "thumbs", "good"),
    "text": ("text", "content", "document", "body", "article", "文本", "内容"),
}  # fmt: skip
ROLE_KEYS = ("role", "from", "speaker", "author", "sender", "name", "type", "who")
CONTENT_KEYS = ("content", "value", "text", "message", "utterance", "body")
SPEAKERS: Mapping[str, frozenset[str]] = {
    "system_tag": frozenset(("system", "developer", "sys")),
    "user_tag": frozenset(
        ("user", "human", "customer", "prompter", "question", "client", "instruction", "q")
    ),
    "assistant_tag": frozenset(
        ("assistant", "gpt", "bot", "model", "chatgpt", "ai", "agent", "chatbot", "answer", "output", "a")
    ),
    "observation_tag": frozenset(("tool", "observation", "ipython", "function_response", "tool_response")),
    "function_tag": frozenset(("function_call", "tool_call", "function-call", "tool_calls")),
}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[\u4e00-\u9fff]+")


@dataclass(frozen=True)
class Column:
    """What the sample rows hold in one column. `kind`: text, bool, messages, message, texts, other, empty."""

    name: str
    kind: str
    mean_length: float
    distinct: float
    questions: float
    values: Sequence[Any]


def name_score(name: str, role: str) -> float:
    """0 to 1: how sure a column's name says its role."""
    words = [word.lower() for word in _WORD.findall(name)]
    bare = "".join(words)
    best = 0.0
    for rank, known in enumerate(NAMES[role]):
        worth = 1 - 0.02 * rank
        if bare == known.replace("_", ""):
            best = max(best, worth)
        elif known in words and len(known) > 1:
            best = max(best, 0.7 * worth)
    return best


def look_at(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Every column of the rows, in order of appearance."""
    names = dict.fromkeys(key for row in rows for key in row)
    return [_column(name, [row[name] for row in rows if row.get(name) not in (None, "")]) for name in names]


def _column(name: str, values: list[Any]) -> Column:
    values = [parsed(value) for value in values]
    kinds = Counter(_kind(value) for value in values)
    kind = kinds.most_common(1)[0][0] if kinds else "empty"
    texts = [value for value in values if isinstance(value, str)]
    mean = sum(map(len, texts)) / len(texts) if texts else 0.0
    distinct = len(set(texts)) / len(texts) if texts else 0.0
    asked = sum(text.rstrip().endswith(("?", "？")) for text in texts) / len(texts) if texts else 0.0
    return Column(name, kind, mean, distinct, asked, values)


def parsed(value: Any) -> Any:
    """Lists and objects that a CSV can only spell as JSON."""
    if isinstance(value, str) and value[:1] in "[{" and value.rstrip()[-1:] in ("]", "}"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _kind(value: Any) -> str:
    if isinstance(value, bool) or (type(value) is int and value in (0, 1)):
        return "bool"
    if isinstance(value, str) and value.strip().lower() in ("true", "false", "0", "1"):
        return "bool"
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict) and find_keys([value]):
        return "message"
    if isinstance(value, list) and value:
        if all(isinstance(item, dict) for item in value) and find_keys(value):
            return "messages"
        if all(isinstance(item, str) for item in value):
            return "texts"
    return "other"


def find_keys(messages: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """(role key, content key) that all these messages have; None where they are no messages."""
    keys = set.intersection(*(set(message) for message in messages)) if messages else set()
    anywhere = {key for message in messages for key in message}
    role = next((key for key in ROLE_KEYS if key in keys and isinstance(messages[0][key], str)), None)
    content = next((key for key in CONTENT_KEYS if key in anywhere and key != role), None)
    return (role, content) if role and content else None


def guess_tags(column: Column) -> tuple[dict[str, str], float]:
    """The tags of a column of messages, and how sure they are."""
    messages = [m for value in column.values for m in (value if isinstance(value, list) else [value])]
    messages = [message for message in messages if isinstance(message, dict)]
    found = find_keys(messages) or find_keys(messages[:1])
    assert found is not None, "the column holds messages"
    role, content = found
    words = Counter(str(message.get(role)) for message in messages)
    tags = {"role_tag": role, "content_tag": content}
    for tag, known in SPEAKERS.items():
        named = [
            word for word, _ in words.most_common() if word.lower() in known and word not in tags.values()
        ]
        if named:
            tags[tag] = named[0]
    strangers = [word for word, _ in words.most_common() if word not in tags.values()]
    sure = 1.0
    for tag in ("user_tag", "assistant_tag"):
        if tag not in tags and strangers:
            tags[tag] = _by_place(column, role, strangers, tag)
            strangers.remove(tags[tag])
            sure -= 0.25
    return tags, max(sure - 0.1 * len(strangers), 0.1)


def _by_place(column: Column, role: str, strangers: Sequence[str], tag: str) -> str:
    """Users speak first and assistants last, whatever they are called."""
    place = 0 if tag == "user_tag" else -1
    ends = Counter(
        str(spoken[place].get(role))
        for value in column.values
        if isinstance(value, list) and (spoken := [m for m in value if str(m.get(role)) in strangers])
    )
    return ends.most_common(1)[0][0] if ends else strangers[0]


def guess_texts(columns: Sequence[Column]) -> tuple[Column | None, Column | None, float]:
    """(prompt, response, how sure) among text columns, by name where names tell, else by what they hold."""
    texts = [column for column in columns if column.kind == "text"]
    pairs = [
        (name_score(prompt.name, "prompt") + name_score(response.name, "response"), prompt, response)
        for prompt in texts
        for response in texts
        if prompt is not response
        and name_score(prompt.name, "prompt")
        and name_score(response.name, "response")
    ]
    if pairs:
        score, prompt, response = max(pairs, key=lambda pair: pair[0])
        return prompt, response, score / 2
    prompts = [column for column in texts if name_score(column.name, "prompt")]
    responses = [column for column in texts if name_score(column.name, "response")]
    prose = _prose(texts)
    if prompts and not responses:
        prompt = max(prompts, key=lambda column: name_score(column.name, "prompt"))
        rest = [column for column in prose if column is not prompt]
        return prompt, max(rest, key=_worth, default=None), 0.55
    if responses:
        response = max(responses, key=lambda column: name_score(column.name, "response"))
        rest = [column for column in prose if column is not response]
        return max(rest, key=_worth, default=None), response, 0.55
    if len(prose) < 2:
        return (prose[0] if prose else None), None, 0.3
    # The two that say most; the one that asks comes first, else the one that stands first.
    first, second = sorted(sorted(prose, key=_worth, reverse=True)[:2], key=texts.index)
    if second.questions > first.questions + 0.3:
        first, second = second, first
    return first, second, 0.45 if first.questions > 0.3 else 0.35


def _prose(texts: Sequence[Column]) -> list[Column]:
    """Columns of sentences, not of ids, dates or categories."""
    wordy = [column for column in texts if any(" " in str(value).strip() for value in column.values)]
    wordy = wordy or [column for column in texts if column.mean_length >= 2]
    varied = [column for column in wordy if column.distinct > 0.5]
    return varied if len(varied) >= 2 else wordy


def _worth(column: Column) -> float:
    return column.mean_length * (0.2 + column.distinct)
