"""From a declared argument to a field of a form and back.

Adds no meaning: what a field holds goes through the schema's own loader, and a field left at its default says
nothing. Knows no page.
Try: python -c "from webui.form import Form; print(Form('train', 'train').mapping({'learning_rate': '1e-4'}))"
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import yaml
from gradio.components import Component

from engine.errors import ArgError, Problem, UserError
from engine.schema.arg import Arg, specs
from engine.schema.commands import COMMANDS
from engine.schema.load import Loaded, load_mapping, parse_text
from webui.text import arg_key

WIDE = {
    "model_name_or_path", "adapter_name_or_path", "dataset", "eval_dataset", "output_dir", "export_dir",
    "lora_target", "freeze_trainable_modules", "default_system", "resume_from_checkpoint",
}  # fmt: skip
"""Fields that hold paths or lists and take two columns of the grid."""
PROSE = {"default_system"}
"""Texts that may run over several lines."""
SEGMENTS = 3
"""Up to this many choices are shown side by side instead of in a menu."""

FURTHER = "further"
"""The box that takes arguments without a field, as YAML."""

Builder = Callable[..., Component]

_LORA = ("finetuning_type", ("lora",))
_FREEZE = ("finetuning_type", ("freeze",))
_ADAM = ("optim", ("adamw_torch_fused", "adamw_torch"))
_SAMPLED = ("do_sample", (True,))
_PREDICTED = ("predict", (True,))
APPLIES: dict[str, tuple[str, tuple[Any, ...]]] = {
    **dict.fromkeys(
        ("lora_rank", "lora_alpha", "lora_dropout", "lora_target", "additional_target", "use_rslora",
         "create_new_adapter"), _LORA),
    **dict.fromkeys(("freeze_trainable_layers", "freeze_trainable_modules", "freeze_extra_modules"), _FREEZE),
    **dict.fromkeys(("adam_beta1", "adam_beta2", "adam_epsilon"), _ADAM),
    **dict.fromkeys(("temperature", "top_p", "top_k"), _SAMPLED),
    **dict.fromkeys(("max_new_tokens", "do_sample"), _PREDICTED),
    "buffer_size": ("streaming", (True,)),
    "interleave_probs": ("mix_strategy", ("interleave_under", "interleave_over")),
    "logging_steps": ("logging_strategy", ("steps",)),
    "save_steps": ("save_strategy", ("steps",)),
    "eval_steps": ("eval_strategy", ("steps",)),
}  # fmt: skip
"""Argument -> the argument it depends on and the values of that one under which it does something."""


@dataclass(frozen=True)
class Section:
    """A folded part of a form. `gate`: the argument by which the whole part applies or not."""

    accordion: gr.Accordion
    names: tuple[str, ...]
    gate: str | None

    def update(self, values: Mapping[str, Any] | None, wrong: set[str]) -> Any:
        """Open it where it hides a problem; with `values`, also show it only while it applies."""
        changes: dict[str, Any] = {"open": True} if wrong.intersection(self.names) else {}
        if values is not None and self.gate:
            changes["visible"] = applies(self.gate, values)
        return gr.update(**changes) if changes else gr.skip()


@dataclass
class Form:
    """The fields of one command in one tab, in the order they were drawn.

    `values` below are always field values by argument name: what the components hold (text, bool, list of
    names). `tab` prefixes the ids, so that two tabs may show the same argument.
    """

    command: str
    tab: str
    initial: Mapping[str, Any] = field(default_factory=dict)
    fields: dict[str, Component] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)

    @property
    def specs(self) -> dict[str, Arg]:
        return specs(COMMANDS[self.command].args_class)

    @property
    def components(self) -> list[Component]:
        return list(self.fields.values())

    @property
    def outputs(self) -> list[gr.blocks.Block]:
        """What `updates` updates: the fields, then the sections that come and go."""
        return [*self.components, *(section.accordion for section in self._gated())]

    # ---- drawing

    def draw(self, i18n: gr.I18n, names: Iterable[str], special: Mapping[str, Builder] | None = None) -> None:
        """Draw some arguments as one grid of fields. `special`: a builder of its own for some of them."""
        with gr.Row(elem_classes="ts-grid"):
            for name in names:
                self._draw_one(i18n, name, (special or {}).get(name))

    def draw_cards(
        self, i18n: gr.I18n, cards: Mapping[str, Sequence[str]], special: Mapping[str, Builder] | None = None
    ) -> None:
        """Draw a card for every title, with its arguments as a grid."""
        for title, names in cards.items():
            with gr.Column(elem_classes="ts-card"):
                gr.Markdown(i18n(title), elem_classes="ts-h")
                self.draw(i18n, names, special)

    def draw_section(
        self,
        i18n: gr.I18n,
        title: str,
        names: Sequence[str],
        *,
        gate: str | None = None,
        special: Mapping[str, Builder] | None = None,
    ) -> None:
        """Draw some arguments in a folded section, with `gate` only shown while that argument applies."""
        shown = gate is None or applies(gate, self.start_values())
        accordion = gr.Accordion(i18n(title), open=False, visible=shown, elem_id=f"{self.tab}-{title}")
        self.sections.append(Section(accordion, tuple(names), gate))
        with accordion:
            self.draw(i18n, names, special)

    def _draw_one(self, i18n: gr.I18n, name: str, builder: Builder | None) -> None:
        spec = self.specs[name]
        assert name not in self.fields, f"{name} is drawn twice"
        key = arg_key(spec)
        values = self.start_values()
        common: dict[str, Any] = {
            "label": i18n(f"{key}.label"), "info": i18n(f"{key}.help"), "elem_id": f"{self.tab}-{name}",
            "value": values[name], "visible": self._shown(name, values), "min_width": 0,
        }  # fmt: skip
        classes = ["ts-big"] if name in WIDE else []
        if builder is not None:
            component = builder(**common, elem_classes=classes)
        else:
            component = _component(spec, i18n, common, classes)
        self.fields[name] = component

    def draw_further(self, i18n: gr.I18n) -> None:
        """A folded box for every argument that has no field here, as YAML. Checked like the fields."""
        with gr.Column(elem_classes="ts-adv"), gr.Accordion(i18n("section.further"), open=False):
            self.fields[FURTHER] = gr.Textbox(
                label=i18n("form.further.label"), info=i18n("form.further.help"),
                placeholder="flash_attn: sdpa", elem_id=f"{self.tab}-{FURTHER}",
                elem_classes=["ts-further"], lines=2, max_lines=12, value=self._without_field(self.initial),
            )  # fmt: skip

    # ---- values

    def start_values(self) -> dict[str, Any]:
        """The field values of a page nobody has touched: the defaults, and what the page starts from."""
        return self.values_of(self.initial)

    def named(self, values: Sequence[Any]) -> dict[str, Any]:
        """What the components sent, by name; arguments that are not drawn keep their default."""
        drawn = dict(zip(self.fields, values, strict=True))
        return {name: field_value(spec, spec.default) for name, spec in self.specs.items()} | drawn

    def mapping(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The flat mapping these fields stand for: what differs from the defaults and applies.

        Raises ArgError where the text of further arguments cannot be read.
        """
        given: dict[str, Any] = {}
        for name, spec in self.specs.items():
            default = field_value(spec, spec.default)
            value = values.get(name, default)
            if not is_blank(value) and value != default and applies(name, values):
                given[name] = value
        return given | self._further(values)

    def _further(self, values: Mapping[str, Any]) -> dict[str, Any]:
        text = str(values.get(FURTHER) or "")
        try:
            further = parse_text(text, name="YAML")
        except UserError as error:
            raise ArgError([Problem(FURTHER, str(error))]) from None
        doubled = [
            Problem(FURTHER, f"{name} has a field of its own. Set it there.")
            for name in further
            if name in self.fields
        ]
        if doubled:
            raise ArgError(doubled)
        return further

    def values_of(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The field values that show a flat mapping, checked or not; everything unsaid is at its default."""
        values: dict[str, Any] = {
            name: field_value(spec, given.get(name, spec.default)) for name, spec in self.specs.items()
        }
        if FURTHER in self.fields:
            values[FURTHER] = self._without_field(given)
        return values

    def _without_field(self, given: Mapping[str, Any]) -> str:
        """What the box of further arguments holds: what differs from the defaults and has no field."""
        rest = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in given.items()
            if name in self.specs and name not in self.fields and value != self.specs[name].default
        }
        return yaml.safe_dump(rest, allow_unicode=True, sort_keys=False) if rest else ""

    def load(self, values: Mapping[str, Any]) -> Loaded:
        """Check the fields as the command line would. Raises ArgError with every problem."""
        return load_mapping(self.command, self.mapping(values))

    def check(self, values: Mapping[str, Any]) -> tuple[Loaded, tuple[Problem, ...]]:
        """What can be made of the fields, and what is wrong with them: a form may be half filled in."""
        try:
            given = self.mapping(values)
        except ArgError as error:
            loaded, problems = self.check({**values, FURTHER: ""})
            return loaded, (*problems, *error.problems)
        try:
            return load_mapping(self.command, given), ()
        except ArgError as error:
            wrong = {problem.field for problem in error.problems}
            kept = {name: value for name, value in given.items() if name not in wrong}
            for candidate in (given, kept):
                try:
                    return load_mapping(self.command, candidate, rules=False), error.problems
                except ArgError:
                    continue
            return load_mapping(self.command, {}, rules=False), error.problems

    def updates(self, values: Mapping[str, Any], *, than: Mapping[str, Any] | None = None) -> list[Any]:
        """One update per output. With `than`, only what differs from those values is touched."""
        changes: list[Any] = []
        for name in self.fields:
            shown = self._shown(name, values)
            same = than is not None and values[name] == than[name] and shown == self._shown(name, than)
            changes.append(gr.skip() if same else gr.update(value=values[name], visible=shown))
        return changes + [gr.update(visible=applies(str(part.gate), values)) for part in self._gated()]

    def masters(self) -> list[str]:
        """The drawn fields that others depend on."""
        found = {APPLIES[name][0] for name in self.fields if name in APPLIES}
        return [name for name in self.fields if name in found]

    def dependents(self) -> list[str]:
        """The drawn fields that come and go by themselves (not with their section)."""
        gated = self._gated_names()
        return [name for name in self.fields if name in APPLIES and name not in gated]

    def dependent_outputs(self) -> list[gr.blocks.Block]:
        """What `visibility` updates."""
        return [
            *(self.fields[name] for name in self.dependents()),
            *(part.accordion for part in self._gated()),
        ]

    def visibility(self, values: Mapping[str, Any]) -> list[Any]:
        """Which fields and sections to show, given the masters' values."""
        shown = [applies(name, values) for name in self.dependents()]
        shown += [applies(str(part.gate), values) for part in self._gated()]
        return [gr.update(visible=value) for value in shown]

    def _gated(self) -> list[Section]:
        return [section for section in self.sections if section.gate]

    def _gated_names(self) -> set[str]:
        return {name for section in self._gated() for name in section.names}

    def _shown(self, name: str, values: Mapping[str, Any]) -> bool:
        return name in self._gated_names() or applies(name, values)


def applies(name: str, values: Mapping[str, Any]) -> bool:
    """Whether an argument does anything, given the others. Where its master is absent it always does."""
    if name not in APPLIES:
        return True
    master, wanted = APPLIES[name]
    if master not in values or values[master] in wanted:
        return master not in values or applies(master, values)
    return False


def is_blank(value: Any) -> bool:
    """Nothing said: an empty field means the default."""
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def field_value(spec: Arg, value: Any) -> Any:
    """An argument's value as its field holds it. `value` may be checked or as written in a file."""
    if spec.kind == "bool" and not spec.optional:
        return _as_bool(spec, value)
    if spec.kind == "list" and spec.name in PICKED:
        return _as_names(spec, value)
    if value is None:
        return _unset(spec)
    if spec.choices:
        return _as_choice(spec, value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return _join([str(item) for item in value])
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (int, float)):
        return number_text(value)
    return str(value)


def _unset(spec: Arg) -> str:
    """How a field holds null. An empty field means the default, so where that is another it is said."""
    return "null" if spec.kind == "bool" and spec.default is not None else ""


PICKED = {"dataset", "eval_dataset", "adapter_name_or_path"}
"""Lists whose field is a picker of several names; the other lists are one line of text."""


def number_text(value: int | float) -> str:
    """A number as people write it: 5e-5, 0.1, 3. Parses back to the same number."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return re.sub(r"e([+-]?)0*(\d)", lambda m: f"e{'-' if m[1] == '-' else ''}{m[2]}", repr(value))


def _as_bool(spec: Arg, value: Any) -> bool:
    try:
        return bool(spec.coerce(value))
    except ValueError:
        return bool(spec.default)


def _as_choice(spec: Arg, value: Any) -> str:
    """A menu can only show its choices; whoever loads a file reports the ones that are none."""
    try:
        return str(spec.coerce(value))
    except ValueError:
        return str(spec.default)


def _as_names(spec: Arg, value: Any) -> list[str]:
    try:
        return list(spec.coerce(value) or ())
    except ValueError:
        return []


def _join(items: list[str]) -> str:
    odd = any("," in item or item != item.strip() or not item or item.startswith("[") for item in items)
    return json.dumps(items, ensure_ascii=False) if odd else ",".join(items)


def _component(spec: Arg, i18n: gr.I18n, common: dict[str, Any], classes: list[str]) -> Component:
    """The kind of field that suits the declaration."""
    if spec.kind == "bool" and not spec.optional:
        return gr.Checkbox(**common, elem_classes=[*classes, "ts-check"])
    if spec.kind == "bool":
        unset = _unset(spec)
        auto = (unset or i18n("form.auto"), unset)
        choices = [auto, (i18n("form.on"), "true"), (i18n("form.off"), "false")]
        return gr.Dropdown(choices, **common, filterable=False, elem_classes=classes)
    if spec.choices and spec.optional:
        named = [(choice, choice) for choice in spec.choices]
        return gr.Dropdown([(i18n(_empty(spec)), ""), *named], **common, elem_classes=classes)
    if 1 < len(spec.choices) <= SEGMENTS:
        return gr.Radio(list(spec.choices), **common, elem_classes=[*classes, "ts-seg"])
    if spec.choices:
        return gr.Dropdown(list(spec.choices), **common, elem_classes=classes)
    lines = {"lines": 2, "max_lines": 6} if spec.name in PROSE else {"lines": 1, "max_lines": 1}
    default = field_value(spec, spec.default)
    return gr.Textbox(**common, **lines, placeholder=default or i18n(_empty(spec)), elem_classes=classes)


def _empty(spec: Arg) -> str:
    """Key of what an empty field means: a value that is worked out (its help says which), or nothing."""
    return "form.auto" if "Empty:" in spec.help else "form.none"
