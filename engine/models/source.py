"""Where a model comes from, and what to tell a person when it does not come.

Knows paths and hub ids, not weights. Try: python -m engine.models.source data/tiny-qwen3
"""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ArgError, Problem, UserError

if TYPE_CHECKING:
    from engine.schema.model import ModelArgs

FIELD = "model_name_or_path"


@dataclass(frozen=True)
class Source:
    """A place to load from: `path` is a directory or a hub id, `options` go to from_pretrained."""

    path: str
    is_local: bool
    what: str
    options: dict[str, Any]

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the loader's failures into one sentence that names the argument."""
        from safetensors import SafetensorError

        try:
            yield
        except UserError:
            raise
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise _problem(self._reason(error)) from error

    def _reason(self, error: Exception) -> str:
        detail = one_line(error)
        if self.is_local:
            return f"the {self.what} in {self.path} cannot be read: {detail}"
        return (
            f"there is no folder {self.path} here, and the hub gave no {self.what} of that name: {detail} "
            "Check the spelling, or give the path of a downloaded model."
        )


def one_line(error: Exception) -> str:
    """What a library's error says: its first line, with the next after a heading. Max. 300 characters."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return text[:300]


def locate(model: ModelArgs, *, what: str) -> Source:
    """Find the model's directory or accept a hub id. Raises UserError where the argument can be neither."""
    name = model.model_name_or_path
    if not name:
        raise _problem("is not set. Give a model's folder or a hub id.")
    options: dict[str, Any] = {"trust_remote_code": model.trust_remote_code}
    path = Path(name).expanduser()
    if path.is_dir():
        _check_folder(path)
        return Source(str(path), True, what, options)
    if path.exists():
        raise _problem(f"{name} is a file; a model is a folder with config.json and weights in it.")
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise _problem(f"there is no folder {name}.")
    options |= {"revision": model.model_revision, "cache_dir": model.cache_dir}
    options |= hub_options(name, model, field=FIELD, file="config.json")
    return Source(name, False, what, options)


def hub_options(name: str, model: ModelArgs, *, field: str, file: str) -> dict[str, Any]:
    """How to load a hub id: nothing special, or from the local copy alone where the hub cannot be reached.

    Raises UserError where it cannot and `file` was never downloaded: the library itself would try for most
    of a minute before it gave up.
    """
    from huggingface_hub import try_to_load_from_cache

    if _hub_answers():
        return {}
    revision = model.model_revision if field == FIELD else None
    if isinstance(try_to_load_from_cache(name, file, cache_dir=model.cache_dir, revision=revision), str):
        return {"local_files_only": True}
    message = (
        f"there is no folder {name} here, and the hub cannot be reached to look for it there. "
        "Check the spelling and the network, or give the path of a downloaded copy."
    )
    raise ArgError([Problem(field, message)])


def adapter_path(model: ModelArgs, name: str) -> str:
    """An adapter's directory, or the name as a hub id. Raises UserError where neither can be."""
    path = Path(name).expanduser() / (model.adapter_folder or "")
    if path.is_dir():
        if (path / "adapter_config.json").is_file():
            return str(path)
        raise ArgError(
            [Problem("adapter_name_or_path", f"{path} has no adapter_config.json; it is not an adapter.")]
        )
    if path.exists() or path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise ArgError([Problem("adapter_name_or_path", f"there is no folder {path}.")])
    hub_options(name, model, field="adapter_name_or_path", file="adapter_config.json")
    return name


def _hub_answers() -> bool:
    from huggingface_hub import constants, is_offline_mode

    if is_offline_mode():
        return False
    try:
        urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=5)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _check_folder(path: Path) -> None:
    if (path / "config.json").is_file():
        return
    if (path / "adapter_config.json").is_file():
        base = _base_of(path)
        hint = f" Set model_name_or_path={base} and adapter_name_or_path={path}." if base else ""
        raise _problem(f"{path} holds an adapter, not a whole model.{hint}")
    raise _problem(f"{path} has no config.json, so that it is not a model folder.")


def _base_of(adapter: Path) -> str | None:
    try:
        return json.loads((adapter / "adapter_config.json").read_text()).get("base_model_name_or_path")
    except (ValueError, OSError):
        return None


def _problem(message: str) -> ArgError:
    return ArgError([Problem(FIELD, message)])


if __name__ == "__main__":
    import sys
    from types import SimpleNamespace

    print(
        locate(  # type: ignore[arg-type]
            SimpleNamespace(
                model_name_or_path=sys.argv[1], trust_remote_code=False, model_revision="main", cache_dir=None
            ),
            what="model",
        )
    )
