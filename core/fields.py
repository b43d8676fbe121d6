"""The one walker: a Params class becomes a stream of field specs.

The form, the command-line flags and the docs table are all read from this stream, so they cannot drift apart.
The set of kinds is closed; a field outside it raises TypeError (a test walks every job).
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from core.params import Params, flag_of

KINDS = ("int", "float", "bool", "text", "path", "paths", "choice", "numbers")


@dataclass(frozen=True)
class FieldSpec:
    """One parameter as every reader needs it. `low` and `high` are inclusive bounds or None."""

    key: str
    kind: str
    help: str
    required: bool
    optional: bool  # None is allowed and means "not set"
    default: Any = None
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    ui: dict[str, Any] = field(default_factory=dict)

    @property
    def flag(self) -> str:
        """Command-line flag, e.g. --box-size."""
        return flag_of(self.key)

    @property
    def label(self) -> str:
        """Form label: the given one, or the key in words."""
        return self.ui.get("label") or self.key.replace("_", " ").capitalize()

    @property
    def unit(self) -> str:
        """Unit shown behind the number, or an empty text."""
        return self.ui.get("unit", "")


def walk(model: type[Params]) -> Iterator[FieldSpec]:
    """Yield the field specs of a Params class in the order of declaration."""
    for key, info in model.model_fields.items():
        yield _spec(key, info)


def _spec(key: str, info: FieldInfo) -> FieldSpec:
    annotation, optional = _strip_optional(info.annotation)
    kind, choices = _kind(key, annotation)
    low, high = _bounds(info)
    required = info.is_required()
    default = None if required or info.default is PydanticUndefined else info.default
    if info.default_factory is not None:
        raise TypeError(f"{key}: give the default as a value, not as a factory")
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    return FieldSpec(key, kind, info.description or "", required, optional, default, choices, low, high, dict(extra))


def _strip_optional(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [a for a in get_args(annotation) if a is not type(None)]
        if len(rest) == 1:
            return rest[0], len(rest) < len(get_args(annotation))
    return annotation, False


def _kind(key: str, annotation: Any) -> tuple[str, tuple[str, ...]]:
    simple = {int: "int", float: "float", bool: "bool", str: "text", Path: "path"}
    if annotation in simple:
        return simple[annotation], ()
    if get_origin(annotation) is Literal:
        return "choice", tuple(str(c) for c in get_args(annotation))
    if get_origin(annotation) is tuple:
        inner = get_args(annotation)[0]
        if inner is Path:
            return "paths", ()
        if inner in (int, float):
            return "numbers", ()
    raise TypeError(f"{key}: {annotation} is none of the field kinds {', '.join(KINDS)}")


def _bounds(info: FieldInfo) -> tuple[float | None, float | None]:
    low = high = None
    for item in info.metadata:
        low = getattr(item, "ge", getattr(item, "gt", low))
        high = getattr(item, "le", getattr(item, "lt", high))
    return low, high
