"""Parameters of a job, written once: bounds, unit, help and file-dialog hint sit on the field.

`core/fields.py` walks a Params class into the form, the command-line flags, job.toml and the docs table.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic_core import PydanticUndefined

from core.errors import InputError, ParamError


def ui(
    *, label: str = "", unit: str = "", dialog: str = "", pattern: str = "", advanced: bool = False
) -> dict[str, Any]:
    """Hints for a form: `dialog` is open, folder, either (of both), save, or files; `pattern` is a file filter."""
    return {"label": label, "unit": unit, "dialog": dialog, "pattern": pattern, "advanced": advanced}


class Params(BaseModel):
    """Base of every job's parameters: frozen, unknown keys refused, paths made absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_absent(cls, value: Any, info: Any) -> Any:
        """Read an empty text box as "not given", so that forms and flags agree."""
        if isinstance(value, str) and not value.strip():
            field = cls.model_fields[info.field_name]
            if field.default is not PydanticUndefined:
                return field.default
            raise ValueError("is needed")
        if isinstance(value, (list, tuple)):
            if not value and cls.model_fields[info.field_name].is_required():
                raise ValueError("is needed")
            if not all(str(v).strip() for v in value):
                raise ValueError("holds an empty item")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _absolute_paths(cls, value: Any) -> Any:
        """Make paths absolute: a run folder is executed from any working directory."""
        if isinstance(value, Path):
            return absolute(value)
        if isinstance(value, tuple) and value and all(isinstance(v, Path) for v in value):
            return tuple(absolute(v) for v in value)
        return value

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Validate raw values (strings from flags or a form). All problems arrive in one ParamError."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as err:
            raise _param_error(cls, err) from None

    def to_toml_dict(self) -> dict[str, Any]:
        """Plain values for job.toml: paths as text, None left out."""
        return {k: v for k, v in self.model_dump(mode="json").items() if v is not None}


def absolute(path: Path) -> Path:
    """Expand `~` and make absolute without following links."""
    return Path(os.path.normpath(path.expanduser().absolute()))


def flag_of(key: str) -> str:
    """The command-line flag of a field: box_size -> --box-size."""
    return "--" + key.replace("_", "-")


def _param_error(cls: type[Params], err: ValidationError) -> ParamError:
    parts, fields = [], []
    for item in err.errors():
        key = str(item["loc"][0]) if item["loc"] else ""
        text = item["msg"].removeprefix("Value error, ")
        if item["type"] == "missing":
            parts.append(f"{flag_of(key)} is needed")
        elif item["type"] == "extra_forbidden":
            parts.append(f"{flag_of(key)} is not a parameter here")
        elif key:
            text = text[0].lower() + text[1:]
            given = item.get("input")
            shown = f" (got {given})" if isinstance(given, (str, int, float)) and str(given).strip() else ""
            parts.append(f"{flag_of(key)}: {text}{shown}")
        else:
            parts.append(text)
        if key:
            fields.append(key)
    return ParamError("; ".join(parts) + ".", fields=tuple(dict.fromkeys(fields)))


def write_toml(path: Path, data: Mapping[str, Any]) -> None:
    """Write a TOML file (None values must have been left out)."""
    path.write_bytes(tomli_w.dumps(dict(data)).encode())


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file or say in one sentence why it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.", path=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise InputError(f"{path} is not a readable TOML file: {err}.", path=path) from None
    except OSError as err:
        raise InputError(f"{path} cannot be read: {err.strerror or err}.", path=path) from None
