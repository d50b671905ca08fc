"""On what a run runs: device, loader processes, and the launcher's own names."""

from __future__ import annotations

from dataclasses import dataclass

from engine.schema.arg import arg


@dataclass(frozen=True)
class LaunchArgs:
    do_train: bool = arg(True, "Train. There is no run without it so far.", label="Train", tier="expert")
    do_eval: bool = arg(False, "Evaluate once more at the end.", label="Evaluate at end")
    use_cpu: bool = arg(False, "Stay off the GPU.", label="CPU only", tier="common")
    dataloader_num_workers: int = arg(0, "Processes that prepare batches.", label="Loader workers", ge=0)
    dataloader_pin_memory: bool = arg(True, "Pin batches for a faster copy to the GPU.", label="Pin memory")
    dataloader_drop_last: bool = arg(False, "Drop the last, smaller batch.", label="Drop last batch")
    remove_unused_columns: bool = arg(
        False,
        "Accepted for its users; our batches hold no unused column.",
        label="Remove unused",
        tier="expert",
    )
    ddp_timeout: int = arg(1800, "Seconds a process waits for the others.", label="DDP timeout", ge=1)
    local_rank: int = arg(-1, "Set by a launcher.", label="Local rank", tier="expert")
