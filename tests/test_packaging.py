"""What a stranger installs: one list of packages told in three files, and a set-up that runs twice."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ON_CONDA = {"torch": "pytorch"}  # name on PyPI -> name on conda-forge
LINE = re.compile(r"^\s*-\s+([A-Za-z0-9_.-]+)\s*([<>=!~][^#\s]*)?\s*(?:#.*)?$")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def split(requirement: str) -> tuple[str, str]:
    found = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?\s*(.*)", requirement)
    assert found, requirement
    return canonical(found[1]), ",".join(sorted(found[2].replace(" ", "").split(",")))


def project() -> dict[str, str]:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return dict(split(r) for r in [*data["dependencies"], *data["optional-dependencies"]["dev"]])


def conda() -> dict[str, str]:
    back = {canonical(v): k for k, v in ON_CONDA.items()}
    found = {}
    for line in (ROOT / "environment.yaml").read_text().splitlines():
        match = LINE.match(line)
        if match and match[1] not in ("conda-forge", "pip"):
            name, ranges = split(match[1] + (match[2] or ""))
            found[back.get(name, name)] = ranges
    return found


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonical(n): v for n, v in (line.split("==") for line in lines if line and line[0] != "#")}


def test_conda_and_pip_users_get_the_same_packages() -> None:
    given = conda()
    assert given.pop("python").startswith("<3.14")
    assert given == project()


def test_every_package_has_a_tested_version_inside_its_range() -> None:
    versions = constraints()
    for name, ranges in project().items():
        assert name in versions, f"{name} is not in constraints.txt"
        for bound in filter(None, ranges.split(",")):
            assert holds(versions[name], bound), f"{name} {versions[name]} is outside {ranges}"


def holds(version: str, bound: str) -> bool:
    found = re.fullmatch(r"(>=|<)(.+)", bound)
    assert found, bound
    left, right = (tuple(int(n) for n in re.findall(r"\d+", text)) for text in (version, found[2]))
    return left >= right if found[1] == ">=" else left < right


def test_torch_is_pinned_and_installed_as_pinned() -> None:
    assert constraints()["torch"] == "2.13.0"
    assert importlib.metadata.version("torch").split("+")[0].startswith("2.")


def test_the_product_imports_only_what_it_declares() -> None:
    import ast

    modules = {
        "pyside6-essentials": ["PySide6", "shiboken6"],
        "pyopengl": ["OpenGL"],
        "tomli-w": ["tomli_w"],
        "torch-fourier-slice": ["torch_fourier_slice"],
        "scikit-image": ["skimage"],
        "pillow": ["PIL"],
    }
    runtime = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [split(r)[0] for r in runtime]
    allowed = {m for n in names for m in modules.get(n, [n])} | {
        "app",
        "core",
        "workers",
        "pydantic_core",
        "pandas",
    }
    for path in [p for room in ("app", "core", "workers") for p in (ROOT / room).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found = []
            if isinstance(node, ast.Import):
                found = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                found = [node.module]
            strangers = {f.split(".")[0] for f in found} - allowed - sys.stdlib_module_names
            assert not strangers, f"{path.relative_to(ROOT)} imports {strangers}"


# --- the set-up script ---


def load_install():
    spec = importlib.util.spec_from_file_location("install", ROOT / "resources" / "setup" / "install.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_set_up_needs_only_the_standard_library() -> None:
    code = "import runpy; runpy.run_path('resources/setup/install.py', run_name='imported')"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=ROOT, check=True)


def test_missing_libraries_are_told_as_one_line_to_paste_when_not_root(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install = load_install()
    monkeypatch.setattr(install, "missing_apt_packages", lambda: ["libxcb-cursor0", "xvfb"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    install.install_system_libraries()
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == "sudo apt-get update && sudo apt-get install -y libxcb-cursor0 xvfb"


def test_either_name_of_a_renamed_library_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    install = load_install()
    monkeypatch.setattr(install.shutil, "which", lambda name: f"/usr/bin/{name}")
    names = [alternatives[-1] for alternatives in install.apt_alternatives()]
    answer = "".join(f"{n} installed\n" for n in names if n != "xvfb") + "xvfb not-installed\n"
    monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, stdout=answer))
    assert "libglib2.0-0t64" in names
    assert install.missing_apt_packages() == ["xvfb"]


def test_a_ready_environment_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install = load_install()
    calls = []
    monkeypatch.setattr(install, "STAMP", tmp_path / "ready.txt")
    monkeypatch.setattr(install, "venv_works", lambda: True)
    monkeypatch.setattr(install, "install_system_libraries", lambda: None)
    monkeypatch.setattr(install, "install_packages", lambda: calls.append("pip") or 0)
    monkeypatch.setattr(sys, "argv", ["install.py"])
    assert install.main() == 0
    assert install.main() == 0
    assert calls == ["pip"], "the second set-up must not touch the network"
    monkeypatch.setattr(install, "requirements", lambda: ["numpy>=99"])
    assert install.main() == 0
    assert calls == ["pip", "pip"], "a changed list of packages must be installed"


def test_ci_runs_make_test_only() -> None:
    text = (ROOT / ".ci" / "run").read_text()
    assert text.startswith("#!/usr/bin/env bash\nset -euo pipefail\n")
    assert text.rstrip().endswith("make test")
    assert os.access(ROOT / ".ci" / "run", os.X_OK) or sys.platform == "win32"
