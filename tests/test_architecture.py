"""The rooms of the house: what may import what, how large a module may grow, what may not be called."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("app", "workers", "core")
MODULES = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))
MAX_LINES = 400  # most are below 300; a module that nears this wants to be two


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_layers_and_toolkits(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    found = {module.split(".")[0] for module in imports(parsed(path))}
    above = set(ROOMS[: ROOMS.index(room)])
    assert not found & (above | {"tests", "benchmarks", "main"}), f"{room} imports {found & above}"
    if room == "core":
        assert not found & {"PySide6", "shiboken6", "pyqtgraph", "OpenGL"}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_says_what_lives_in_it_and_stays_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name != "__init__.py":
        assert ast.get_docstring(parsed(path)), "a module begins with what lives here"
    assert text.count("\n") <= MAX_LINES


def narrows(node: ast.Assert) -> bool:
    """`assert x is not None` and `assert isinstance(x, T)` speak to the type checker: allowed."""
    text = ast.unparse(node.test)
    return text.endswith("is not None") or text.startswith("isinstance(")


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_bare_except_no_assert_on_data_no_posix_only_call(path: Path) -> None:
    posix_only = {"fork", "killpg", "setsid", "getpgid", "getuid", "geteuid", "mkfifo", "uname", "nice"}
    for node in ast.walk(parsed(path)):
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"bare except, line {node.lineno}"
        assert not isinstance(node, ast.Assert) or narrows(node), f"assert on data, line {node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in posix_only, f"os.{node.attr}, line {node.lineno}"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = {m.split(".")[0] for m in imports(ast.Module([node], []))}
            assert not modules & {"fcntl", "pwd", "grp", "resource", "termios"}


def test_the_window_module_loads_nothing_heavy() -> None:
    heavy = ("torch", "scipy", "pandas", "starfile", "pyqtgraph", "OpenGL")
    code = f"import sys, app.window; print('LOADED', *[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["LOADED"]


def test_nothing_of_this_checkout_is_installed() -> None:
    """The rooms are found beside main.py only: a package of such a name elsewhere would shadow them."""
    code = "import importlib.util as u; print([n for n in ('app', 'core', 'workers') if u.find_spec(n)])"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "[]"
