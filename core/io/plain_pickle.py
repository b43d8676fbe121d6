"""Pickle files that hold numbers: arrays of numpy, and tuples, lists and dicts of them. No code of the file is run.

A pickle is a program. Here it is looked through before it runs: only instructions that build data are let in, and
every length it claims must be in the file. The few functions of numpy that it may name are stood in for by our own,
which give an array only as large as the bytes that come with it. What the numbers mean is their reader's matter.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.io.file_errors import explained

MOST_BYTES = 2 << 30
_MOST_AXES, _MOST_OBJECTS = 4, 20_000_000
_KINDS = "biuf"
_HINT = "Save its arrays with numpy.save (.npy) and choose that file."
_DATA = frozenset({
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET",
    "LONG_BINGET", "MEMOIZE", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
    "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "EMPTY_TUPLE",
    "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_DICT", "DICT", "SETITEM",
    "SETITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
})  # fmt: skip


def read_pickle(path: Path) -> Any:
    """The object of a pickle file; arrays (of numbers, at most 4 axes) are numpy's, also inside a tuple, list or dict.

    InputError in one sentence for anything else in it, for damaged files, and for files beyond 2 GiB.
    """
    with explained(path):
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(f"{path} is too large for a pickle of numbers ({size / 2**30:.1f} GiB).", _HINT, path)
        data = path.read_bytes()
    try:
        _look_through(data)
        return _resolved(_Plain(data).load())
    except _Foreign as err:
        raise InputError(f"{path} holds more than numbers ({err}), and is not read.", _HINT, path) from None
    except (pickle.UnpicklingError, ValueError, TypeError, EOFError, IndexError, KeyError, AttributeError) as err:
        told = str(err).splitlines()[0][:80] if str(err) else type(err).__name__
        raise InputError(f"{path} is no pickle of numbers, or it is damaged: {told}.", _HINT, path) from None
    except (OverflowError, MemoryError, RecursionError) as err:
        raise InputError(f"{path} is damaged ({type(err).__name__}).", _HINT, path) from None


class _Foreign(Exception):
    """The pickle asks for something that is no number."""


def _look_through(data: bytes) -> None:
    """Refuse instructions that do more than build data; pickletools raises ValueError for lengths that lie."""
    count = 0
    for count, (code, argument, _) in enumerate(pickletools.genops(data), 1):
        if code.name not in _DATA:
            raise _Foreign(f"the instruction {code.name}")
        if code.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > count:  # a place set aside that nobody fills
            raise ValueError("a memo number is too large")
        if count > _MOST_OBJECTS:
            raise ValueError("it has too many items")


class _Dtype:
    """Stands for numpy's dtype while the pickle is read."""

    def __init__(self, *arguments: Any) -> None:
        name = arguments[0] if arguments else None
        if not isinstance(name, str) or len(name) > 8:
            raise _Foreign("an array of other things than numbers")
        self.dtype = np.dtype(name)
        self._check()

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5]):
            raise _Foreign("an array with named columns")
        self.dtype = self.dtype.newbyteorder(order)
        self._check()

    def _check(self) -> None:
        if self.dtype.kind not in _KINDS:
            raise _Foreign("an array of other things than numbers")


class _Array:
    """Stands for an array while the pickle is read: filled by its state, whose bytes it does not outgrow."""

    value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, raw = state
        self.value = _array(raw, kind, shape, "F" if fortran else "C")


def _array(raw: Any, kind: Any, shape: Any, order: Any = "C") -> np.ndarray:
    if not isinstance(kind, _Dtype) or not isinstance(raw, (bytes, bytearray)):
        raise _Foreign("an array of other things than numbers")
    if not isinstance(shape, tuple) or len(shape) > _MOST_AXES or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError("an array has no shape")
    if math.prod(shape) * kind.dtype.itemsize != len(raw):
        raise ValueError("an array has not the size that it claims")
    return np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if order == "F" else "C")


class _Named:
    """Stands for a function that the pickle names; nothing can be set on it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _Foreign("a function that is changed")


def _scalar(kind: Any, raw: Any) -> Any:
    return _array(raw, kind, ()).item()


def _no_bytes(*arguments: Any) -> bytes:
    """The empty bytes of an empty array."""
    if arguments:
        raise _Foreign("bytes that are made of something else")
    return b""


def _no_array(*arguments: Any) -> Any:
    raise _Foreign("an array that is made without its values")


_ALLOWED: dict[str, Callable[..., Any]] = {
    "multiarray._reconstruct": lambda *_: _Array(),
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _array,
    "numpy.ndarray": _no_array,
    "numpy.dtype": _Dtype,
    "__builtin__.bytes": _no_bytes,
}


class _Plain(pickle.Unpickler):
    """Knows the names of _ALLOWED, and the function by which older pickles spell bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self._left = len(data)  # characters that may become bytes: each text of the file once

    def _encoded(self, text: Any, coding: Any) -> bytes:
        if coding != "latin1" or not isinstance(text, str):
            raise _Foreign("a text in another coding")
        self._left -= len(text)
        if self._left < 0:
            raise ValueError("it repeats its values")
        return text.encode("latin1")

    def find_class(self, module: str, name: str) -> Any:
        for home in ("numpy.core.", "numpy._core."):  # before and since numpy 2
            module = module.removeprefix(home)
        full = f"{module}.{name}"
        make = self._encoded if full == "_codecs.encode" else _ALLOWED.get(full)
        if make is None:
            raise _Foreign(full[:60])
        return _Named(make)


def _resolved(found: Any) -> Any:
    """The arrays themselves for those that stood for them, one level deep."""
    if isinstance(found, (tuple, list)):
        return type(found)(_one(item) for item in found)
    if isinstance(found, dict):
        return {key: _one(item) for key, item in found.items()}
    return _one(found)


def _one(item: Any) -> Any:
    if isinstance(item, _Array):
        if item.value is None:
            raise ValueError("an array has no values")
        return item.value
    if isinstance(item, (_Dtype, _Named)):
        raise _Foreign("a type")
    return item
