"""Which groups make up a command's arguments."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.schema.adapter import AdapterArgs
from engine.schema.data import DataArgs, TemplateArgs
from engine.schema.evaluation import EvaluationArgs
from engine.schema.export import ExportArgs
from engine.schema.generation import GenerationArgs
from engine.schema.launch import LaunchArgs
from engine.schema.model import ModelArgs
from engine.schema.optimization import OptimizationArgs
from engine.schema.output import OutputArgs, RunArgs
from engine.schema.serving import ServingArgs, WebuiOptions


@dataclass(frozen=True)
class TrainArgs:
    model: ModelArgs = field(default_factory=ModelArgs)
    template: TemplateArgs = field(default_factory=TemplateArgs)
    adapter: AdapterArgs = field(default_factory=AdapterArgs)
    data: DataArgs = field(default_factory=DataArgs)
    optimization: OptimizationArgs = field(default_factory=OptimizationArgs)
    run: RunArgs = field(default_factory=RunArgs)
    output: OutputArgs = field(default_factory=OutputArgs)
    launch: LaunchArgs = field(default_factory=LaunchArgs)


@dataclass(frozen=True)
class EvalArgs:
    model: ModelArgs = field(default_factory=ModelArgs)
    template: TemplateArgs = field(default_factory=TemplateArgs)
    data: DataArgs = field(default_factory=DataArgs)
    generation: GenerationArgs = field(default_factory=GenerationArgs)
    evaluation: EvaluationArgs = field(default_factory=EvaluationArgs)
    run: RunArgs = field(default_factory=RunArgs)


@dataclass(frozen=True)
class ExportCommandArgs:
    model: ModelArgs = field(default_factory=ModelArgs)
    template: TemplateArgs = field(default_factory=TemplateArgs)
    export: ExportArgs = field(default_factory=ExportArgs)
    run: RunArgs = field(default_factory=RunArgs)


@dataclass(frozen=True)
class ApiArgs:
    model: ModelArgs = field(default_factory=ModelArgs)
    template: TemplateArgs = field(default_factory=TemplateArgs)
    generation: GenerationArgs = field(default_factory=GenerationArgs)
    serving: ServingArgs = field(default_factory=ServingArgs)
    run: RunArgs = field(default_factory=RunArgs)


@dataclass(frozen=True)
class ChatArgs:
    model: ModelArgs = field(default_factory=ModelArgs)
    template: TemplateArgs = field(default_factory=TemplateArgs)
    generation: GenerationArgs = field(default_factory=GenerationArgs)


@dataclass(frozen=True)
class WebuiArgs:
    webui: WebuiOptions = field(default_factory=WebuiOptions)


AnyArgs = TrainArgs | EvalArgs | ExportCommandArgs | ApiArgs | ChatArgs | WebuiArgs


@dataclass(frozen=True)
class Command:
    """One verb that takes arguments of the schema. `is_job`: it has a run directory and a row in the job
    list.
    """

    name: str
    help: str
    args_class: type
    is_job: bool
    example: str


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("train", "Fine-tune a model.", TrainArgs, True,
                "tunesmith train examples/demo.yaml learning_rate=1e-4"),
        Command("eval", "Measure a model on a dataset.", EvalArgs, True,
                "tunesmith eval --model_name_or_path data/tiny-qwen3 --eval_dataset identity"),
        Command("export", "Merge an adapter into its model and write the result.", ExportCommandArgs, True,
                "tunesmith export --model_name_or_path BASE --adapter_name_or_path RUN --export_dir OUT"),
        Command("api", "Serve a model over an OpenAI-style HTTP API.", ApiArgs, True,
                "tunesmith api --model_name_or_path data/tiny-qwen3 --port 8000"),
        Command("chat", "Talk to a model in the terminal.", ChatArgs, False,
                "tunesmith chat --model_name_or_path data/tiny-qwen3"),
        Command("webui", "Open the studio in a browser.", WebuiArgs, False, "tunesmith webui --port 7860"),
    )
}  # fmt: skip
