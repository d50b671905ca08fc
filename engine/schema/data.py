"""Which data, and how rows become tokens. The chat template is a group of its own: inference needs it too."""

from __future__ import annotations

from dataclasses import dataclass

from engine.schema.arg import arg

TOOL_FORMATS = (
    "default", "gemma4", "glm4", "glm4_moe", "lfm2", "ling", "llama3", "minimax1", "minimax2", "mistral",
    "qwen", "qwen3_5", "seed_oss",
)  # fmt: skip
MIX_STRATEGIES = ("concat", "interleave_under", "interleave_over", "interleave_once")


@dataclass(frozen=True)
class TemplateArgs:
    template: str | None = arg(
        None,
        "Chat template by name (qwen3, llama3, ...). Empty: the tokenizer's own, which is the truth where"
        " it has one.",
        label="Chat template",
        tier="basic",
    )
    default_system: str | None = arg(
        None, "System prompt for conversations that bring none.", label="Default system prompt"
    )
    tool_format: str | None = arg(
        None,
        "How tools and calls are written, with a template chosen by name. Empty: as that template says.",
        label="Tool format",
        choices=TOOL_FORMATS,
    )
    enable_thinking: bool | None = arg(
        True,
        "Reasoning templates. true: an answer without thoughts learns an empty one; false: thoughts are taken"
        " out and the prompt holds an empty one; null: thoughts stay, and where there are none the prompt"
        " holds an empty one.",
        label="Thinking",
        tier="common",
    )
    preserve_thinking: bool = arg(
        False,
        "Keep the thoughts of earlier answers that are only read: those before the answer asked for,"
        " and those that mask_history leaves out.",
        label="Keep earlier thoughts",
    )
    allow_control_tokens: bool = arg(
        False,
        "Let text in the data that spells a control token (<|im_end|>) become that token. It can then forge"
        " turns.",
        label="Control tokens in data",
        tier="expert",
    )


@dataclass(frozen=True)
class DataArgs:
    dataset: tuple[str, ...] = arg(
        (), "Names from dataset_info.json, separated by commas.", label="Datasets", tier="basic"
    )
    eval_dataset: tuple[str, ...] = arg(
        (),
        "Datasets to evaluate on. Excludes a validation share.",
        label="Evaluation datasets",
        tier="common",
    )
    dataset_dir: str = arg(
        "data",
        "Folder that holds dataset_info.json; ONLINE: dataset names are hub ids; REMOTE:REPO: take"
        " dataset_info.json from a hub dataset; or the object itself as JSON.",
        label="Dataset folder",
        tier="common",
        object_as_json=True,
    )
    media_dir: str | None = arg(
        None,
        "Folder of images, videos and audios with relative paths. Empty: the dataset folder.",
        label="Media folder",
    )
    dataset_compat: str = arg(
        "lenient",
        "lenient: a mapping in dataset_info.json that names some columns keeps the defaults of the others;"
        " strict: it unsets them, as LLaMA-Factory does.",
        label="Reading of dataset_info",
        choices=("lenient", "strict"),
        tier="expert",
    )
    streaming: bool = arg(
        False, "Read and tokenise rows while training. Needs max_steps.", label="Streaming", tier="common"
    )
    buffer_size: int = arg(16384, "Rows shuffled at a time when streaming.", label="Shuffle buffer", ge=1)
    mix_strategy: str = arg(
        "concat",
        "How several datasets meet: one after the other, or drawn in turn until the first is used up (under),"
        " until all are, repeating (over), or each row once (once).",
        label="Mixing",
        choices=MIX_STRATEGIES,
    )
    interleave_probs: tuple[str, ...] = arg(
        (), "Shares of the datasets when they are drawn in turn, such as 0.7,0.3.", label="Mixing shares"
    )
    max_bad_rows: float = arg(
        0.01,
        "Stop when more rows than this cannot be used: a share below 1, or a count.",
        label="Bad rows allowed",
        ge=0,
    )
    eval_on_each_dataset: bool = arg(
        False, "Evaluate every evaluation dataset on its own.", label="Evaluate each dataset"
    )
    cutoff_len: int = arg(
        2048, "Longest sequence in tokens; longer ones are cut.", label="Max length", ge=4, tier="basic"
    )
    max_samples: int | None = arg(
        None, "Use only the first N rows of each dataset.", label="Max samples", ge=1, tier="basic"
    )
    val_size: float = arg(
        0.0,
        "Rows held out for evaluation: a share below 1, or a count.",
        label="Validation share",
        ge=0,
        tier="basic",
    )
    packing: bool | None = arg(
        None,
        "Put several short sequences into one row of max length. They never see each other.",
        label="Pack samples",
        tier="basic",
    )
    neat_packing: bool = arg(
        False,
        "Same as packing: every packing here keeps sequences apart.",
        label="Neat packing",
        tier="expert",
    )
    contaminated_packing: bool = arg(
        False,
        "Packed samples see each other, as LLaMA-Factory's plain packing has it. Only to reproduce its runs.",
        label="Packed samples see each other",
        tier="expert",
    )
    mask_history: bool = arg(
        False, "Learn only the last answer of a conversation.", label="Loss on last turn only", tier="basic"
    )
    train_on_prompt: bool = arg(False, "Learn the prompt's tokens too.", label="Learn the prompt")
    overwrite_cache: bool = arg(
        False, "Tokenise again even if a cached result fits.", label="Ignore token cache"
    )
    preprocessing_batch_size: int = arg(1000, "Rows tokenised at a time.", label="Preprocessing batch", ge=1)
    preprocessing_num_workers: int | None = arg(
        None, "Processes that tokenise. Empty: the machine decides.", label="Preprocessing workers", ge=1
    )
    tokenized_path: str | None = arg(
        None,
        "Folder of tokenised data: loaded where it exists and fits this run, written there otherwise.",
        label="Tokenised data",
    )
    data_shared_file_system: bool = arg(
        False,
        "Nodes share a file system: only the first one tokenises.",
        label="Shared file system",
        tier="expert",
    )
    ignore_pad_token_for_loss: bool = arg(
        True, "Never learn padding. The only value supported is true.", label="Ignore padding", tier="expert"
    )
