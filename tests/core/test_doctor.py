"""The doctor tells what is missing, and with which command it comes."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core import doctor

ROOT = Path(__file__).resolve().parents[2]


def test_a_machine_that_passes_its_tests_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    assert doctor.main() == 0
    assert time.monotonic() - began < 10
    text = capsys.readouterr().out
    for word in ("vitreous", "python", "numpy", "processor", "memory", "run folders", "torch", "display"):
        assert word in text
    assert text.splitlines()[-1] == "Jobs can run here."


def test_asking_does_not_load_torch_or_a_toolkit() -> None:
    heavy = ("torch", "PySide6", "OpenGL", "scipy")
    code = (
        "import sys\nfrom core import doctor\ndoctor.report()\n"
        f"print('LOADED', *[m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["LOADED"]


def test_what_fails_gives_exit_code_4_and_names_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [doctor.Check("python", "ok", "3"), doctor.Check("torch", "fail", "broken", "pip install torch")]
    monkeypatch.setattr(doctor, "report", lambda: checks)
    assert doctor.main() == 4
    text = capsys.readouterr().out
    assert "-> pip install torch" in text
    assert text.splitlines()[-1] == "Jobs cannot run here yet: torch."


def test_warnings_do_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "report", lambda: [doctor.Check("display", "warn", "none")])
    assert doctor.main() == 0


@pytest.mark.parametrize(("package", "status"), [("mrcfile", "fail"), ("pyqtgraph", "warn")])
def test_a_missing_package_comes_with_its_command(package: str, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    (check,) = doctor._packages()
    assert check.status == status
    assert f'pip install -c constraints.txt "{package}>=' in check.fix


def test_an_old_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda n: "1.26.4" if n == "numpy" else real(n))
    (check,) = doctor._packages()
    assert check.status == "fail"
    assert '"numpy>=2.1,<3"' in check.detail


def test_run_folders_that_cannot_be_made_fail(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert doctor._disk(tmp_path / "file" / "runs").status == "fail"
    assert doctor._disk(tmp_path / "new" / "runs").status in ("ok", "warn")


def test_missing_libraries_come_with_the_packages_of_the_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: name if name == "apt-get" else None)
    assert "apt-get install -y libxcb-cursor0 libegl1" in doctor.install_command(["libxcb-cursor.so.0", "libEGL.so.1"])
    monkeypatch.setattr(doctor.shutil, "which", lambda name: name if name == "dnf" else None)
    assert "dnf install -y 'libEGL.so.1()(64bit)'" in doctor.install_command(["libEGL.so.1"])
    listed = (ROOT / "resources" / "setup" / "apt-packages.txt").read_text()
    assert all(package in listed for package in doctor.LIBRARIES.values())


def test_a_torch_that_cannot_be_imported_fails_and_a_silent_child_is_an_answer() -> None:
    checks = doctor._torch(doctor._answer(doctor._child("-c", "raise ImportError('libcudart is missing')")))
    assert (checks[0].name, checks[0].status) == ("torch", "fail")
    assert "libcudart" in checks[0].detail
    assert doctor._answer(doctor._child("-c", "import os; os._exit(7)")) == {"error": "ended with code 7"}


def test_a_machine_without_display_only_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform == "linux":
        assert not doctor.has_display()
    assert doctor._display(False).status == "warn"


def test_an_opengl_that_fails_only_warns() -> None:
    assert doctor._opengl({"ok": False, "reason": "crashed"}).status == "warn"
    assert doctor._opengl({"ok": True, "software": True, "renderer": "llvmpipe"}).status == "ok"
