"""Where a run writes, how often, and what it goes on from."""

from __future__ import annotations

from dataclasses import dataclass

from engine.schema.arg import arg


@dataclass(frozen=True)
class RunArgs:
    output_dir: str | None = arg(
        None,
        "The run's folder. Empty: saves/MODEL/METHOD/DATE-TIME.",
        label="Output folder",
        tier="basic",
    )
    overwrite_output_dir: bool = arg(
        False,
        "Start over in a folder that already holds a run; its files are deleted.",
        label="Overwrite",
        tier="common",
    )


@dataclass(frozen=True)
class OutputArgs:
    logging_steps: float = arg(
        10, "Log every N steps (below 1: that share of all steps).", label="Log every", gt=0, tier="common"
    )
    logging_strategy: str = arg("steps", "When to log.", label="Log by", choices=("steps", "epoch", "no"))
    logging_first_step: bool = arg(True, "Log the first step too.", label="Log first step")
    save_strategy: str = arg(
        "steps",
        "When to write a checkpoint.",
        label="Save by",
        choices=("steps", "epoch", "best", "no"),
        tier="common",
    )
    save_steps: float = arg(
        500, "Checkpoint every N steps (below 1: that share).", label="Save every", gt=0, tier="common"
    )
    save_total_limit: int | None = arg(
        None, "Keep at most N checkpoints.", label="Keep checkpoints", ge=1, tier="common"
    )
    save_only_model: bool = arg(
        False,
        "Leave the optimiser's state out of checkpoints; such a run cannot resume exactly.",
        label="Model only",
    )
    eval_strategy: str = arg(
        "no",
        "When to evaluate during training.",
        label="Evaluate by",
        choices=("no", "steps", "epoch"),
        tier="common",
    )
    eval_steps: float | None = arg(
        None,
        "Evaluate every N steps. Empty: as often as it logs.",
        label="Evaluate every",
        gt=0,
        tier="common",
    )
    eval_on_start: bool = arg(False, "Evaluate once before the first step.", label="Evaluate first")
    load_best_model_at_end: bool = arg(
        False, "End with the best checkpoint instead of the last.", label="Keep the best", tier="common"
    )
    metric_for_best_model: str | None = arg(None, "What best means. Empty: eval_loss.", label="Best by")
    greater_is_better: bool | None = arg(
        None, "Empty: false for a loss or a perplexity, else true.", label="Greater is better"
    )
    compute_accuracy: bool = arg(False, "Token accuracy in each evaluation.", label="Token accuracy")
    plot_loss: bool = arg(False, "Draw the loss curves as PNG at the end.", label="Draw loss", tier="common")
    report_to: tuple[str, ...] = arg(
        ("none",), "Experiment trackers. Only none so far.", label="Trackers", tier="expert"
    )
    run_name: str | None = arg(None, "A name people recognise the run by.", label="Run name")
    resume_from_checkpoint: str | None = arg(
        None,
        "true goes on from the newest complete checkpoint of the output folder; or the path of one.",
        label="Resume from",
        tier="common",
    )
    include_num_input_tokens_seen: str = arg(
        "no",
        "Accepted for its users; tokens are always counted here.",
        label="Count tokens",
        choices=("no", "all", "non_padding", "true", "false"),
        tier="expert",
    )
    disable_tqdm: bool | None = arg(
        None, "No progress bar. Empty: a bar on a terminal only.", label="No progress bar", tier="expert"
    )
