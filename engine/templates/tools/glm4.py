"""ChatGLM3 and GLM-4: a call is the tool's name on one line and its arguments as JSON on the next."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.templates.tools import Data, Tool
from engine.templates.tools.common import dump, function_of, read_json, skip_blanks
from engine.templates.turns import Call

LEAD = "\n"
HEAD = (
    "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱 AI 公司训练的语言模型 GLM-4 模型开发的，"
    "你的任务是针对用户的问题和要求提供适当的答复和支持。\n\n# 可用工具"
)
TAIL = "\n在调用上述函数时，请使用 Json 格式表示调用的参数。"
NAME = re.compile(r"^([^\s{}]+)\n(?=\{)", re.MULTILINE)


def describe(tools: Sequence[Tool]) -> list[str]:
    parts = [HEAD]
    for function in map(function_of, tools):
        parts += ["\n\n## ", Data(function["name"]), "\n\n", Data(dump(function, indent=4)), TAIL]
    return parts


def write_calls(calls: Sequence[Call]) -> list[str]:
    parts: list[str] = []
    for name, arguments in calls:
        parts += ["\n" if parts else "", Data(f"{name}\n{dump(arguments)}")]
    return parts


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> tuple[list[Call], str]:
    """Calls are told from words by standing at the very end."""
    for head in NAME.finditer(text):
        calls = _read_to_end(text, head.start())
        if calls:
            return calls, text[: head.start()].removesuffix(LEAD)
    return [], text


def _read_to_end(text: str, position: int) -> list[Call]:
    calls: list[Call] = []
    while position < len(text):
        head = NAME.match(text, position)
        decoded = read_json(text, head.end()) if head else None
        if head is None or decoded is None or not isinstance(decoded[0], dict):
            return []
        calls.append((head[1], decoded[0]))
        position = skip_blanks(text, decoded[1])
    return calls
