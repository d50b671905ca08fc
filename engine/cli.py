"""tunesmith COMMAND: choose, check the arguments, and only then import what the command needs.

`help`, `version` and every argument error answer without torch. Exit codes: 0 done, 1 a crash, 2 a mistake a
person can mend, 130 stopped by request. Try: python -m engine.cli help
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from engine import __version__
from engine.errors import ArgError, UserError

STOPPED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code; a UserError becomes one screen on standard error."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        if isinstance(error, ArgError) and words:
            # Looking at data takes the arguments of training.
            command = "train" if words[0] == "data" else words[0]
            print(f"`tunesmith {command} --help` lists every argument.", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # the reader of our output (head, less) has left: not our failure
        sys.stderr.close()
        return 0


def _dispatch(words: list[str]) -> int:
    command, rest = (words[0], words[1:]) if words else ("help", [])
    if command in ("-h", "--help"):
        command = "help"
    if command in ("-v", "-V", "--version"):
        command = "version"
    if command in PLAIN:
        return PLAIN[command](rest)

    from engine.schema.commands import COMMANDS

    if command not in COMMANDS:
        near = difflib.get_close_matches(command, [*COMMANDS, *PLAIN], n=1)
        meant = f"Did you mean {near[0]}? " if near else ""
        raise UserError(f"{command!r} is not a command. {meant}`tunesmith help` lists them.")
    if "-h" in rest or "--help" in rest:
        return _help([command, *[word for word in rest if word == "all"]])
    return _run(command, rest)


def _run(command: str, words: list[str]) -> int:
    """Check, resolve, and hand down to the command's own main."""
    from engine import env
    from engine.schema.commands import COMMANDS
    from engine.schema.load import load_argv

    dry = command == "train" and "--dry_run" in words
    loaded = load_argv(command, [word for word in words if word != "--dry_run"] if dry else words)
    env.wait_without_spinning()
    if not COMMANDS[command].is_job:
        _print_notes(loaded.notes)
        return _plain_main(command)(loaded)

    from engine import paths
    from engine.schema.resolve import resolve

    resolved = resolve(command, loaded.args, env.probe_machine(), saves=paths.saves_root())
    if dry:
        return _print_dry_run(loaded, resolved)

    from engine.jobs import client

    with client.attached(command, loaded.args, resolved) as run:
        _print_notes(loaded.notes)
        for reason in resolved.reasons:
            print(f"{reason.name} = {reason.value}: {reason.why}", flush=True)
        run.exit_code = _job_main(command)(loaded, resolved, run)
    return run.exit_code


def _job_main(command: str) -> Callable[..., int]:
    if command == "train":
        from engine.train.run import main as job_main
    elif command == "eval":
        from engine.evaluate.run import main as job_main
    elif command == "export":
        from engine.export.run import main as job_main
    else:
        from engine.api.server import main as job_main
    return job_main


def _plain_main(command: str) -> Callable[[Any], int]:
    if command == "chat":
        from engine.infer.repl import main as plain_main
    else:
        from webui.app import main as plain_main
    return plain_main


def _print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr, flush=True)


def _print_dry_run(loaded: Any, resolved: Any) -> int:
    from engine.schema.dump import resolved_yaml

    _print_notes(loaded.notes)
    print(resolved_yaml(resolved), end="")
    return 0


def _help(words: list[str]) -> int:
    from engine.schema.commands import COMMANDS
    from engine.schema.docs import command_help, overview

    if words and words[0] in COMMANDS:
        print(command_help(words[0], everything="all" in words), end="")
    elif words and words[0] in OWN_HELP:
        return OWN_HELP[words[0]](["--help"])
    elif words and words[0] not in PLAIN:
        raise UserError(f"{words[0]!r} is not a command. `tunesmith help` lists them.")
    else:
        print(overview(), end="")
    return 0


def _version(words: list[str]) -> int:
    print(f"tunesmith {__version__}")
    return 0


def _env(words: list[str]) -> int:
    from engine import env

    for name, version in env.versions().items():
        print(f"{name:<14}{version}")
    machine = env.probe_machine()
    bf16 = "with" if machine.cpu_bf16 else "without"
    print(
        f"{'cpu':<14}{machine.cpu_count} cores, {bf16} bfloat16, {machine.memory_bytes / 2**30:.1f} GiB of"
        f" memory"
    )
    for gpu in machine.gpus:
        print(f"{f'gpu {gpu.index}':<14}{gpu.name}, {gpu.memory_bytes / 2**30:.0f} GiB, {gpu.uuid}")
    return 0


def _jobs(words: list[str]) -> int:
    from engine.jobs.commands import main as jobs_main

    return jobs_main(words)


def _data(words: list[str]) -> int:
    from engine.data.inspect.commands import main as data_main

    return data_main(words)


# Commands of several verbs, which explain themselves.
OWN_HELP: dict[str, Callable[[list[str]], int]] = {"data": _data, "jobs": _jobs}
PLAIN: dict[str, Callable[[list[str]], int]] = {
    "help": _help,
    "version": _version,
    "env": _env,
    **OWN_HELP,
}


if __name__ == "__main__":
    sys.exit(main())
