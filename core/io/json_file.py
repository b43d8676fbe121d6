"""Reading small JSON files that anybody may have edited: whatever is wrong becomes one sentence with the file's name.

Writing them is atomic.py's `write_json`; what they mean belongs to the modules that call this one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.errors import InputError

MOST_BYTES = 256 << 20

# RecursionError: brackets nested deeper than Python goes. ArithmeticError: numbers beyond every type.
_DAMAGE = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError)


def read_json(path: Path | str, what: str, hint: str, most_bytes: int = MOST_BYTES) -> Any:
    """The content of a file that should hold `what`. `InputError`, except FileNotFoundError, which the caller knows."""
    path = Path(path)
    with explained(path, what, hint):
        with path.open("rb") as stream:
            raw = stream.read(most_bytes + 1)
        if len(raw) > most_bytes:
            raise InputError(f"{path} is too large to be {what}.", hint, path)
        return json.loads(raw.decode("utf-8"))


@contextmanager
def explained(path: Path, what: str, hint: str) -> Iterator[None]:
    """What odd content raises while it is taken apart becomes an `InputError`; FileNotFoundError passes."""
    try:
        yield
    except FileNotFoundError:
        raise
    except _DAMAGE as err:
        raise InputError(f"{path} cannot be read as {what} ({type(err).__name__}).", hint, path) from None


def texts(value: object) -> list[str]:
    """A list of texts as it is, or ValueError: a text alone would otherwise be taken for its letters."""
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError("not a list of texts")
    return value
