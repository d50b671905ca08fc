"""A run that is cut and resumed ends with the very bits of one that was not; torn checkpoints are walked
past.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.paths import RunPaths
from engine.train import checkpoint
from engine.train.callbacks import RunLog, StopWhenAsked
from tests.train.support import learnable_rows, losses, make_trainer

FULL = {"finetuning_type": "full", "learning_rate": 1e-3}
LORA = {"finetuning_type": "lora", "lora_dropout": 0.3, "gradient_accumulation_steps": 3}


def digest(directory: Path) -> str:
    (weights,) = directory.glob("*.safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def settings(**extra):
    return {
        "rows": learnable_rows(22),
        "per_device_train_batch_size": 2,
        "max_steps": 12,
        "save_strategy": "steps",
        "save_steps": 5,
        "evals": {"only": learnable_rows(4, seed=3)},
        "eval_strategy": "steps",
        "eval_steps": 4,
        **extra,
    }


@pytest.mark.parametrize("method", [FULL, LORA], ids=["full", "lora"])
def test_resume_is_bit_exact(tiny_random, tmp_path, method):
    whole = make_trainer(tiny_random, tmp_path / "whole", **settings(**method))
    whole.train()

    cut = tmp_path / "cut"
    stop_at_seven = type("StopAtSeven", (StopWhenAsked,), {})(lambda: first.state.global_step == 7)
    first = make_trainer(tiny_random, cut, callbacks=[stop_at_seven], **settings(**method))
    first.train()
    assert first.state.global_step == 7
    second = make_trainer(tiny_random, cut, **settings(**method))
    point, _ = checkpoint.resume_point(RunPaths(cut), "true")
    assert point.name == "checkpoint-7"
    second.train(resume_from_checkpoint=str(point))

    assert losses(second)[-5:] == losses(whole)[-5:]
    assert digest(cut / "checkpoint-12") == digest(tmp_path / "whole" / "checkpoint-12")
    assert second.state.num_input_tokens_seen == whole.state.num_input_tokens_seen


def test_resume_at_the_end_of_an_epoch_is_bit_exact(tiny_random, tmp_path):
    """11 batches an epoch, accumulated by 3: steps of 4 an epoch, the last of them shorter."""
    shared = settings(**LORA, save_steps=4)
    shared["save_steps"] = 4
    make_trainer(tiny_random, tmp_path / "whole", **shared).train()
    again = make_trainer(tiny_random, tmp_path / "again", **shared)
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-8"))
    assert digest(tmp_path / "again" / "checkpoint-12") == digest(tmp_path / "whole" / "checkpoint-12")


@pytest.fixture
def saved(tiny_random, tmp_path) -> RunPaths:
    """A run with three checkpoints: 2, 4 and 6."""
    trainer = make_trainer(tiny_random, tmp_path, max_steps=6, save_strategy="steps", save_steps=2)
    trainer.train()
    return RunPaths(tmp_path)


def cut_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / "trainer_state.json").unlink(),
        lambda path: cut_file(path / "trainer_state.json"),
        lambda path: cut_file(path / "adapter_model.safetensors"),
        lambda path: (path / "adapter_model.safetensors").write_bytes(b""),
        lambda path: cut_file(path / "optimizer.pt"),
        lambda path: (path / "rng_state.pth").unlink(),
        lambda path: (path / "adapter_config.json").unlink(),
    ],
    ids=["no-state", "torn-state", "torn-weights", "empty-weights", "torn-optimizer", "no-rng", "no-config"],
)
def test_walks_back_past_a_torn_checkpoint(saved, damage):
    damage(saved.checkpoint(6))
    point, passed = checkpoint.find_resumable(saved)
    assert point == saved.checkpoint(4)
    assert [path.name for path, _ in passed] == ["checkpoint-6"]
    with pytest.raises(UserError, match="checkpoint-6"):
        checkpoint.resume_point(saved, str(saved.checkpoint(6)))


@pytest.mark.parametrize(
    "other",
    [FULL, {"lora_rank": 4}, {"lora_target": ("q_proj",)}, {"additional_target": ("norm",)}],
    ids=["full", "rank", "fewer", "more"],
)
def test_a_checkpoint_of_another_method_is_told(saved, tiny_random, tmp_path, other):
    trainer = make_trainer(tiny_random, tmp_path / "other", max_steps=8, **other)
    with pytest.raises(UserError, match=r"resume_from_checkpoint: .*checkpoint-6 does not fit"):
        trainer.train(resume_from_checkpoint=str(saved.checkpoint(6)))


@pytest.mark.parametrize(("batch_size", "told"), [(2, False), (4, True)])
def test_other_batches_than_the_checkpoints_are_told(tiny_random, tmp_path, capsys, batch_size, told):
    shared = {"rows": learnable_rows(22), "gradient_accumulation_steps": 3}
    make_trainer(
        tiny_random,
        tmp_path,
        max_steps=7,
        per_device_train_batch_size=2,
        save_strategy="steps",
        save_steps=7,
        **shared,
    ).train()
    again = make_trainer(
        tiny_random,
        tmp_path,
        max_steps=8,
        per_device_train_batch_size=batch_size,
        callbacks=[RunLog(RunPaths(tmp_path), bar=False)],
        **shared,
    )
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-7"))
    assert ("rows may be seen twice" in capsys.readouterr().out) is told


def test_nothing_to_resume_is_said_not_raised(tmp_path):
    point, lines = checkpoint.resume_point(RunPaths(tmp_path), "true")
    assert point is None
    assert "from the start" in lines[0]


def test_checkpoint_holds_no_pickled_arguments_and_is_readable(saved):
    last = saved.checkpoint(6)
    assert not (last / "training_args.bin").exists()
    assert (last / "tokenizer.json").is_file()
    assert "im_start" in (last / "chat_template.jinja").read_text()
    umask = os.umask(0)
    os.umask(umask)
    assert {file.stat().st_mode & 0o777 for file in last.iterdir()} == {0o666 & ~umask}
    assert not saved.staging.exists()


@pytest.mark.parametrize("is_full", [True, False])
def test_a_save_that_fails_leaves_nothing(saved, tiny_random, monkeypatch, is_full):
    """The older checkpoints stand, and the room the half of it took is free again. A full disk is named."""

    def fail(network, directory):
        (directory / "model.safetensors").write_bytes(b"half")
        raise RuntimeError("unexpected pos 7 vs 6")

    monkeypatch.setattr(checkpoint, "_FULL_BYTES", 1 << 60 if is_full else 0)
    monkeypatch.setattr("engine.train.trainer.save.save_model", fail)
    trainer = make_trainer(tiny_random, saved.root, max_steps=8, save_strategy="steps", save_steps=8)
    expected = (OSError, "No space") if is_full else (RuntimeError, "unexpected pos")
    with pytest.raises(expected[0], match=expected[1]):
        trainer.train(resume_from_checkpoint=str(saved.checkpoint(6)))
    assert not saved.staging.exists()
    assert [step for step, _ in saved.checkpoints()] == [2, 4, 6]


def test_rotation_spares_the_best_and_the_newest(tmp_path):
    paths = RunPaths(tmp_path)
    for step in (1, 2, 3, 4):
        paths.checkpoint(step).mkdir()
    checkpoint.rotate(paths, keep=2, best=paths.checkpoint(1))
    assert [step for step, _ in paths.checkpoints()] == [1, 4]
    checkpoint.rotate(paths, keep=1, best=paths.checkpoint(1))
    assert [step for step, _ in paths.checkpoints()] == [1, 4]
    checkpoint.rotate(paths, keep=1, best=None)
    assert [step for step, _ in paths.checkpoints()] == [4]


KILLED = """
import os, signal, sys
from pathlib import Path
from engine.models import save
from tests.train.support import make_trainer
from engine.train import checkpoint, trainer

where = sys.argv[3]
def dying(name, call):
    def wrapped(*args, **kwargs):
        result = call(*args, **kwargs)
        if made.state.global_step == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return wrapped

if where == "weights":
    save.save_model = dying(where, save.save_model)
elif where == "optimizer":
    trainer.StageTrainer._save_optimizer_and_scheduler = dying(where,
    trainer.StageTrainer._save_optimizer_and_scheduler)
else:
    checkpoint.fsync_tree = dying(where, checkpoint.fsync_tree)
made = make_trainer(Path(sys.argv[1]), Path(sys.argv[2]), max_steps=6, save_strategy="steps", save_steps=2)
made.train()
"""


@pytest.mark.parametrize("where", ["weights", "before-rename"])
def test_killed_in_the_middle_of_a_save(tiny_random, tmp_path, where):
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(tiny_random), str(tmp_path), where],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=120,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()[-2000:]
    paths = RunPaths(tmp_path)
    assert [step for step, _ in paths.checkpoints()] == [2]
    assert checkpoint.find_resumable(paths)[0] == paths.checkpoint(2)

    resumed = make_trainer(tiny_random, tmp_path, max_steps=6, save_strategy="steps", save_steps=2)
    resumed.train(resume_from_checkpoint=str(paths.checkpoint(2)))
    whole = make_trainer(tiny_random, tmp_path / "whole", max_steps=6, save_strategy="steps", save_steps=2)
    whole.train()
    assert digest(paths.checkpoint(6)) == digest(RunPaths(tmp_path / "whole").checkpoint(6))
    assert json.loads((paths.checkpoint(6) / "trainer_state.json").read_text())["global_step"] == 6
