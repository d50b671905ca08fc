"""`tunesmith data ...` as a person and as a script use it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.cli import main as tunesmith
from engine.data.inspect.commands import main
from tests.data.support import alpaca, write_dataset

COMMAND = [sys.executable, "-P", "-m", "engine.cli", "data"]
CONVERSATION = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]}
VERBS = ("list", "preview", "check", "stats", "detect", "register", "render")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with data/rows.json registered."""
    write_dataset(tmp_path / "data", "rows", alpaca(8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a verb through the command line: its exit code and what it printed."""

    def run(*words: str, stdin: object = None) -> tuple[int, str, str]:
        if stdin is not None:
            text = stdin if isinstance(stdin, bytes) else json.dumps(stdin).encode()
            sys.stdin = SimpleNamespace(buffer=io.BytesIO(text))  # type: ignore[assignment]
        try:
            code = tunesmith(["data", *words])
        except SystemExit as leaving:  # --help
            code = int(leaving.code or 0)
        finally:
            sys.stdin = sys.__stdin__
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb(said: Any, verb: str) -> None:
    code, out, err = said(verb, "--help")
    assert code == 0 and out.startswith("usage: tunesmith data " + verb) and "--json" in out and not err


def test_help_names_the_arguments_of_training(said: Any) -> None:
    out = said("preview", "--help")[1]
    for name in ("model_name_or_path", "cutoff_len", "enable_thinking", "mask_history", "dataset_dir"):
        assert name in out


def test_list(here: Path, said: Any) -> None:
    write_dataset(here / "data", "lost", [], file_name="no.json")
    code, out, _ = said("list")
    assert code == 0 and re.search(r"rows +alpaca +8 +\d+ B  data/rows.json", out)
    assert re.search(r"lost .*! dataset lost in data/dataset_info.json: .*no.json", out)
    assert "\x1b" not in out
    assert json.loads(said("list", "ROWS", "--json")[1])["datasets"][0]["rows"] == 8
    assert said("list", "nothing such")[1] == "No datasets.\n"


def test_preview_marks_what_is_learnt(here: Path, said: Any, model_folder: Path) -> None:
    code, out, _ = said("preview", "rows", "--count", "1", "--model_name_or_path", str(model_folder))
    assert code == 0 and out.splitlines() == [
        "data/rows.json, row 1  28 tokens, 7 learnt",
        "        <|im_start|>user⏎",
        "        Say 0<|im_end|>⏎",
        "        <|im_start|>assistant⏎",
        "learn   It is 0.<|im_end|>",
        "        ⏎",
        "",
    ]


def test_preview_of_an_argument_file_with_words_over_it(here: Path, said: Any) -> None:
    (here / "run.yaml").write_text("dataset: rows\ntemplate: llama2\nlearning_rate: 1e-4\nstage: sft\n")
    out = said("preview", "run.yaml", "--template", "chatml", "--count", "1")[1]
    assert "<|im_start|>user" in out and "[INST]" not in out


def test_preview_of_a_file_that_is_not_registered(here: Path, said: Any) -> None:
    (here / "new.csv").write_text("question,reply\nWho?,Me.\n")
    code, out, _ = said("preview", "new.csv", "template=chatml")
    assert code == 0 and "new.csv, row 2" in out and "learn   Me.<|im_end|>" in out


def test_preview_of_tokens_and_packs(here: Path, said: Any, model_folder: Path) -> None:
    words = (
        "rows",
        "--tokens",
        "--model_name_or_path",
        str(model_folder),
        "--packing",
        "true",
        "--cutoff_len",
        "24",
    )
    code, out, _ = said("preview", *words, "--count", "8")
    assert code == 0 and re.search(r"^learn +\d+  \"<\|im_end\|>\"$", out, re.MULTILINE)
    assert re.search(r"^cut +\d+  ", out, re.MULTILINE) and "packed row 1: rows 1" in out


def test_preview_of_raw_rows(here: Path, said: Any) -> None:
    out = said("preview", "rows", "--raw", "--count", "1")[1]
    assert json.loads(out.partition("\n")[2]) == alpaca(1)[0]


def test_check_ends_with_two_where_rows_are_bad(here: Path, said: Any) -> None:
    assert said("check", "rows")[0] == 0
    write_dataset(here / "data", "bad", [*alpaca(1), *[{"instruction": "x", "output": ""}] * 30])
    code, out, err = said("check", "bad", "--show", "2")
    assert code == 2 and not err
    assert out.splitlines()[0].startswith('data/bad.json, row 2, column "output": is empty')
    assert "... and 28 more" in out and "30 of 31 rows cannot be used" in out
    code, out, _ = said("check", "bad", "--json")
    assert code == 2 and json.loads(out)["counts"]["bad"] == 30


def test_stats(here: Path, said: Any, model_folder: Path) -> None:
    code, out, _ = said("stats", "rows", "--model_name_or_path", str(model_folder), "--cutoff_len", "30")
    assert code == 0 and re.search(r"^rows +8 read, 8 used$", out, re.MULTILINE)
    assert re.search(r"^length +50 % up to \d+, ", out, re.MULTILINE) and "cutoff_len  ---" in out
    assert "give --model_name_or_path" in said("stats", "rows")[1]
    given = ("stats", "rows", "--json", "--sample", "3", "--model_name_or_path", str(model_folder))
    assert json.loads(said(*given)[1])["of"] == 8


def test_detect_and_register(here: Path, said: Any) -> None:
    (here / "new.csv").write_text("question,reply\nWho?,Me.\n")
    code, out, _ = said("detect", "new.csv")
    assert code == 0 and '{"new": {"formatting": "alpaca", "columns": {"prompt": "question"' in out
    code, out, _ = said("register", "new.csv")
    info = json.loads((here / "data" / "dataset_info.json").read_text())
    assert code == 0 and info["new"]["file_name"] == str(here / "new.csv") and list(info) == ["rows", "new"]
    assert said("preview", "new")[0] == 0
    code, _, err = said("register", "new.csv", "--name", "new")
    assert code == 2 and "is registered in" in err
    code, _, _ = said("register", "new.csv", "--name", "copied", "--copy", "--json")
    assert code == 0 and (here / "data" / "new.csv").is_file()


def test_register_says_the_mapping(here: Path, said: Any) -> None:
    (here / "data" / "x.jsonl").write_text('{"a": "Who?", "b": "Me."}\n')
    code, _, _ = said("register", "data/x.jsonl", "--column", "prompt=b", "--column", "response=a")
    entry = json.loads((here / "data" / "dataset_info.json").read_text())["x"]
    assert code == 0 and entry["file_name"] == "x.jsonl" and entry["columns"]["prompt"] == "b"
    code, _, err = said("register", "data/x.jsonl", "--entry", '{"columns": {"prompt": "z"}}', "--name", "z")
    assert code == 2 and 'no column "z"' in err


def test_render_prints_the_spans(said: Any) -> None:
    code, out, _ = said("render", "--template", "chatml", "--json", stdin=CONVERSATION)
    assert code == 0 and json.loads(out) == [
        {"text": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "learn": False},
        {"text": "Yo<|im_end|>", "learn": True},
        {"text": "\n", "learn": False},
    ]


@pytest.mark.parametrize(("thinking", "learnt"), [("true", "<think>"), ("false", "Yo"), ("null", "Yo")])
def test_render_takes_the_rules_of_thinking(said: Any, thinking: str, learnt: str) -> None:
    words = ("render", "--template", "qwen3", "--enable_thinking", thinking, "--json")
    spans = json.loads(said(*words, stdin=CONVERSATION)[1])
    assert next(span["text"] for span in spans if span["learn"]).startswith(learnt)


def test_render_with_a_tokenizer_has_ids(said: Any, model_folder: Path, tokenizer: Any) -> None:
    words = ("render", "--template", "chatml", "--tokenizer", str(model_folder), "--json")
    spans = json.loads(said(*words, stdin=CONVERSATION)[1])
    assert [tokenizer.decode(span["ids"]) for span in spans] == [span["text"] for span in spans]


@pytest.mark.parametrize(
    ("words", "stdin", "text"),
    [
        (("render", "--template", "nope"), CONVERSATION, "not a known chat template"),
        (("render", "--template", "qwen3"), b"{", "line 1, column 2"),
        (("render", "--template", "qwen3"), b"", "standard input is empty; expected"),
        (("preview", "data/nope.json"), None, "no such file data/nope.json"),
        (("render", "--template", "qwen3"), b"\xff", "byte 1 is not UTF-8"),
        (("render", "--template", "qwen3"), b"[" * 100000, "nested too deeply"),
        (("preview", "rows", "--cutoff_len", "x", "--templte", "y"), None, "2 problems"),
        (("preview", "--count", "-1", "rows"), None, "--count"),
        (("preview", "nope"), None, "not registered"),
        (("preview", "rows", "extra"), None, "'extra'"),
        (("preview", "no.yaml"), None, "no.yaml: No such file"),
        (("check", "rows", "--model_name_or_path", "./nope"), None, "no folder ./nope"),
        (("stats", "rows", "--sample", "0"), None, "--sample"),
        (("list", "--dataset_dir", "nope"), None, "not a folder"),
        (("list", "--bogus"), None, "--bogus: not known here"),
        (("detect", "nope.csv"), None, "no such file"),
        (("register", "data/rows.json", "--column", "x"), None, "expected NAME=VALUE"),
        (("register", "data/rows.json", "--entry", "{"), None, "is not JSON"),
        (("bogus",), None, "invalid choice"),
        ((), None, "required"),
    ],
)
def test_mistakes_are_one_screen_and_exit_2(
    here: Path, said: Any, words: tuple[str, ...], stdin: object, text: str
) -> None:
    code, out, err = said(*words, stdin=stdin)
    assert code == 2 and text in err and err.startswith("error: ") and out == ""
    assert len(err.splitlines()) < 8


def test_a_conversation_with_a_strange_role_needs_no_registry(said: Any) -> None:
    strange = {"messages": [{"role": "bot", "content": "x"}]}
    _, _, err = said("render", "--template", "qwen3", stdin=strange)
    assert 'message 1 has the role "bot"; known roles are user' in err and "dataset_info" not in err


def test_the_histogram_begins_where_rows_do(here: Path, said: Any, model_folder: Path) -> None:
    _, out, _ = said("stats", "rows", "--model_name_or_path", str(model_folder))
    bars = [line for line in out.splitlines() if re.match(r" +[\d,]+ to ", line)]
    assert bars and bars[0].endswith("#") and bars[-1].endswith("#")


def test_data_cannot_steer_the_terminal(here: Path, said: Any) -> None:
    write_dataset(here / "data", "odd", [{"instruction": "\x1b[31mred\x07", "output": "\x9bx"}])
    out = said("preview", "odd")[1]
    assert "\x1b" not in out and "\x9b" not in out and "\\x1b[31mred\\x07" in out


def on_terminal(words: list[str], environment: dict[str, str], cwd: Path) -> str:
    """What a command prints when its output is a terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=cwd, stdout=follower, env={**os.environ, "TERM": "xterm", **environment}
    )
    os.close(follower)
    printed = b""
    try:
        while chunk := os.read(leader, 4096):
            printed += chunk
    except OSError:  # the terminal is closed
        pass
    os.close(leader)
    assert process.wait(30) == 0
    return printed.decode()


def test_colour_on_a_terminal_unless_unwanted(here: Path) -> None:
    words = ["preview", "rows", "--template", "chatml", "--count", "1"]
    assert "\x1b[32mIt is 0.<|im_end|>\x1b[0m" in on_terminal(words, {}, here)
    assert "\x1b" not in on_terminal(words, {"NO_COLOR": "1"}, here)


def test_a_reader_that_leaves_early_is_no_failure(here: Path) -> None:
    write_dataset(here / "data", "many", alpaca(3000))
    process = subprocess.Popen(
        [*COMMAND, "preview", "many", "--count", "3000"],
        cwd=here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(30) == 0 and errors == ""


def test_rendering_without_a_tokenizer_is_quick_and_light(repo: Path) -> None:
    """A bound on processor time, not on the clock: the machine may be busy."""
    program = (
        "import sys; from engine.cli import main; main(sys.argv[1:]);"
        "heavy = {'torch', 'transformers', 'tokenizers', 'pyarrow'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program, "data", "render", "--template", "qwen3", "--json"],
        cwd=repo,
        input=json.dumps(CONVERSATION),
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0 and json.loads(done.stdout), done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.4


def test_main_returns_the_exit_code(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0 and "rows" in capsys.readouterr().out
