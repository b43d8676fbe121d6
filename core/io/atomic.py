"""Writing files so that a reader never meets half of one.

Everything is written to a temporary sibling (`NAME.<process>-<number>.partial`) and renamed when complete.
What the files contain is the business of the modules that call this one.
"""

from __future__ import annotations

import errno
import functools
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from core.errors import ResourceError

PARTIAL_SUFFIX = ".partial"

# Plain set, no lock: remove_partials() may run in a signal handler, where taking a lock could wait for ever.
_live: set[Path] = set()
_counter = itertools.count()

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def is_full(exc: BaseException) -> bool:
    """Whether an error means a full disk, also where a library hides the error number."""
    if isinstance(exc, OSError) and exc.errno is not None:
        return exc.errno in _FULL
    text = str(exc)
    # numpy's tofile: "N requested and M written"; safetensors: "... StorageFull ... No space left on device"
    return ("requested and" in text and "written" in text) or any(
        sign in text for sign in ("No space left", "StorageFull", "Disk quota exceeded")
    )


def _full_error(final: Path) -> ResourceError:
    return ResourceError(
        f"{final.name} could not be written: the disk is full.", f"Free space for {final.parent} and run it again."
    )


def _resource_error(exc: OSError, final: Path) -> ResourceError:
    """Translate an operating-system refusal into a sentence with the file's name and a next step."""
    if is_full(exc):
        return _full_error(final)
    if exc.errno in _DENIED or isinstance(exc, PermissionError):
        return ResourceError(
            f"{final.name} could not be written: {final.parent} is read-only, or it is open elsewhere.",
            "Choose another output folder, or close the other program.",
        )
    reason = exc.strerror or str(exc)
    return ResourceError(f"{final.name} could not be written: {reason}.", f"Check the folder {final.parent}.")


def _is_about(exc: OSError, paths: tuple[Path, ...]) -> bool:
    """Whether `exc` concerns our own output (write errors carry no file name at all)."""
    raw = (exc.filename, exc.filename2)
    names = [Path(os.fsdecode(name)) for name in raw if isinstance(name, (str, bytes))]
    if not names:
        return is_full(exc) or exc.errno in _DENIED | {errno.EIO}
    return any(name in paths for name in names)


@contextmanager
def atomic_path(final: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `final`; rename it onto `final` on success, remove it on any exception.

    Parent folders are made. A full disk or a missing permission becomes `ResourceError`.
    """
    final = Path(final)
    partial = final.with_name(f"{final.name}.{os.getpid()}-{next(_counter)}{PARTIAL_SUFFIX}")
    _live.add(partial)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _open_to_others(partial)
        partial.replace(final)
    except OSError as exc:
        if _is_about(exc, (final, partial, final.parent, *final.parents)):
            raise _resource_error(exc, final) from exc
        raise
    except Exception as exc:
        if type(exc).__name__ == "SafetensorError":  # its writer reports the operating system only in words
            if is_full(exc):
                raise _full_error(final) from exc
            raise ResourceError(f"{final.name} could not be written: {exc}.", f"Check {final.parent}.") from exc
        raise
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        _live.discard(partial)


def _open_to_others(path: Path) -> None:
    """Give a file the permissions of any new file: some writers make theirs readable for its owner only."""
    if os.name != "posix" or not path.is_file():
        return
    with suppress(OSError):
        path.chmod(0o666 & ~_umask())


@functools.lru_cache(maxsize=1)
def _umask() -> int:
    """Permissions that new files lack. It can only be read by setting it: once is enough."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def remove_partials() -> None:
    """Unlink every temporary file that is being written: for a job which is forced to stop now."""
    for partial in list(_live):
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        _live.discard(partial)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text with `\\n` line ends, all or nothing."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)


def write_json(path: Path | str, obj: Any) -> None:
    """Write `obj` as indented JSON, all or nothing. NaN and infinities are refused."""
    write_text(path, json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def remove(path: Path | str) -> None:
    """Delete a file, if it is there; what the system refuses becomes `ResourceError`."""
    path = Path(path)
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        reason = "it is read-only" if exc.errno in _DENIED else exc.strerror or str(exc)
        raise ResourceError(f"{path.name} could not be removed: {reason}.", f"Check the folder {path.parent}.") from exc
