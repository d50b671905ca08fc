"""Which queue a job waits in. The machine is described, not asked."""

from __future__ import annotations

import pytest

from engine.env import Gpu, Machine, probe_machine
from engine.jobs import devices
from engine.schema.load import load_mapping
from engine.schema.resolve import resolve

GPUS = tuple(Gpu(index, f"GPU-{name}", "a GPU", 2**34, (9, 0)) for index, name in enumerate("abc"))


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(8, True, 2**35, GPUS)
    monkeypatch.setattr("engine.env.probe_machine", lambda: machine)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return machine


def queue(command: str, machine: Machine, loads: dict[str, int] | None = None, **mapping: object) -> str:
    needed: dict[str, object] = {"model_name_or_path": "m", "template": "qwen3"}
    needed.update(
        {"train": {"dataset": "d"}, "eval": {"eval_dataset": "d"}, "export": {"export_dir": "o"}}.get(
            command, {}
        )
    )
    args = load_mapping(command, {**needed, **mapping}).args
    return devices.queue_for(command, resolve(command, args, machine).args, job_id="j", loads=loads)


def test_queues(three_gpus: Machine) -> None:
    assert queue("train", three_gpus) == "gpu:GPU-a"
    assert queue("eval", three_gpus, {"gpu:GPU-a": 2, "gpu:GPU-b": 1, "gpu:GPU-c": 1}) == "gpu:GPU-b"
    assert queue("train", three_gpus, use_cpu=True) == "cpu"
    assert queue("api", three_gpus) == "serve:j"
    assert queue("export", three_gpus) == "export"


def test_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(2, False, 2**33)
    monkeypatch.setattr("engine.env.probe_machine", lambda: machine)
    assert queue("train", machine) == "cpu"


@pytest.mark.parametrize(
    ("words", "seen"),
    [("1,0", "ba"), ("GPU-c", "c"), ("", ""), ("2,9,0", "c"), ("-1", ""), ("GPU-b, 2", "bc")],
)
def test_inherited_devices(
    three_gpus: Machine, monkeypatch: pytest.MonkeyPatch, words: str, seen: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", words)
    assert "".join(gpu.uuid[-1] for gpu in devices.visible_gpus()) == seen


def test_meters() -> None:
    told = devices.meters()
    assert set(told) == {"cpu", "memory", "gpus"}
    assert 0 < told["memory"]["used"] < told["memory"]["total"]
    assert len(told["gpus"]) == len(probe_machine().gpus)
