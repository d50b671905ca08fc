"""A stand-in for the engine: attaches to its run as cli.py does, then does what its first word says.

    python driver.py quick|loop|slow|load|deaf|mistake|late|crash --output_dir RUN ...
It has a `tunesmith` name when a test copies it so, and then takes the path of a run started in a shell.
"""

from __future__ import annotations

import sys
import time

from engine import env, paths
from engine.errors import UserError
from engine.events import append_event
from engine.jobs import client
from engine.schema.load import load_argv
from engine.schema.resolve import resolve


def work(what: str, run: client.Run) -> int:
    print("attached", run.job_id, run.attempt, flush=True)
    if what == "quick":
        with run.cooperative():
            append_event(run.paths.trainer_log, {"current_steps": 1, "total_steps": 1, "loss": 1.0})
        return 0
    if what == "load":
        time.sleep(600)
    if what == "deaf":
        _lose_an_interrupt()
        time.sleep(600)
    if what == "mistake":
        raise UserError("dataset: there is no d")
    if what == "late":
        with run.cooperative():
            raise UserError("learning_rate: too high")
    if what == "crash":
        raise ValueError("the matrix is not square")
    assert what in ("loop", "slow")
    with run.cooperative():
        for step in range(1, 60_000):
            append_event(
                run.paths.trainer_log, {"current_steps": step, "total_steps": 60_000, "loss": 1 / step}
            )
            if run.stop_requested():
                while what == "slow" and not (run.paths.root / "go").exists():
                    time.sleep(0.01)
                run.paths.checkpoint(step).mkdir()
                print("saved", flush=True)
                return 130
            time.sleep(0.01)
    return 0


def _lose_an_interrupt() -> None:
    """What is raised in a destructor goes no further; imports run many of them."""

    class Deaf:
        def __del__(self) -> None:
            print("deaf", flush=True)
            time.sleep(600)

    Deaf()


def main() -> int:
    what, *words = sys.argv[1:]
    loaded = load_argv("train", words)
    resolved = resolve("train", loaded.args, env.probe_machine(), saves=paths.saves_root())
    try:
        with client.attached("train", loaded.args, resolved) as run:
            run.exit_code = work(what, run)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        return 130
    return run.exit_code


if __name__ == "__main__":
    sys.exit(main())
