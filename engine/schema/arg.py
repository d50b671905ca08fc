"""How an argument is declared, and everything derived from one declaration.

A group is a frozen dataclass whose fields are made by `arg(...)`. Flags, YAML keys, checks, form fields, the
preview and the docs table all read the `Arg` that `specs()` gives. Knows nothing of files or command lines
(load.py does). Try: python -c "from engine.schema.arg import specs; from engine.schema.commands import
TrainArgs; print(specs(TrainArgs))"
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["bool", "int", "float", "str", "list", "dict"]
Tier = Literal["basic", "common", "advanced", "expert"]

_NONE_WORDS = {"none", "null", "~", ""}
_TRUE_WORDS = {"true", "yes", "on", "1"}
_FALSE_WORDS = {"false", "no", "off", "0"}


@dataclass(frozen=True)
class Arg:
    """One argument. `kind` is the type of its value; `optional` says None is a value too."""

    name: str
    group: str
    kind: Kind
    optional: bool
    default: Any
    help: str
    label: str
    choices: tuple[str, ...] = ()
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    tier: Tier = "advanced"
    secret: bool = False
    object_as_json: bool = False

    def coerce(self, raw: Any) -> Any:
        """The value in its declared type. Raises ValueError with the rule that `raw` breaks."""
        if self._means_none(raw):
            return None
        value = _COERCE[self.kind](raw, self)
        self._check_choice(value)
        self._check_bounds(value)
        return value

    def rule(self) -> str:
        """The rule in words: what a value may be."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        words = {
            "bool": "true or false",
            "int": "a whole number",
            "float": "a number",
            "str": "a text",
            "list": "a list, or texts separated by commas",
            "dict": "a mapping, or its JSON",
        }[self.kind]
        bounds = [
            f"{symbol} {bound:g}"
            for symbol, bound in ((">=", self.ge), (">", self.gt), ("<=", self.le), ("<", self.lt))
            if bound is not None
        ]
        return " ".join([words, " and ".join(bounds)]).strip() + (" or null" if self.optional else "")

    def _means_none(self, raw: Any) -> bool:
        if not self.optional:
            return False
        return raw is None or (isinstance(raw, str) and raw.strip().lower() in _NONE_WORDS)

    def _check_choice(self, value: Any) -> None:
        if self.choices and value not in self.choices:
            raise ValueError(f"{_show(value)} is not a choice. It must be {self.rule()}.")

    def _check_bounds(self, value: Any) -> None:
        if self.kind not in ("int", "float"):
            return
        broken = (
            (self.ge is not None and value < self.ge)
            or (self.gt is not None and value <= self.gt)
            or (self.le is not None and value > self.le)
            or (self.lt is not None and value >= self.lt)
            or not math.isfinite(value)
        )
        if broken:
            raise ValueError(f"{_show(value)} is out of bounds. It must be {self.rule()}.")


def arg(
    default: Any,
    help: str,
    *,
    label: str,
    choices: tuple[str, ...] = (),
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    tier: Tier = "advanced",
    secret: bool = False,
    object_as_json: bool = False,
) -> Any:
    """Declare one argument as a dataclass field. `tier`: how prominent it is in the form and in --help.
    object_as_json: a text that may also be given as an object, which is kept as its JSON.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help, "label": label, "choices": choices, "ge": ge, "gt": gt, "le": le, "lt": lt,
            "tier": tier, "secret": secret, "object_as_json": object_as_json,
        },
    )  # fmt: skip


@functools.cache
def group_specs(group_class: Any, group: str) -> dict[str, Arg]:
    """name -> Arg of one group, in the order of declaration."""
    hints = typing.get_type_hints(group_class)
    found = {}
    for field in dataclasses.fields(group_class):
        kind, optional = _kind_of(hints[field.name])
        found[field.name] = Arg(
            name=field.name,
            group=group,
            kind=kind,
            optional=optional,
            default=field.default,
            **field.metadata,
        )
    return found


def specs(args_class: Any) -> dict[str, Arg]:
    """name -> Arg of every argument of a command's class. A name belongs to one group only."""
    return _specs(args_class)


@functools.cache
def _specs(args_class: Any) -> dict[str, Arg]:
    hints = typing.get_type_hints(args_class)
    found: dict[str, Arg] = {}
    for field in dataclasses.fields(args_class):
        members = group_specs(hints[field.name], field.name)
        assert not found.keys() & members.keys(), f"{field.name} declares a name that another group has"
        found.update(members)
    return found


def flatten(args: Any) -> dict[str, Any]:
    """name -> value over all groups of a command's arguments."""
    return {name: getattr(getattr(args, spec.group), name) for name, spec in specs(type(args)).items()}


def build(args_class: type, values: dict[str, Any]) -> Any:
    """The frozen arguments of a command from checked flat values; absent names keep their default."""
    hints = typing.get_type_hints(args_class)
    declared = specs(args_class)
    groups: dict[str, dict[str, Any]] = {field.name: {} for field in dataclasses.fields(args_class)}
    for name, value in values.items():
        groups[declared[name].group][name] = value
    return args_class(**{name: hints[name](**members) for name, members in groups.items()})


def replace(args: Any, **values: Any) -> Any:
    """A copy of `args` with some flat values changed. Nothing is checked: the values are ours."""
    return build(type(args), {**flatten(args), **values})


def _kind_of(hint: Any) -> tuple[Kind, bool]:
    optional = False
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        optional = True
        assert len(members) == 1, f"an argument has one type, got {hint}"
        hint = members[0]
    origin = typing.get_origin(hint) or hint
    kinds: dict[Any, Kind] = {
        bool: "bool",
        int: "int",
        float: "float",
        str: "str",
        tuple: "list",
        dict: "dict",
    }
    return kinds[origin], optional


def _show(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _to_bool(raw: Any, spec: Arg) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower()
    if word in _TRUE_WORDS:
        return True
    if word in _FALSE_WORDS:
        return False
    raise ValueError(f"{_show(raw)} is not {spec.rule()}.")


def _to_int(raw: Any, spec: Arg) -> int:
    if type(raw) is int:
        return raw
    if isinstance(raw, str) and raw.strip().lstrip("+-").isdecimal():  # exact beyond what a float holds
        return int(raw)
    number = _to_float(raw, spec)
    if not math.isfinite(number) or number != int(number):
        raise ValueError(f"{_show(raw)} is not {spec.rule()}.")
    return int(number)


def _to_float(raw: Any, spec: Arg) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
        raise ValueError(f"{_show(raw)} is not {spec.rule()}.")
    try:
        return float(raw)
    except ValueError:
        raise ValueError(f"{_show(raw)} is not {spec.rule()}.") from None


def _to_str(raw: Any, spec: Arg) -> str:
    if spec.object_as_json and isinstance(raw, dict):
        return json.dumps(raw, ensure_ascii=False)
    if isinstance(raw, (list, tuple, dict)):
        raise ValueError(f"{_show(raw)} is not {spec.rule()}.")
    if raw is None:
        raise ValueError(f"it may not be empty. It must be {spec.rule()}.")
    if isinstance(raw, bool):  # YAML reads the words no, off, yes and on as booleans
        return "true" if raw else "no" if "no" in spec.choices else "false"
    return str(raw)


def _to_list(raw: Any, spec: Arg) -> tuple[str, ...]:
    if raw is None:
        return ()
    if isinstance(raw, str):
        if raw.lstrip().startswith("["):
            raw = _from_json(raw, list, spec)
        else:
            return tuple(part.strip() for part in raw.split(",") if part.strip())
    if not isinstance(raw, (list, tuple)) or any(
        isinstance(item, (list, dict)) or item is None for item in raw
    ):
        raise ValueError(f"{_show(raw)} is not {spec.rule()}.")
    return tuple(str(item) for item in raw)


def _to_dict(raw: Any, spec: Arg) -> dict[str, Any]:
    if isinstance(raw, str):
        raw = _from_json(raw, dict, spec)
    if not isinstance(raw, dict):
        raise ValueError(f"{_show(raw)} is not {spec.rule()}.")
    return dict(raw)


def _from_json(raw: str, kind: type, spec: Arg) -> Any:
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise ValueError(f"{raw!r} is not valid JSON ({error}). It must be {spec.rule()}.") from None
    if not isinstance(value, kind):
        raise ValueError(f"{raw!r} is not {spec.rule()}.")
    return value


_COERCE: dict[Kind, Any] = {
    "bool": _to_bool, "int": _to_int, "float": _to_float, "str": _to_str, "list": _to_list, "dict": _to_dict,
}  # fmt: skip
