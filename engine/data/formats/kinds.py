"""Which kind of Example a training stage learns from, and which kind a dataset holds by its entry alone.

Try: python -c "from engine.data.formats.kinds import kind_for; print(kind_for('dpo'))"
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.data.example import Kind
from engine.data.registry.spec import DatasetSpec

# A stage that is not named here learns from conversations, as sft does.
STAGES: Mapping[Kind, tuple[str, ...]] = {
    "text": ("pt",),
    "chat": ("sft",),
    "pair": ("dpo", "rm"),
    "label": ("kto",),
    "prompt": ("ppo", "grpo"),
}
# pt learns the text of conversations too; a prompt is what stands before a conversation's last answer.
FITS: Mapping[Kind, tuple[Kind, ...]] = {
    "text": ("text", "chat", "prompt"),
    "chat": ("chat",),
    "pair": ("pair",),
    "label": ("label",),
    "prompt": ("prompt", "chat"),
}
HOLDS: Mapping[Kind, str] = {
    "text": "raw text (formatting text)",
    "chat": "conversations",
    "pair": "pairs of answers (ranking: true)",
    "label": "labelled answers (a kto_tag column)",
    "prompt": "prompts without answers (no response column)",
}
LACKS: Mapping[Kind, str] = {
    "text": "text",
    "chat": "conversations",
    "pair": 'pairs of answers ("ranking": true with the columns chosen and rejected)',
    "label": 'labelled answers (a "kto_tag" column)',
    "prompt": "prompts",
}


def kind_for(stage: str) -> Kind:
    """What a stage learns from."""
    return next((kind for kind, stages in STAGES.items() if stage in stages), "chat")


def kind_of(spec: DatasetSpec) -> Kind:
    """What the entry says that the rows are."""
    if spec.formatting == "text":
        return "text"
    if spec.ranking:
        return "pair"
    if "kto_tag" in spec.columns:
        return "label"
    if spec.formatting == "alpaca" and "response" not in spec.columns:
        return "prompt"
    return "chat"


def misfit(spec: DatasetSpec, stage: str) -> str:
    """Why the dataset cannot be used by the stage; empty when it can."""
    want, held = kind_for(stage), kind_of(spec)
    if held in FITS[want]:
        return ""
    users = [name for kind, names in STAGES.items() if held in FITS[kind] for name in names]
    return f"holds {HOLDS[held]}, which the stages {', '.join(users)} use; stage {stage} needs {LACKS[want]}"
