"""The Train page: the form of `tunesmith train`, its preview, and the run on screen.

Which argument stands where is said here; what it is, is said in the schema. An argument named nowhere below
lands in the last section by itself. Try: open the studio at /#train
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from engine.errors import JobError, UserError
from engine.jobs import client
from engine.schema.load import read_file
from webui.form import Form
from webui.studio import Studio
from webui.widgets import argument_files, command_preview, data_picker, job_actions, model_picker, page_open
from webui.widgets.run_view import run_view

TAB = "train"

CARDS: dict[str, tuple[str, ...]] = {
    "card.model": ("model_name_or_path", "template", "stage", "finetuning_type", "adapter_name_or_path"),
    "card.data": (
        "dataset", "cutoff_len", "max_samples", "eval_dataset", "val_size", "dataset_dir", "packing",
        "mask_history",
    ),
    "card.training": (
        "learning_rate", "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps",
        "lr_scheduler_type", "warmup_steps", "max_grad_norm", "seed", "output_dir", "bf16", "plot_loss",
    ),
}  # fmt: skip
"""Always open: what nearly every run decides."""

SECTIONS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "section.data": (None, (
        "default_system", "enable_thinking", "preserve_thinking", "tool_format", "mix_strategy",
        "interleave_probs", "streaming", "buffer_size", "train_on_prompt", "eval_on_each_dataset",
        "max_bad_rows", "media_dir", "tokenized_path",
    )),
    "section.lora": ("lora_rank", (
        "lora_rank", "lora_alpha", "lora_dropout", "lora_target", "additional_target", "use_rslora",
        "create_new_adapter",
    )),
    "section.freeze": ("freeze_trainable_layers", (
        "freeze_trainable_layers", "freeze_trainable_modules", "freeze_extra_modules",
    )),
    "section.optimizer": (None, (
        "optim", "optim_args", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_steps",
        "lr_scheduler_kwargs", "early_stopping_steps", "train_sampling_strategy", "data_seed",
    )),
    "section.memory": (None, (
        "flash_attn", "gradient_checkpointing", "tf32", "fp16", "pure_bf16", "per_device_eval_batch_size",
        "preprocessing_num_workers", "preprocessing_batch_size", "overwrite_cache",
    )),
    "section.output": (None, (
        "logging_strategy", "logging_steps", "logging_first_step", "save_strategy", "save_steps",
        "save_total_limit", "save_only_model", "eval_strategy", "eval_steps", "eval_on_start", "do_eval",
        "compute_accuracy", "load_best_model_at_end", "metric_for_best_model", "greater_is_better",
        "run_name", "resume_from_checkpoint", "overwrite_output_dir",
    )),
    "section.devices": (None, (
        "use_cpu", "dataloader_num_workers", "dataloader_pin_memory", "dataloader_drop_last", "ddp_timeout",
        "local_rank",
    )),
}  # fmt: skip
"""Folded: title -> (the argument that decides whether the section applies, its arguments)."""
LAST_SECTION = "section.rest"

FIRST_RUN = {"model_name_or_path": "data/tiny-qwen3", "dataset": ("identity",)}
EXAMPLE = Path("examples/demo.yaml")


def build(studio: Studio) -> None:
    """Draw the page inside the open tab and wire it."""
    form = Form("train", TAB, initial=first_values())
    special = {
        "model_name_or_path": model_picker.model_picker,
        "adapter_name_or_path": model_picker.adapter_picker,
        "dataset": data_picker.data_picker,
        "eval_dataset": data_picker.data_picker,
    }
    with gr.Row(elem_id="ts-main", elem_classes="ts-main"):
        with gr.Column(scale=7, min_width=320, elem_id="ts-left", elem_classes="ts-left"):
            _draw_form(studio.i18n, form, special)
        with gr.Column(scale=5, min_width=320, elem_id="ts-right", elem_classes="ts-right"):
            with gr.Column(elem_classes="ts-card"):
                preview = command_preview.draw_preview(studio.i18n, form)
                with gr.Row(elem_classes="ts-actions"):
                    start, stop = job_actions.draw_actions(studio.i18n, TAB, "train.start")
                    save, load = argument_files.draw_buttons(studio.i18n)
                files = argument_files.draw_panels(studio.i18n, form, save, load)
            with gr.Row(visible=False, elem_id="train-next", elem_classes=["ts-card", "ts-steps"]) as steps:
                gr.Markdown(studio.i18n("next.title"), elem_classes="ts-h")
                studio.parts["train.next"] = {
                    target: gr.Button(studio.i18n(f"next.{target}"), size="sm", elem_id=f"ts-next-{target}")
                    for target in ("chat", "evaluate", "export")
                }
            run_view(TAB)
    redraw = command_preview.connect(form, preview)
    page_open.register_form(studio, form, preview)
    model_picker.connect(studio, form)
    data_picker.connect(studio, form, ["dataset", "eval_dataset"])
    job_actions.connect(form, preview, start, stop)
    argument_files.connect(form, preview, files, redraw)
    job_actions.when_shown(TAB, show_steps, preview, [steps])
    studio.parts["train"] = form


def first_values() -> dict[str, Any]:
    """What the page starts from when nobody has used it: the demo, so that Start works at once."""
    try:
        given = read_file(EXAMPLE)
    except UserError:
        return dict(FIRST_RUN)
    given.pop("output_dir", None)
    return given


def show_steps(job_id: str) -> Any:
    """What can be done with the run on screen, once it has succeeded."""
    try:
        job = client.get(job_id)
    except JobError:
        return gr.update(visible=False)
    return gr.update(visible=job.command == "train" and job.state == "succeeded")


def unplaced(form: Form) -> list[str]:
    """The arguments that no card or section names: the schema may grow without this page."""
    placed = {name for names in CARDS.values() for name in names}
    placed |= {name for _, names in SECTIONS.values() for name in names}
    return [name for name in form.specs if name not in placed]


def _draw_form(i18n: gr.I18n, form: Form, special: dict[str, Any]) -> None:
    form.draw_cards(i18n, CARDS, special)
    with gr.Column(elem_id="ts-adv", elem_classes="ts-adv"):
        for title, (gate, names) in SECTIONS.items():
            form.draw_section(i18n, title, names, gate=gate)
        form.draw_section(i18n, LAST_SECTION, unplaced(form))
