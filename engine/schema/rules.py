"""Rules between arguments, one function each. A rule yields a Problem for every field it finds wrong.

A rule looks at one command's arguments as a whole; what a single value may be is in its declaration.
Adding a rule is writing a function and naming it in RULES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from engine.errors import Problem
from engine.schema.commands import ApiArgs, ChatArgs, EvalArgs, ExportCommandArgs, TrainArgs, WebuiArgs

Found = Iterator[Problem]


def needs_model(args: Any) -> Found:
    if not args.model.model_name_or_path:
        yield Problem(
            "model_name_or_path", "is missing. Give a model directory such as data/tiny-qwen3, or a hub id."
        )


def needs_dataset(args: TrainArgs) -> Found:
    if not args.data.dataset:
        yield Problem(
            "dataset", f"is missing. Name one or more datasets of {args.data.dataset_dir}/dataset_info.json."
        )


def needs_eval_dataset(args: EvalArgs) -> Found:
    if not (args.data.eval_dataset or args.data.dataset):
        yield Problem(
            "eval_dataset", f"is missing. Name datasets of {args.data.dataset_dir}/dataset_info.json."
        )


def one_source_of_validation(args: TrainArgs) -> Found:
    if args.data.val_size > 0 and args.data.eval_dataset:
        yield Problem("val_size", "excludes eval_dataset: both say what to evaluate on. Keep one of them.")
    if args.data.val_size > 1 and args.data.val_size != int(args.data.val_size):
        yield Problem(
            "val_size", f"{args.data.val_size:g} is neither a share below 1 nor a whole number of rows."
        )


def evaluation_has_data(args: TrainArgs) -> Found:
    has_data = args.data.val_size > 0 or args.data.eval_dataset
    if args.output.eval_strategy != "no" and not has_data:
        yield Problem(
            "eval_strategy", f"{args.output.eval_strategy} needs data: set val_size or eval_dataset."
        )
    if args.output.eval_on_start and not has_data:
        yield Problem("eval_on_start", "needs data: set val_size or eval_dataset.")
    if args.launch.do_eval and not has_data:
        yield Problem("do_eval", "needs data: set val_size or eval_dataset.")


def best_needs_evaluation(args: TrainArgs) -> Found:
    output = args.output
    if output.eval_strategy == "no":
        if output.load_best_model_at_end:
            yield Problem("load_best_model_at_end", "needs evaluation: set eval_strategy to steps or epoch.")
        if args.optimization.early_stopping_steps:
            yield Problem("early_stopping_steps", "needs evaluation: set eval_strategy to steps or epoch.")
        if output.save_strategy == "best":
            yield Problem("save_strategy", "best needs evaluation: set eval_strategy to steps or epoch.")
    elif output.load_best_model_at_end and output.save_strategy not in ("best", output.eval_strategy):
        yield Problem(
            "load_best_model_at_end",
            f"needs save_strategy={output.eval_strategy} like eval_strategy (or best); got "
            f"{output.save_strategy}.",
        )


def saves_meet_evaluations(args: TrainArgs) -> Found:
    output = args.output
    together = output.load_best_model_at_end and output.eval_strategy == output.save_strategy == "steps"
    if not together or output.eval_steps is None:
        return
    every, evaluated = output.save_steps, output.eval_steps
    if (every < 1) != (evaluated < 1) or round(every / evaluated) * evaluated - every not in (0, 0.0):
        yield Problem(
            "save_steps",
            f"{every:g} must be a multiple of eval_steps ({evaluated:g}) with load_best_model_at_end, so "
            f"that the best "
            "evaluation has a checkpoint.",
        )


def steps_are_whole(args: TrainArgs) -> Found:
    values = {name: getattr(args.output, name) for name in ("logging_steps", "save_steps", "eval_steps")}
    for name, value in {**values, "warmup_steps": args.optimization.warmup_steps}.items():
        if value is not None and value > 1 and value != int(value):
            yield Problem(name, f"{value:g} is neither a share below 1 nor a whole number of steps.")


def plateau_needs_evaluation(args: TrainArgs) -> Found:
    if args.optimization.lr_scheduler_type == "reduce_lr_on_plateau" and args.output.eval_strategy == "no":
        yield Problem(
            "lr_scheduler_type", "reduce_lr_on_plateau needs evaluation: set eval_strategy to steps or epoch."
        )


def one_precision(args: TrainArgs) -> Found:
    chosen = [name for name in ("bf16", "fp16", "pure_bf16") if getattr(args.optimization, name)]
    if len(chosen) > 1:
        yield Problem(chosen[1], f"excludes {chosen[0]}: a run has one precision. Keep one of them.")


def packing_isolates_or_not(args: TrainArgs) -> Found:
    if args.data.neat_packing and args.data.packing is False:
        yield Problem("neat_packing", "contradicts packing=false. Keep one of them.")
    if not args.data.contaminated_packing:
        return
    if not args.data.packing:
        yield Problem("contaminated_packing", "says how rows are packed. Set packing=true, or remove it.")
    if args.data.neat_packing:
        yield Problem("contaminated_packing", "contradicts neat_packing=true. Keep one of them.")


def streaming_has_bounds(args: TrainArgs) -> Found:
    if not args.data.streaming:
        return
    if args.optimization.max_steps <= 0:
        yield Problem("max_steps", "is missing: streamed data has no known end. Give the number of steps.")
    if 0 < args.data.val_size < 1:
        yield Problem(
            "val_size",
            f"{args.data.val_size:g} is a share, and streamed data has no known size. Give a number of rows.",
        )
    if args.optimization.train_sampling_strategy == "group_by_length":
        yield Problem(
            "train_sampling_strategy", "group_by_length needs all lengths first. Set streaming=false."
        )
    if args.data.tokenized_path:
        yield Problem("tokenized_path", "holds whole datasets. Set streaming=false, or remove it.")


def mixing_shares(args: Any) -> Found:
    data = args.data
    if not data.interleave_probs:
        return
    if data.mix_strategy == "concat":
        yield Problem("interleave_probs", "needs mix_strategy=interleave_under, _over or _once; got concat.")
    if len(data.interleave_probs) != len(data.dataset):
        yield Problem(
            "interleave_probs",
            f"has {len(data.interleave_probs)} shares for {len(data.dataset)} datasets. Give one a dataset.",
        )
    shares = [_number(share) for share in data.interleave_probs]
    if any(share is None or not 0 < share <= 1 for share in shares):
        yield Problem(
            "interleave_probs", f"{','.join(data.interleave_probs)} must be numbers above 0 and up to 1."
        )
    elif abs(sum(share or 0.0 for share in shares) - 1) > 1e-6:
        yield Problem("interleave_probs", f"add up to {sum(share or 0.0 for share in shares):g}, not to 1.")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def bad_rows_are_counted(args: Any) -> Found:
    limit = args.data.max_bad_rows
    if limit > 1 and limit != int(limit):
        yield Problem("max_bad_rows", f"{limit:g} is neither a share below 1 nor a whole number of rows.")


def tool_format_has_a_template(args: Any) -> Found:
    if args.template.tool_format and not args.template.template:
        yield Problem(
            "tool_format",
            f"{args.template.tool_format} needs a template chosen by name: the tokenizer's own writes tools "
            "its own way. Set template, or remove tool_format.",
        )


def one_learning_mask(args: TrainArgs) -> Found:
    if args.data.mask_history and args.data.train_on_prompt:
        yield Problem(
            "mask_history", "excludes train_on_prompt: one learns less, the other more. Keep one of them."
        )


def padding_is_never_learnt(args: TrainArgs) -> Found:
    if not args.data.ignore_pad_token_for_loss:
        yield Problem(
            "ignore_pad_token_for_loss",
            "false would teach the model to pad. The only value supported is true.",
        )


def one_row_order(args: TrainArgs) -> Found:
    if args.optimization.disable_shuffling and args.optimization.train_sampling_strategy == "group_by_length":
        yield Problem(
            "disable_shuffling", "contradicts train_sampling_strategy=group_by_length. Keep one of them."
        )


def one_checkpointing(args: TrainArgs) -> Found:
    if args.optimization.disable_gradient_checkpointing and args.optimization.gradient_checkpointing:
        yield Problem(
            "disable_gradient_checkpointing", "contradicts gradient_checkpointing=true. Keep one of them."
        )


def freeze_trains_something(args: TrainArgs) -> Found:
    if args.adapter.finetuning_type == "freeze" and args.adapter.freeze_trainable_layers == 0:
        yield Problem(
            "freeze_trainable_layers", "0 would train nothing. Give a number of layers such as 2 or -2."
        )


def adapters_go_on_as_lora(args: TrainArgs) -> Found:
    if args.model.adapter_name_or_path and args.adapter.finetuning_type != "lora":
        yield Problem(
            "adapter_name_or_path",
            f"needs finetuning_type=lora; got {args.adapter.finetuning_type}. Export the merged model "
            f"first and train that.",
        )


def no_trackers_yet(args: TrainArgs) -> Found:
    asked = [name for name in args.output.report_to if name.lower() != "none"]
    if asked:
        yield Problem(
            "report_to",
            f"{', '.join(asked)} is not supported yet. Set report_to=none: the studio draws the curves.",
        )


def resume_or_overwrite(args: TrainArgs) -> Found:
    resume = args.output.resume_from_checkpoint
    if not resume or resume.lower() == "false":
        return
    if args.run.overwrite_output_dir and resume.lower() == "true":
        yield Problem(
            "overwrite_output_dir",
            "would delete what resume_from_checkpoint=true goes on from. Keep one of them.",
        )
    if resume.lower() == "true" and not args.run.output_dir:
        yield Problem("resume_from_checkpoint", "true needs output_dir: the folder of the run to go on with.")


def training_is_the_point(args: TrainArgs) -> Found:
    if not args.launch.do_train:
        yield Problem("do_train", "false leaves nothing to do. Use `tunesmith eval` to measure a model.")


def export_has_a_place(args: ExportCommandArgs) -> Found:
    if not args.export.export_dir:
        yield Problem("export_dir", "is missing. Give the folder the merged model is written to.")
    if args.export.export_legacy_format:
        yield Problem(
            "export_legacy_format",
            "true would write pickled weights. Only safetensors are written: remove it.",
        )


COMMON = (needs_model, tool_format_has_a_template)
RULES: dict[type, tuple[Callable[[Any], Found], ...]] = {
    TrainArgs: (
        *COMMON, needs_dataset, one_source_of_validation, evaluation_has_data, best_needs_evaluation,
        saves_meet_evaluations, steps_are_whole,
        plateau_needs_evaluation, one_precision, one_learning_mask,
        packing_isolates_or_not, streaming_has_bounds, mixing_shares, bad_rows_are_counted,
        padding_is_never_learnt,
        one_row_order, one_checkpointing, freeze_trains_something, adapters_go_on_as_lora, no_trackers_yet,
        resume_or_overwrite, training_is_the_point,
    ),
    EvalArgs: (*COMMON, needs_eval_dataset, bad_rows_are_counted),
    ExportCommandArgs: (*COMMON, export_has_a_place),
    ApiArgs: COMMON,
    ChatArgs: COMMON,
    WebuiArgs: (),
}  # fmt: skip


def broken_rules(args: Any) -> list[Problem]:
    """Every problem that the rules of this command find."""
    return [problem for rule in RULES[type(args)] for problem in rule(args)]
