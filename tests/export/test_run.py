"""`tunesmith export` on a random little model with random adapters: equal when right, refused when wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import UserError
from engine.export import run as export_run
from engine.export.verify import Difference, Probe, compare
from tests.evaluate.support import call, make_run, read_json

PROBE = torch.tensor([[72, 101, 108, 108, 111]])


def make_adapter(base: Path, where: Path, seed: int) -> Path:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(where)
    return where


@pytest.fixture(scope="module")
def adapters(tiny_random: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    where = tmp_path_factory.mktemp("adapters")
    return [make_adapter(tiny_random, where / str(seed), seed) for seed in (1, 2)]


@pytest.fixture
def values(workdir: Path, tiny_random: Path) -> dict[str, Any]:
    return {"model_name_or_path": str(tiny_random), "export_dir": str(workdir / "out")}


def logits(path: Path, adapters: list[Path]) -> torch.Tensor:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path).eval()
    for adapter in adapters:
        model = PeftModel.from_pretrained(model, adapter)
        if adapter != adapters[-1]:
            model = model.merge_and_unload()
    with torch.inference_mode():
        return model(input_ids=PROBE, use_cache=False).logits


def test_the_exported_model_is_the_adapted_one(
    values: dict[str, Any], workdir: Path, tiny_random: Path, adapters: list[Path]
) -> None:
    run = make_run(workdir / "run")
    values["adapter_name_or_path"] = ",".join(map(str, adapters))
    assert call(export_run.main, "export", values, run) == 0
    out = workdir / "out"
    expected, got = logits(tiny_random, adapters), logits(out, [])
    assert (expected - got).abs().max() < 1e-4
    assert (logits(tiny_random, []) - got).abs().max() > 0.01, "the adapters must show"
    results = read_json(run.paths.all_results)
    assert results["verified"] is True and results["reread_equal"] is True
    assert results["export_dir"] == str(out) and results["greedy_tokens_changed"] == 0
    assert 0 < results["max_abs_logit_difference"] < results["allowed_logit_difference"]
    assert results["dtype"] == "float32" and results["shards"] == 1
    assert run.phases() == ["loading", "merging", "saving", "verifying"]
    assert [path.name for path in workdir.iterdir() if "staging" in path.name] == []


def test_tokenizer_template_and_ends_travel_with_the_weights(
    values: dict[str, Any], workdir: Path, tiny_random: Path
) -> None:
    from transformers import AutoTokenizer

    assert call(export_run.main, "export", values, make_run(workdir / "run")) == 0
    theirs, ours = (AutoTokenizer.from_pretrained(path) for path in (tiny_random, workdir / "out"))
    assert ours.chat_template == theirs.chat_template
    generation = read_json(workdir / "out" / "generation_config.json")
    assert theirs.eos_token_id in generation["eos_token_id"]


def test_a_named_template_is_written_so_that_nobody_has_to_name_it_again(
    values: dict[str, Any], workdir: Path, tiny_random: Path
) -> None:
    from transformers import AutoTokenizer

    from engine.schema.data import TemplateArgs
    from engine.templates.chat import load_chat

    run = make_run(workdir / "run")
    assert call(export_run.main, "export", {**values, "template": "vicuna"}, run) == 0
    chat = [{"role": "user", "content": "Hi"}]
    named = load_chat(AutoTokenizer.from_pretrained(tiny_random), TemplateArgs(template="vicuna"))
    written = load_chat(AutoTokenizer.from_pretrained(workdir / "out"))
    assert written.prompt_ids(chat) == named.prompt_ids(chat)
    assert "USER: Hi" in written.prompt_text(chat)


def test_the_checkpoints_number_format_is_kept_unless_another_is_asked_for(
    values: dict[str, Any], workdir: Path, tiny_random: Path, adapters: list[Path]
) -> None:
    values |= {"adapter_name_or_path": str(adapters[0]), "infer_dtype": "bfloat16"}
    assert call(export_run.main, "export", values, make_run(workdir / "half")) == 0
    assert read_json(workdir / "out" / "config.json")["dtype"] == "bfloat16"
    again = {"model_name_or_path": str(workdir / "out"), "export_dir": str(workdir / "copy")}
    run = make_run(workdir / "run")
    assert call(export_run.main, "export", again, run) == 0
    assert read_json(run.paths.all_results)["dtype"] == "bfloat16"


def test_weights_are_split_by_size(
    values: dict[str, Any], workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.models import save

    whole = save.save_model
    monkeypatch.setattr(
        save,
        "save_model",
        lambda model, path, max_shard_gb: whole(model, path, max_shard_gb=max_shard_gb * 4e-5),
    )
    run = make_run(workdir / "run")
    assert call(export_run.main, "export", {**values, "export_size": 1}, run) == 0
    shards = sorted((workdir / "out").glob("*.safetensors"))
    assert len(shards) == read_json(run.paths.all_results)["shards"] > 1
    index = read_json(workdir / "out" / "model.safetensors.index.json")
    assert {path.name for path in shards} == set(index["weight_map"].values())
    assert all(path.stat().st_mode & 0o044 for path in shards)


def test_a_folder_in_the_way_is_left_alone(values: dict[str, Any], workdir: Path) -> None:
    out = workdir / "out"
    out.mkdir()
    (out / "config.json").write_text("{}")
    with pytest.raises(UserError, match="not empty"):
        call(export_run.main, "export", values, make_run(workdir / "run"))
    assert [path.name for path in out.iterdir()] == ["config.json"]
    replaced = {**values, "overwrite_output_dir": True}
    assert call(export_run.main, "export", replaced, make_run(workdir / "run")) == 0
    assert (out / "model.safetensors").exists()


def test_a_written_model_that_differs_is_kept_aside_and_not_published(
    values: dict[str, Any], workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    from engine.models import save

    whole = save.save_model

    def damaged(model: Any, path: Path, *, max_shard_gb: float) -> None:
        whole(model, path, max_shard_gb=max_shard_gb)
        weights = load_file(path / "model.safetensors")
        weights["model.norm.weight"] += 0.01
        save_file(weights, path / "model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(save, "save_model", damaged)
    run = make_run(workdir / "run")
    assert call(export_run.main, "export", values, run) == 1
    results = read_json(run.paths.all_results)
    assert results["verified"] is False and results["reread_equal"] is False
    assert not (workdir / "out").exists()
    assert (Path(results["kept_aside"]) / "model.safetensors").exists()
    assert "NOT exported" in capsys.readouterr().out


def test_a_written_tokenizer_that_reads_differently_is_caught(
    values: dict[str, Any], workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.models import save

    whole = save.save_tokenizer

    def damaged(tokenizer: Any, path: Path) -> None:
        whole(tokenizer, path)
        template = path / "chat_template.jinja"
        template.write_text(template.read_text().replace("<|im_start|>assistant", "<|im_start|>model"))

    monkeypatch.setattr(save, "save_tokenizer", damaged)
    assert call(export_run.main, "export", values, make_run(workdir / "run")) == 1
    assert not (workdir / "out").exists()


def test_a_merge_that_loses_the_adapter_is_caught(
    values: dict[str, Any], workdir: Path, adapters: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import PeftModel

    monkeypatch.setattr(PeftModel, "merge_and_unload", lambda self: self.unload(), raising=False)
    values["adapter_name_or_path"] = str(adapters[0])
    assert call(export_run.main, "export", values, make_run(workdir / "run")) == 1
    assert not (workdir / "out").exists()


def test_a_stop_in_the_middle_leaves_nothing_behind(
    values: dict[str, Any], workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export_run, "_read_back", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call(export_run.main, "export", values, make_run(workdir / "run"))
    assert [path.name for path in workdir.iterdir()] == ["run"]


def test_an_adapter_that_is_not_one_is_told_by_name(values: dict[str, Any], workdir: Path) -> None:
    (workdir / "nothing").mkdir()
    values["adapter_name_or_path"] = str(workdir / "nothing")
    with pytest.raises(UserError, match="adapter_name_or_path"):
        call(export_run.main, "export", values, make_run(workdir / "run"))
    assert not (workdir / "out").exists()


def probes(logits_LV: list[list[float]]) -> list[Probe]:
    return [Probe(ids=[0, 1, 0], prompt_size=1, logits_LV=torch.tensor(logits_LV))]


@pytest.mark.parametrize(
    ("other", "ok", "changed"),
    [
        ([[2.0, 1.0], [1.0, 2.0], [0.0, 0.0]], True, 0),
        ([[2.0, 1.00009], [1.0, 2.0], [0.0, 0.0]], True, 0),
        ([[2.0, 1.1], [1.0, 2.0], [0.0, 0.0]], False, 0),
        ([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]], False, 1),
        ([[2.0, float("nan")], [1.0, 2.0], [0.0, 0.0]], False, 1),
    ],
)
def test_the_comparison_worked_out_by_hand(other: list[list[float]], ok: bool, changed: int) -> None:
    reference = [[2.0, 1.0], [1.0, 2.0], [0.0, 0.0]]
    found = compare(probes(reference), probes(other), dtype=torch.float32)
    assert (found.ok, found.greedy_changed, found.greedy_tokens) == (ok, changed, 2)
    assert found.limit == pytest.approx(2e-4)


def test_the_difference_reads_as_a_sentence() -> None:
    text = str(Difference(max_abs=0.001, limit=0.01, greedy_changed=1, greedy_tokens=64))
    assert text == "largest logit difference 0.001 (allowed 0.01), 63 of 64 greedy tokens equal"
    assert json.dumps(text)
