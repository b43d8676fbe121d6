"""Where the files are that a STAR file names. They are opened for reading only; nothing here opens them."""

from __future__ import annotations

from pathlib import Path

PROJECT_MARK = "default_pipeline.star"  # lies at the root of a RELION project, which its paths start from


def resolve(path_in_star: str, star_path: Path) -> Path:
    """The file that a STAR file means: an absolute path itself, a relative one in the first folder that has it.

    The folders are the STAR file's own and those above it. Where none has it, the answer is its place in the
    RELION project (the nearest folder with default_pipeline.star), or else beside the STAR file.
    """
    named = Path(path_in_star)
    if named.is_absolute():
        return named
    if "\\" in path_in_star and not named.exists():
        named = Path(path_in_star.replace("\\", "/"))
    folders = [*Path(star_path).absolute().parents]
    for folder in folders:
        if _exists(folder / named):
            return folder / named
    root = next((folder for folder in folders if _exists(folder / PROJECT_MARK)), folders[0])
    return root / named


def split_image(name: str) -> tuple[int, str]:
    """`000012@stack.mrcs` -> (11, "stack.mrcs"): the image counts from 0; a name without @ is the only image, 0.

    Raises ValueError where no number from 1 on stands before the @.
    """
    number, at, path = name.partition("@")
    if not at:
        return 0, name
    if not (number.isascii() and number.isdigit() and int(number) > 0 and path):
        raise ValueError(name)
    return int(number) - 1, path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a character no file can have
        return False
