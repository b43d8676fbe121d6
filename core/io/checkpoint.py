"""Weights of a network from a file of unknown origin: .safetensors, or a PyTorch file (.pth, .pt), told by content.

No code of a file is run and no allocation is larger than the file can fill. A PyTorch file is a zip archive with a
pickle in it; the pickle is gone through with an unpickler that knows a handful of names, none of which does anything,
and only then read by torch with weights_only. Which network the weights belong to is the business of
core/denoising/fit_weights.py.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from core.errors import AppError, InputError

MOST_BYTES = 4 << 30
MOST_HEADER = 8 << 20  # JSON of a safetensors file
MOST_PICKLE = 1 << 18  # a state dict of 1 200 tensors; two million brackets would take seconds
MOST_MEMBERS = 50_000
WRAPPERS = ("ema", "ema_state_dict", "state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
PREFIXES = ("module.", "_orig_mod.")  # of torch's DataParallel and compile
_AGAIN = "Copy it again from its source."
_STATE = "Save its state dict alone: torch.save(net.state_dict(), ...)."
_ITEM_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """Tensors by name, on the CPU: decimal numbers of any length as float32, others as they are.

    `metadata` are the texts of a safetensors file; None of a PyTorch file, which has none.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str] | None


def read_weights(path: Path) -> Weights:
    """Read a weights file. `InputError` for what is damaged, cut short, not weights, not finite, or asks for code."""
    path = Path(path)
    with _explained(path), path.open("rb") as stream:
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        start = stream.read(16)
        if size > MOST_BYTES:
            raise InputError(f"{path} is too large for a denoiser ({size / 2**30:.0f} GiB).", "Choose its model.", path)
        if start[:4] == b"PK\3\4":
            weights = Weights(_read_torch(path, stream, size), None)
        else:
            _check_start(path, start, size)
            weights = _read_safetensors(path)
    tensors = {name: t.to(torch.float32) if t.is_floating_point() else t for name, t in weights.tensors.items()}
    bad = next((name for name, t in tensors.items() if t.is_floating_point() and not bool(t.isfinite().all())), None)
    if bad is not None:
        raise InputError(
            f"{path} holds weights that are not numbers (NaN or infinite, in {shown(bad)}).",
            "That training failed: use an earlier one, or train again.",
            path,
        )
    return Weights(_without_prefix(tensors), weights.metadata)


def shown(name: object) -> str:
    """A name from a file as it may stand in a sentence: short, on one line."""
    text = "".join(c if c.isprintable() else "?" for c in str(name)[:61])
    return text if len(text) <= 60 else f"{text[:57]}..."


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except AppError:
        raise
    except PermissionError:
        raise InputError(f"{path} may not be read.", "Check its permissions.", path) from None
    except Exception as err:  # the readers raise whatever they trip over; their words are for programmers
        what = str(getattr(err, "strerror", None) or (err if isinstance(err, ValueError) else type(err).__name__))
        raise InputError(f"{path} cannot be read as the weights of a network ({shown(what)}).", _AGAIN, path) from None


def _check_start(path: Path, start: bytes, size: int) -> None:
    """What is no safetensors file, in words; and whether its header can be there."""
    if not size:
        raise InputError(f"{path} is empty (0 bytes).", "The copy or the download did not finish.", path)
    if start[:1] == b"\x80" and start[1:2] <= b"\5":
        raise InputError(
            f"{path} is a pickle of an old PyTorch: to read it, the program would have to run code; "
            "not from a trusted source.",
            f"Where it was made, save it again with a newer PyTorch. {_STATE}",
            path,
        )
    length = int.from_bytes(start[:8], "little")
    if size < 10 or start[8:9] != b"{" or length < 2:
        text = start.lstrip()[:1] in (b"<", b"{", b"[", b"#") or (start.isascii() and b"\0" not in start)
        what = "looks like text or a web page" if text else "is neither a PyTorch file nor safetensors"
        raise InputError(f"{path} {what}, not the weights of a network.", "Choose a .safetensors or .pth file.", path)
    if length > MOST_HEADER or 8 + length > size:
        raise InputError(
            f"{path} is damaged or cut short: its header claims {length} bytes and the file has {size}.", _AGAIN, path
        )


def _read_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as handle:
            names = list(handle.keys())
            return Weights({name: handle.get_tensor(name) for name in names}, dict(handle.metadata() or {}))
    except SafetensorError as err:
        reason = str(err).splitlines()[0] if str(err) else type(err).__name__
        raise InputError(f"{path} is a damaged or incomplete safetensors file ({reason}).", _AGAIN, path) from None


def _read_torch(path: Path, stream: BinaryIO, size: int) -> dict[str, Tensor]:
    """The state dict in a PyTorch archive. It is inspected first; torch reads the same open file afterwards."""
    _inspect(path, stream, size)
    stream.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = torch.load(stream, map_location="cpu", weights_only=True)
    state = _state_dict(loaded)
    if state is None:
        raise InputError(f"{path} is a PyTorch file without the weights of a network.", _STATE, path)
    return state


def _inspect(path: Path, stream: BinaryIO, size: int) -> None:
    """Refuse an archive that torch did not write so: compressed or doubled members, sizes that lie, names of code."""
    try:
        archive = zipfile.ZipFile(stream)
    except zipfile.BadZipFile:
        raise InputError(f"{path} is cut short: the end of its zip archive is missing.", _AGAIN, path) from None
    with archive:
        members = archive.infolist()
        names = {member.filename.casefold() for member in members}  # torch's reader takes A for a
        if any(name.endswith("/constants.pkl") for name in names):
            raise _needs_code(path, "TorchScript")
        stored = all(m.compress_type == zipfile.ZIP_STORED and m.file_size == m.compress_size for m in members)
        if len(members) > MOST_MEMBERS or len(names) != len(members) or not stored:
            raise InputError(f"{path} is a zip archive that PyTorch did not write.", "Choose a .pth file.", path)
        if sum(member.file_size for member in members) > size:
            raise InputError(f"{path} is damaged: it claims more content than it has bytes.", _AGAIN, path)
        pickles = [m for m in members if m.filename.count("/") == 1 and m.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise InputError(f"{path} is a zip archive, not a PyTorch file.", "Choose a .pth file.", path)
        if pickles[0].file_size > MOST_PICKLE:
            raise InputError(f"{path} lists more than the weights of a network.", _STATE, path)
        content = archive.read(pickles[0])
        folder = pickles[0].filename[: -len("data.pkl")]
    records = {m.filename[len(folder) :]: m.file_size for m in members if m.filename.startswith(folder)}
    try:
        _check_opcodes(content)
        _Inspector(content, records, size).load()
    except _CodeAsked as err:
        raise _needs_code(path, shown(err)) from None


def _needs_code(path: Path, what: str) -> InputError:
    return InputError(
        f"{path} holds more than weights ({what}): to read it, the program would have to run code; "
        "not from a trusted source.",
        _STATE,
        path,
    )


class _CodeAsked(pickle.UnpicklingError):
    """A pickle names something that is no part of a state dict."""


def _check_opcodes(content: bytes) -> None:
    """The places of a pickle's memo may not be numbered beyond its length: Python would make room for all of them."""
    for opcode, argument, _ in pickletools.genops(content):
        if "PUT" in opcode.name and not 0 <= int(argument or 0) <= len(content):
            raise ValueError("a memo without bounds")


class _Inspector(pickle.Unpickler):
    """Goes through the pickle of a state dict without making anything; every size is held against the archive."""

    def __init__(self, content: bytes, records: dict[str, int], most: int) -> None:
        super().__init__(io.BytesIO(content))
        self._records, self._left = records, most

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name; `_CodeAsked` for any name that weights do not need."""
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
            ("torch", "Size"): tuple,
        }
        if module == "torch" and name in _ITEM_BYTES:
            return _ITEM_BYTES[name]
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return name
        if (module, name) not in known:
            raise _CodeAsked(f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> tuple[int, int]:
        """Bytes of one item and number of items of a storage; its member of the archive must have that size."""
        word, item, key, _, count = pid
        if word != "storage" or type(count) is not int or self._records.get(f"data/{key}") != item * count:
            raise ValueError("a storage that is not in the archive")
        return item, count

    def _tensor(self, storage: tuple[int, int], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any):
        """Check that a tensor lies inside its storage, and that all of them together are no more than the file."""
        item, count = storage
        if len(shape) != len(strides) or len(shape) > 8 or min(offset, 0, *shape, *strides) < 0:
            raise ValueError("a tensor of no shape")
        last = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
        self._left -= item * math.prod(shape)
        if self._left < 0 or (math.prod(shape) and last >= count):
            raise ValueError("a tensor beyond its storage")


def _state_dict(loaded: object, depth: int = 3) -> dict[str, Tensor] | None:
    """The tensors by name in what was loaded, also inside the usual wrappings; None when there are none."""
    if not isinstance(loaded, Mapping):
        return None
    for name in WRAPPERS if depth else ():
        inner = _state_dict(loaded.get(name), depth - 1)
        if inner:
            return inner
    tensors = {k: v.detach() for k, v in loaded.items() if isinstance(k, str) and isinstance(v, Tensor)}
    plain = all(t.layout is torch.strided and t.device.type == "cpu" and not t.is_quantized for t in tensors.values())
    return tensors if tensors and plain else None


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what wrapping a network puts before all of them."""
    for _ in PREFIXES:
        for prefix in PREFIXES:
            if tensors and all(name.startswith(prefix) for name in tensors):
                tensors = {name.removeprefix(prefix): t for name, t in tensors.items()}
    return tensors
