"""Files that parse, with rows or columns that are not what the format says."""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

from tests.data.faults import Fault, bad_rows

SHAREGPT = {"formatting": "sharegpt"}
PAIRS = {"ranking": True}
SET_COLUMNS = "Set columns in dataset_info.json"
ROLES = "known roles are human, gpt, observation, function_call, system"


def in_messages(file: str, *reasons: str, column: str = "conversations") -> str:
    """Every row of the file is bad, each for its reason."""
    problems = [f'row {number}, column "{column}": {reason}' for number, reason in enumerate(reasons, 1)]
    return bad_rows(file, len(reasons), *problems)


COLUMNS = [
    Fault(
        "missing_columns.json",
        'dataset d: DIR/missing_columns.json, row 1: no column "instruction", "output"; '
        f'the columns that exist are "question", "answer". {SET_COLUMNS}',
    ),
    Fault(
        "misspelt_column.json",
        'dataset d: DIR/misspelt_column.json, row 1: no column "instruction" (did you mean "instuction"?); '
        f'the columns that exist are "instuction", "output". {SET_COLUMNS}',
    ),
    Fault(
        "no_rejected.json",
        'dataset d: DIR/no_rejected.json, row 1: no column "rejected"; '
        f'the columns that exist are "instruction", "chosen". {SET_COLUMNS}',
        PAIRS,
        stage="dpo",
    ),
    Fault(
        "pairs_for_sft.json",
        "dataset d holds pairs of answers (ranking: true), which the stages dpo, rm use; stage sft needs conversations",
        PAIRS,
    ),
    Fault(
        "conversations_for_dpo.json",
        "dataset d holds conversations, which the stages pt, sft, ppo, grpo use; stage dpo needs pairs of answers "
        '("ranking": true with the columns chosen and rejected)',
        stage="dpo",
    ),
]

CELLS = [
    Fault(
        "wrong_types.json",
        bad_rows(
            "wrong_types.json", 8,
            'row 1, column "instruction": is a list, expected text',
            'row 2, column "input": is a number, expected text',
            'row 3, column "output": is an object, expected text',
            'row 4, column "output": is true or false, expected text',
            'row 5, column "system": is a number, expected text',
            'row 6, column "history": is text, expected a list of [question, answer] pairs',
            'row 7, column "history": pair 1 is not [question, answer]',
            'row 8, column "history": the answer of pair 1 is empty',
        ),
        {"columns": {"system": "system", "history": "history"}},
    ),
    Fault(
        "not_a_number.json",
        bad_rows("not_a_number.json", 1, 'row 1, column "output": is a number, expected text'),
    ),
    Fault(
        "empty_answers.json",
        bad_rows(
            "empty_answers.json", 3,
            'row 1, column "output": is empty: there would be nothing to learn',
            'row 2, column "instruction": is empty',
            'row 3, column "output": is empty: there would be nothing to learn',
        ),
    ),
    Fault(
        "label_is_a_word.json",
        in_messages(
            "label_is_a_word.json",
            'is "good", expected true or false',
            "is empty, expected true or false",
            "is 2, expected true or false",
            column="label",
        ),
        {"columns": {"kto_tag": "label"}},
        stage="kto",
    ),
    Fault(
        "same_answers.json",
        bad_rows(
            "same_answers.json", 2,
            'row 1, column "rejected": is the same as "chosen": there would be nothing to prefer',
            'row 2, column "chosen": is empty: there would be nothing to compare',
        ),
        PAIRS,
        stage="dpo",
    ),
    Fault(
        "image_count.json",
        in_messages(
            "image_count.json",
            "holds 1 image, but the messages hold 2 <image> placeholders; the counts must be equal",
            "holds 1 image, but the messages hold 0 <image> placeholders; the counts must be equal",
            "value 1 is a number, expected a path",
            column="images",
        ),
        {**SHAREGPT, "columns": {"images": "images"}},
    ),
]  # fmt: skip

CONVERSATIONS = [
    Fault(
        "odd_turns.json",
        in_messages(
            "odd_turns.json",
            'does not end with an answer from "gpt"',
            'message 1 has the role "gpt" where "human" is expected',
            'message 2 has the role "human" where "gpt" is expected',
            'message 3 has the role "gpt" where "human" or "observation" is expected',
            'does not end with an answer from "gpt"',
        ),
        SHAREGPT,
    ),
    Fault(
        "empty_turn.json",
        in_messages(
            "empty_turn.json",
            'message 2 ("gpt") is empty: there would be nothing to learn',
            'message 1 ("human") is empty',
        ),
        SHAREGPT,
    ),
    Fault(
        "unknown_role.json",
        in_messages(
            "unknown_role.json",
            f'message 1 has the role "user"; {ROLES}. Set tags in dataset_info.json, such as {{"user_tag": "user"}}',
        ),
        SHAREGPT,
    ),
    Fault(
        "openai_as_sharegpt.json",
        in_messages(
            "openai_as_sharegpt.json",
            'message 1 has no "from" and "value"; it has "role", "content"; "formatting": "openai" reads these',
        ),
        SHAREGPT,
    ),
    Fault(
        "messages_are_text.json",
        in_messages(
            "messages_are_text.json",
            "is text, expected a list of messages",
            "message 1 is text, expected an object",
            "is empty",
        ),
        SHAREGPT,
    ),
    Fault(
        "pair_of_conversations.json",
        in_messages(
            "pair_of_conversations.json", "is a list of 2 messages, expected the one answer", column="chosen"
        ),
        {**SHAREGPT, **PAIRS},
        stage="dpo",
    ),
]

TOOLS = [
    Fault(
        "call_is_not_json.json",
        in_messages(
            "call_is_not_json.json",
            'message 2 holds no call: expected JSON such as {"name": "f", "arguments": {}}',
            "message 2 is not JSON: line 1, column 55: Expecting ',' delimiter",
            "message 2: the arguments of get_weather are not JSON: line 1, column 1: Expecting value",
            "message 2 calls get_weather without arguments; write {} where there are none",
        ),
        SHAREGPT,
    ),
    Fault(
        "tools_are_not_json.json",
        in_messages(
            "tools_are_not_json.json",
            "is not JSON: line 1, column 3: Expecting property name enclosed in double quotes",
            "is not JSON: line 1, column 1: Expecting value",
            'tool 1 has neither "function" nor "name"',
            column="tools",
        ),
        {**SHAREGPT, "columns": {"tools": "tools"}},
    ),
    Fault(
        "lost_result.json",
        in_messages(
            "lost_result.json",
            'message 2: the call "call_2" has no result',
            'message 4: tool_call_id is "call_9", but the calls before it are call_1, call_2',
            'message 3 has the role "assistant" where "user" or "tool" is expected',
            'message 2 ("assistant") is empty: there would be nothing to learn',
            column="messages",
        ),
        {"formatting": "openai"},
    ),
]

FAULTS = [*COLUMNS, *CELLS, *CONVERSATIONS, *TOOLS]
