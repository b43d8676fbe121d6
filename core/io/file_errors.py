"""What the operating system says about a file, turned into one sentence."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import AppError, InputError, ResourceError


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the operating system raises while an image file is read into one sentence about `path`."""
    try:
        yield
    except AppError:
        raise
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist.", "Check the name and the folder.", path) from exc
    except IsADirectoryError as exc:
        raise InputError(f"{path} is a folder, not an image file.", "Choose a file.", path) from exc
    except PermissionError as exc:
        raise InputError(f"{path} may not be read.", "Check its permissions.", path) from exc
    except MemoryError as exc:
        raise ResourceError(f"{path} does not fit into memory.", "Close other programs.") from exc
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise InputError(f"{path} is a link that leads back to itself.", "Choose the file itself.", path) from exc
        if exc.errno == errno.ENAMETOOLONG:
            raise InputError(f"The name {path.name[:80]}... is too long.", "Choose a shorter one.", path) from exc
        why = (exc.strerror or str(exc)).rstrip(".")
        raise InputError(
            f"{path} could not be read: {why}.", "Is its disk connected? Otherwise copy it again.", path
        ) from exc
    except EOFError as exc:
        raise InputError(f"{path} is damaged: it ended early.", "Copy it again from its source.", path) from exc
