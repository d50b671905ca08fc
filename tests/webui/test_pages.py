"""The pages without a browser: what they restore, save, load, show and hand to the job runner."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
import yaml

from engine.errors import ArgError, JobError, UserError
from engine.jobs import client
from engine.schema.load import load_mapping
from webui import memory, text
from webui.chat_stream import stream_answer
from webui.form import Form
from webui.pages import chat, evaluate, export, train
from webui.widgets import (
    argument_files,
    data_picker,
    job_actions,
    model_picker,
    next_steps,
    page_open,
    results,
)


@pytest.fixture(scope="module")
def demo(studio_app: Any) -> gr.Blocks:
    """The Blocks inside the application."""
    apps = (getattr(route, "app", None) for route in studio_app.routes)
    return next(app for app in apps if hasattr(app, "get_blocks")).get_blocks()


@pytest.fixture(scope="module")
def form() -> Form:
    """The train form as the page draws it, without the page."""
    made = Form("train", "train", initial=train.FIRST_RUN)
    with gr.Blocks(analytics_enabled=False):
        train._draw_form(text.i18n(), made, {})
    return made


def adapter(folder: Path, base: str = "base/model") -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    return folder


def job(command: str, run: Path, **facts: Any) -> SimpleNamespace:
    """What the pages look at of a job."""
    return SimpleNamespace(id="j1", command=command, run_dir=str(run), state="succeeded", argv=(), **facts)


# ---- the page as a whole


def test_no_tab_holds_a_connection_and_no_event_is_public(demo: gr.Blocks):
    config = demo.get_config_file()
    assert config["connect_heartbeat"] is False
    assert {entry["api_visibility"] for entry in config["dependencies"]} == {"private"}


def test_only_the_chat_streams(demo: gr.Blocks):
    streaming = [fn for fn in demo.fns.values() if fn.types_generator]
    assert [fn.name for fn in streaming] == ["answer"]
    assert streaming[0].concurrency_limit is None


def test_every_field_has_an_id_of_its_own(demo: gr.Blocks):
    ids = [block.elem_id for block in demo.blocks.values() if block.elem_id]
    assert len(ids) == len(set(ids))
    wanted = {
        "ts-start", "ts-stop", "ts-save", "ts-load", "ts-evaluate-start", "ts-export-start", "ts-chat-load",
        "train-learning_rate", "chat-temperature", "evaluate-eval_dataset", "export-export_dir",
    }  # fmt: skip
    assert wanted <= set(ids)


def test_an_argument_has_no_words_in_the_page_exactly_where_it_has_no_field(demo: gr.Blocks):
    drawn = {str(block.elem_id).partition("-")[2] for block in demo.blocks.values() if block.elem_id}
    known = {key.split(".")[-2] for key in text.argument_texts()}
    assert known - drawn == set(text.WITHOUT_FIELD)


def test_every_page_s_first_values_are_right():
    for command, first in (
        ("train", train.FIRST_RUN),
        ("eval", evaluate.FIRST_EVALUATION),
        ("export", export.FIRST_EXPORT),
        ("api", chat.FIRST_CHAT),
    ):
        assert load_mapping(command, first).notes == ()


def test_the_page_opens_with_the_demo(repo: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(repo)
    given = train.first_values()
    assert given["model_name_or_path"] == "data/tiny-qwen3"
    load_mapping("train", given)
    register = json.loads((repo / "data" / "dataset_info.json").read_text())
    names = given["dataset"]
    assert set([names] if isinstance(names, str) else names) <= set(register)
    assert set(evaluate.FIRST_EVALUATION["eval_dataset"]) <= set(register)


# ---- what is remembered


def test_a_form_comes_back_as_it_was(form: Form, workdir: Path):
    values = form.start_values() | {"run_name": 'α "b" $c\nd', "bf16": True, "dataset": ["x", "y"]}
    memory.remember("train", "j1", values)
    assert page_open.restored_values(form, "j1") == values
    assert page_open.restored_values(form, "") == values
    assert (workdir / "saves" / ".studio" / "form-train.json").stat().st_mode & 0o077 == 0


def test_a_broken_memory_is_no_obstacle(form: Form, workdir: Path):
    (workdir / "saves" / ".studio").mkdir(parents=True)
    (workdir / "saves" / ".studio" / "form-train.json").write_text('{"job": "x", "val')
    assert page_open.restored_values(form, "") == form.start_values()


def test_another_job_on_screen_shows_its_own_arguments(
    form: Form, workdir: Path, monkeypatch: pytest.MonkeyPatch
):
    memory.remember("train", "j1", form.start_values() | {"seed": "7"})
    run = workdir / "saves" / "m" / "lora" / "r"
    run.mkdir(parents=True)
    asked = {"model_name_or_path": "m", "dataset": ["d"], "seed": 9, "output_dir": "saves/m/lora/r"}
    (run / "args.yaml").write_text(yaml.safe_dump(asked))
    monkeypatch.setattr(client, "get", lambda job_id: job("train", run))
    shown = page_open.restored_values(form, "j2")
    assert (shown["model_name_or_path"], shown["dataset"], shown["seed"]) == ("m", ["d"], "9")
    assert shown["output_dir"] == ""  # else the next start would land in the folder of the last
    assert page_open.restored_values(form, "j1")["seed"] == "7"


# ---- files


LLAMA_FACTORY = """
model_name_or_path: meta-llama/Meta-Llama-3-8B-Instruct
trust_remote_code: true
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
dataset: identity,alpaca_en_demo
template: llama3
cutoff_len: 2048
max_samples: 1000
overwrite_cache: true
preprocessing_num_workers: 16
output_dir: saves/llama3-8b/lora/sft
logging_steps: 10
save_steps: 500
plot_loss: true
overwrite_output_dir: true
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
"""


def test_a_file_of_llama_factory_fills_the_form(form: Form, tmp_path: Path):
    path = tmp_path / "llama3_lora_sft.yaml"
    path.write_text(LLAMA_FACTORY)
    read = argument_files.read_arguments(form, path)
    assert not read.problems
    assert read.values["learning_rate"] == "0.0001"
    assert read.values["dataset"] == ["identity", "alpaca_en_demo"]
    assert read.values["warmup_steps"] == "0.1"
    assert form.load(read.values).args == load_mapping("train", yaml.safe_load(LLAMA_FACTORY)).args


def test_a_file_with_mistakes_is_loaded_as_far_as_it_goes(form: Form, tmp_path: Path):
    path = tmp_path / "bad.yaml"
    path.write_text("model_name_or_path: m\ndataset: d\nlearning_rat: 1\nseed: abc\nstage: bogus\n")
    read = argument_files.read_arguments(form, path)
    assert len(read.problems) == 3
    assert any("learning_rate" in problem for problem in read.problems)
    assert (read.values["model_name_or_path"], read.values["seed"]) == ("m", "abc")
    path.write_text("model_name_or_path: m\ndataset: d\ntemperature: 0.5\n")
    assert any("temperature" in note for note in argument_files.read_arguments(form, path).notes)
    path.write_text("a: [1\n")
    with pytest.raises(UserError, match="line"):
        argument_files.read_arguments(form, path)


def test_saved_arguments_load_back_and_stay_in_their_folder(form: Form, workdir: Path):
    values = form.start_values() | {"default_system": "line one\n第二行 $x 'y'"}
    path = argument_files.save_file(form, values, "my run.yaml")
    assert path == Path("saves/configs/my run.yaml")
    assert argument_files.read_arguments(form, path).values == values
    assert str(path) in argument_files.find_files()
    assert argument_files.save_file(form, values, " ").name == "tiny-qwen3-lora.yaml"
    for bad in ("../out", "/etc/x", "a/b", ".hidden", "a\x00b"):
        with pytest.raises(UserError):
            argument_files.save_file(form, values, bad)
    with pytest.raises(ArgError):
        argument_files.save_file(form, values | {"seed": "x"}, "wrong")
    assert [
        entry.name for entry in (workdir / "saves" / "configs").iterdir() if entry.name == "wrong.yaml"
    ] == []


def test_a_file_outside_the_working_folder_is_not_read(form: Form, workdir: Path):
    request = SimpleNamespace(cookies={}, headers={})
    notes, *fields = argument_files._read_chosen(form)(
        request, "/etc/hostname", *form.start_values().values()
    )
    assert "outside" in notes["value"]
    assert all("value" not in update for update in fields)


# ---- pickers


def test_datasets_are_named_by_their_register(workdir: Path):
    (workdir / "data").mkdir()
    register = workdir / "data" / "dataset_info.json"
    register.write_text(json.dumps({"b": {}, "a": {}, "中文": {}}))
    assert data_picker.find_datasets("data") == ["a", "b", "中文"]
    register.write_text("{")
    assert data_picker.find_datasets("data") == []
    assert data_picker.find_datasets("nowhere") == []


def test_models_and_adapters_on_this_disk_are_found(workdir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "list_jobs", lambda **_: [])
    for folder in ("data/tiny", "saves/tiny/full/r1"):
        (workdir / folder).mkdir(parents=True)
        (workdir / folder / "config.json").write_text("{}")
        (workdir / folder / "model.safetensors").write_text("")
    (workdir / "data" / "no-weights").mkdir()
    (workdir / "data" / "no-weights" / "config.json").write_text("{}")
    run = adapter(workdir / "saves/tiny/lora/r2")
    adapter(run / "checkpoint-3")
    assert model_picker.find_models() == ["data/tiny", "saves/tiny/full/r1"]
    assert set(model_picker.find_adapters()) == {"saves/tiny/lora/r2", "saves/tiny/lora/r2/checkpoint-3"}
    assert model_picker.find_base("saves/tiny/lora/r2") == "base/model"
    assert model_picker.find_base("data/tiny") is None


# ---- starting, and going on with a result


def test_a_start_that_is_refused_says_why_and_submits_nothing(
    form: Form, workdir: Path, monkeypatch: pytest.MonkeyPatch
):
    job_id, (notes, summary, *sections) = job_actions.submit(form, form.start_values() | {"seed": "x"}, "zh")
    assert job_id == ""
    assert summary["visible"] and 'data-field="train-seed"' in summary["value"]
    assert "随机种子" in summary["value"]
    assert not (workdir / "saves").exists() or not list((workdir / "saves").glob("*/*/*/args.yaml"))
    job_id, (_, summary, *sections) = job_actions.submit(form, form.start_values() | {"lora_rank": "0"}, "en")
    opened = [
        section.names for section, update in zip(form.sections, sections, strict=True) if update.get("open")
    ]
    assert opened == [train.SECTIONS["section.lora"][1]]

    def full(*_: Any, **__: Any) -> None:
        raise JobError("no room <here>")

    monkeypatch.setattr(client, "submit", full)
    _, (notes, *_) = job_actions.submit(form, form.start_values(), "en")
    assert "no room &lt;here&gt;" in notes["value"]


def test_a_dataset_nobody_registered_is_refused_before_a_run_is_made(form: Form, workdir: Path):
    (workdir / "data").mkdir()
    (workdir / "data" / "dataset_info.json").write_text('{"known": {}}')
    values = form.start_values() | {"dataset": ["known", "nosuch"], "seed": "x"}
    job_id, (_, summary, *_) = job_actions.submit(form, values, "en")
    assert job_id == "" and 'data-field="train-dataset"' in summary["value"]
    assert "nosuch is not in data/dataset_info.json" in summary["value"]
    assert 'data-field="train-seed"' in summary["value"]  # what else is wrong is said with it
    assert not (workdir / "saves").exists()
    (workdir / "data" / "dataset_info.json").write_text("{")
    assert data_picker.unknown_datasets(form, values, "en") == []


def test_a_refusal_about_an_argument_stands_at_its_field(form: Form, workdir: Path):
    (workdir / "saves" / "old").mkdir(parents=True)
    (workdir / "saves" / "old" / "model.safetensors").write_text("x")
    job_id, (notes, summary, *_) = job_actions.submit(
        form, form.start_values() | {"dataset": ["identity"], "output_dir": "saves/old"}, "zh"
    )
    assert job_id == "" and not notes["visible"]
    assert 'data-field="train-output_dir"' in summary["value"] and "输出目录" in summary["value"]
    assert "overwrite_output_dir" in summary["value"]


def test_what_is_submitted_is_what_was_previewed(form: Form, workdir: Path, monkeypatch: pytest.MonkeyPatch):
    sent: dict[str, Any] = {}

    def submit(command: str, mapping: dict[str, Any]) -> SimpleNamespace:
        sent.update(command=command, args=load_mapping(command, mapping).args)
        return SimpleNamespace(id="new")

    monkeypatch.setattr(client, "submit", submit)
    values = form.start_values() | {"default_system": "a\n$b", "lora_rank": "4"}
    assert job_actions.submit(form, values, "en")[0] == "new"
    assert sent == {"command": "train", "args": form.load(values).args}
    kept = memory.recall("train")
    assert kept and (kept.job, kept.values["lora_rank"]) == ("new", "4")


@pytest.mark.parametrize(
    ("asked", "has", "expected"),
    [
        ({}, "adapter_config.json", ("base", ["run"])),
        ({"adapter_name_or_path": ["a", "b"]}, "adapter_config.json", ("base", ["a", "run"])),
        (
            {"adapter_name_or_path": ["a", "b"], "create_new_adapter": True},
            "adapter_config.json",
            ("base", ["a", "b", "run"]),
        ),
        ({}, "config.json", ("run", [])),
    ],
)
def test_the_model_a_run_left_behind(
    asked: dict, has: str, expected: tuple, workdir: Path, monkeypatch: pytest.MonkeyPatch
):
    run = workdir / "run"
    run.mkdir()
    (run / has).write_text("{}")
    (run / "args.yaml").write_text(yaml.safe_dump({"model_name_or_path": "base", **asked}))
    monkeypatch.setattr(client, "get", lambda job_id: job("train", run))
    found = next_steps.model_of("j1")
    assert found
    assert (found["model_name_or_path"], found["adapter_name_or_path"]) == expected


# ---- results


def test_results_are_shown_in_words_and_as_text_only(tmp_path: Path):
    assert results.evaluation_html(tmp_path, "en") == ""
    found = {"eval_loss": 1.23456, "eval_perplexity": None, "predict_samples": 1234, "odd<b>": "x"}
    (tmp_path / "all_results.json").write_text(json.dumps(found))
    row = {"prompt": "<script>alert(1)</script>", "label": "a & b", "predict": "c"}
    (tmp_path / "generated_predictions.jsonl").write_text(json.dumps(row) + "\n" + '{"torn')
    shown = results.evaluation_html(tmp_path, "zh")
    assert "损失" in shown and "1.235" in shown and "1,234" in shown and "∞" in shown
    assert "<script>" not in shown and "odd<b>" not in shown
    assert "a &amp; b" in shown


def test_an_export_says_whether_it_was_checked(tmp_path: Path):
    (tmp_path / "all_results.json").write_text(
        json.dumps({"export_dir": "out/m", "verified": True, "shards": 2})
    )
    shown = results.export_html(job("export", tmp_path), "en")
    assert "out/m" in shown and text.t("say.export.verified", "en") in shown


# ---- chat


class FakeServer(BaseHTTPRequestHandler):
    """An OpenAI-style server that repeats what it was asked, and remembers how."""

    asked: list[dict[str, Any]] = []
    hung_up = threading.Event()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append({**body, "key": self.headers.get("authorization"), "path": self.path})
        if body["model"] == "endless":
            return self.talk_until_hung_up()
        if body["model"] == "refuse":
            return self.reply(400, json.dumps({"error": {"message": "too long"}}).encode())
        pieces = [{"choices": [{"delta": {"content": word}}]} for word in ("He", "llo", " 你好")]
        if body["model"] == "break":
            pieces[2] = {"error": {"message": "out of memory"}}
        lines = "".join(f"data: {json.dumps(piece)}\n\n" for piece in [{"choices": [{"delta": {}}]}, *pieces])
        return self.reply(200, f"{lines}data: [DONE]\n\n".encode())

    def talk_until_hung_up(self) -> None:
        self.send_response(200)
        self.end_headers()
        line = f"data: {json.dumps({'choices': [{'delta': {'content': 'on '}}]})}\n\n".encode()
        try:
            while True:
                self.wfile.write(line)
        except OSError:
            self.hung_up.set()

    def reply(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    FakeServer.asked.clear()
    http = ThreadingHTTPServer(("127.0.0.1", 0), FakeServer)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}/v1"
    http.shutdown()
    http.server_close()
    thread.join(5)


async def collect(stream: Any) -> list[str]:
    return [piece async for piece in stream]


def test_an_answer_arrives_piece_by_piece(server: str):
    turns = [{"role": "user", "content": "hi"}]
    pieces = asyncio.run(collect(stream_answer(server, "secret", turns, model="m", temperature=0.5)))
    assert pieces == ["He", "llo", " 你好"]
    assert FakeServer.asked == [
        {"messages": turns, "stream": True, "model": "m", "temperature": 0.5, "key": "Bearer secret",
         "path": "/v1/chat/completions"}
    ]  # fmt: skip


def test_stopping_an_answer_midway_hangs_up_on_the_server(server: str):
    async def hear_a_little() -> str:
        stream = stream_answer(server, None, [], model="endless")
        said = [await anext(stream) for _ in range(3)]
        await stream.aclose()
        return "".join(said)

    FakeServer.hung_up.clear()
    assert asyncio.run(hear_a_little()) == "on on on "
    assert FakeServer.hung_up.wait(10)


@pytest.mark.parametrize(("model", "words"), [("refuse", "too long"), ("break", "out of memory")])
def test_a_server_s_complaint_reaches_the_person(server: str, model: str, words: str):
    with pytest.raises(UserError, match=words):
        asyncio.run(collect(stream_answer(server, None, [], model=model)))


def test_a_server_that_is_gone_is_a_plain_sentence():
    with pytest.raises(UserError, match="did not answer"):
        asyncio.run(collect(stream_answer("http://127.0.0.1:9", None, [], model="m")))


@pytest.fixture
def chat_form() -> Form:
    made = Form("api", "chat", initial=chat.FIRST_CHAT | {"port": 0})
    with gr.Blocks(analytics_enabled=False):
        for names in chat.CARDS.values():
            made.draw(text.i18n(), names)
        made.draw_further(text.i18n())
    return made


def test_a_question_goes_to_the_chosen_server_with_the_fields_as_they_stand(
    chat_form: Form, server: str, monkeypatch: pytest.MonkeyPatch
):
    endpoint = client.Endpoint(url=server, model="tiny", key="k")
    monkeypatch.setattr(client, "endpoint", lambda job_id: endpoint if job_id == "j1" else None)
    monkeypatch.setattr(chat, "SHOW_EVERY_S", 0.0)
    sampling = {
        "default_system": "Be kind.",
        "do_sample": True,
        "temperature": "0",
        "top_p": "0.5",
        "top_k": "7",
        "max_new_tokens": "9",
    }
    turns = [{"role": "user", "content": "hi"}]
    said = asyncio.run(collect(chat.answers(chat_form, turns, "j1", sampling, "en")))
    assert said == ["He", "Hello", "Hello 你好"]
    asked = FakeServer.asked[0]
    assert asked["messages"][0] == {"role": "system", "content": "Be kind."}
    names = ("temperature", "top_p", "top_k", "max_tokens", "model")
    assert tuple(asked[name] for name in names) == (0.0, 0.5, 7, 9, "tiny")
    with pytest.raises(UserError, match="Load one first"):
        asyncio.run(collect(chat.answers(chat_form, turns, "other", sampling, "en")))
    with pytest.raises(ArgError):
        asyncio.run(collect(chat.answers(chat_form, turns, "j1", sampling | {"top_p": "7"}, "en")))


def test_a_fast_answer_is_shown_now_and_then_but_to_its_end(
    chat_form: Form, server: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client, "endpoint", lambda _: client.Endpoint(url=server, model="tiny", key="k"))
    monkeypatch.setattr(chat, "SHOW_EVERY_S", 60.0)
    turns = [{"role": "user", "content": "hi"}]
    assert asyncio.run(collect(chat.answers(chat_form, turns, "j1", {}, "en"))) == ["He", "Hello 你好"]


def test_servers_of_one_model_are_told_apart(monkeypatch: pytest.MonkeyPatch):
    def serving(job_id: str, model: str, created: float) -> SimpleNamespace:
        argv = ("tunesmith", "api", "--model_name_or_path", model)
        return SimpleNamespace(
            id=job_id, command="api", state="running", argv=argv, name="n", created=created
        )

    living = [serving("c", "m", 7200.0), serving("b", "other", 60.0), serving("a", "m", 0.0)]
    monkeypatch.setattr(client, "list_jobs", lambda **_: living)
    names = dict(chat.servers())
    assert list(names.values()) == ["c", "b", "a"]
    assert "other" in names and "m" not in names
    assert all(name.startswith("m · ") for name, job_id in names.items() if job_id in "ac")


def test_each_server_gets_a_port_of_its_own(chat_form: Form):
    assert chat_form.load(chat_form.start_values()).args.serving.port == 0
    assert "port: 0" in chat_form.fields["further"].value


def test_history_is_roles_and_text():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    history = [{"role": "user", "content": parts, "metadata": None}, {"role": "assistant", "content": "c"}]
    assert chat.plain_history(history) == [
        {"role": "user", "content": "ab"},
        {"role": "assistant", "content": "c"},
    ]


@pytest.mark.parametrize(
    ("state", "ready", "kind", "goes_on"),
    [
        ("starting", False, "loading", True),
        ("running", True, "ready", True),
        ("stopped", False, "unloaded", False),
        ("failed", False, "failed", False),
    ],
)
def test_the_state_of_a_server_in_words(
    state: str, ready: bool, kind: str, goes_on: bool, monkeypatch: pytest.MonkeyPatch
):
    argv = ("tunesmith", "api", "--model_name_or_path", "a<b", "--adapter_name_or_path", "c")
    found = SimpleNamespace(
        id="j1", command="api", state=state, argv=argv, reason="no memory", started=1.0, created=1.0, name="n"
    )
    monkeypatch.setattr(client, "get", lambda job_id: found)
    monkeypatch.setattr(client, "endpoint", lambda job_id: object() if ready else None)
    shown, again_in_s = chat.look("j1", "en")
    assert f'data-state="{kind}"' in shown
    assert "a&lt;b + c" in shown
    assert (again_in_s is not None) == goes_on
    assert ("no memory" in shown) == (kind == "failed")
