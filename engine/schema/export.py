"""What `tunesmith export` writes."""

from __future__ import annotations

from dataclasses import dataclass

from engine.schema.arg import arg


@dataclass(frozen=True)
class ExportArgs:
    export_dir: str | None = arg(
        None, "Where the merged model is written.", label="Export folder", tier="basic"
    )
    export_size: int = arg(5, "Largest file, in GB.", label="Shard size (GB)", ge=1, tier="basic")
    export_device: str = arg(
        "cpu", "Where the merge is computed.", label="Device", choices=("cpu", "auto"), tier="common"
    )
    export_legacy_format: bool = arg(
        False,
        "Pickled weights. Refused when true: only safetensors are written.",
        label="Legacy format",
        tier="expert",
    )
