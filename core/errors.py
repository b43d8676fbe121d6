"""The errors a user can act on, and the exit code of each.

Anything outside this family is a bug and ends with a traceback (exit code 1). Messages are one sentence
that names the file or the field; hints say what to do next.
"""

from __future__ import annotations

from pathlib import Path


class AppError(Exception):
    """A problem the user can solve: shown as a message with a hint, never as a traceback."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ParamError(AppError):
    """A parameter has a bad value. `fields` names the parameters, so that a form can mark their rows."""

    exit_code = 2

    def __init__(self, message: str, hint: str = "", fields: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.fields = fields


class InputError(AppError):
    """An input file is missing, unreadable, of the wrong format, or inconsistent with another."""

    exit_code = 3

    def __init__(self, message: str, hint: str = "", path: Path | str | None = None) -> None:
        super().__init__(message, hint)
        self.path = path


class ResourceError(AppError):
    """The machine lacks something: a GPU, memory, disk space, a permission."""

    exit_code = 4


class LaunchError(AppError):
    """A job could not be started as a process."""

    exit_code = 5


class JobStopped(Exception):
    """The user asked a job to stop. A decision, not an error."""

    exit_code = 130
