"""`doctor`: what this machine has, what is missing, and the command that mends it.

What headless jobs need can fail; everything about the window only warns. Whatever could crash or is heavy
(torch, OpenGL, system libraries) is asked in child processes: the window may call `report` from a thread.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

import core
from core.errors import ResourceError
from core.jobs import rundir

ROOT = Path(__file__).resolve().parents[1]
CHILD_TIMEOUT_S = 20.0
WINDOW_PACKAGES = ("pyside6-essentials", "pyqtgraph", "pyopengl")
# shared library of Linux -> Debian package: what Qt's X11 plug-in and the OpenGL viewer load
LIBRARIES = {
    "libglib-2.0.so.0": "libglib2.0-0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libOpenGL.so.0": "libopengl0",
}
TORCH_CODE = """
import json, torch
n = torch.cuda.device_count() if torch.cuda.is_available() else 0
props = [torch.cuda.get_device_properties(i) for i in range(n)]
devices = [f"{p.name}, {p.total_memory / 2**30:.0f} GiB" for p in props]
print(json.dumps({"version": torch.__version__, "built": torch.version.cuda,
                  "threads": torch.get_num_threads(), "devices": devices}))
"""
LIBRARIES_CODE = """
import ctypes, json, sys
missing = []
for name in sys.argv[1:]:
    try:
        ctypes.CDLL(name)
    except OSError:
        missing.append(name)
print(json.dumps({"missing": missing}))
"""

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One line of the report. `fix` is a command or a sentence, empty when nothing is to be done."""

    name: str
    status: Status
    detail: str
    fix: str = ""


def report() -> list[Check]:
    """All checks. Takes seconds (child processes): not for the window's own thread."""
    children = {"torch": _child("-c", TORCH_CODE)}
    if sys.platform == "linux":
        children["libraries"] = _child("-I", "-S", "-c", LIBRARIES_CODE, *LIBRARIES)
    display = has_display()
    if display and (ROOT / "app" / "viewer" / "gl_probe.py").exists():
        children["gl"] = _child("-m", "app.viewer.gl_probe")
    checks = [*_versions(), *_packages(), _processor(), _memory(), _disk(rundir.runs_root())]
    answers = {name: _answer(child) for name, child in children.items()}
    checks += _torch(answers["torch"])
    if "libraries" in answers:
        checks.append(_libraries(answers["libraries"].get("missing", [])))
    checks.append(_display(display))
    if "gl" in answers:
        checks.append(_opengl(answers["gl"]))
    return checks


def main() -> int:
    """Print the report. 0 when jobs can run here, otherwise 4; a machine without a display is no failure."""
    checks = report()
    width = max(len(c.name) for c in checks)
    for check in checks:
        print(f"{check.status:4}  {check.name:{width}}  {check.detail}")
        if check.fix:
            print(f"      {'':{width}}  -> {check.fix}")
    failed = [c.name for c in checks if c.status == "fail"]
    if failed:
        print(f"Jobs cannot run here yet: {', '.join(failed)}.")
        return ResourceError.exit_code
    print("Jobs can run here.")
    return 0


# --- questions to child processes ---


def _child(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _answer(child: subprocess.Popen[str]) -> dict:
    """The last line of JSON a child printed, or `{"error": ...}`."""
    try:
        out, err = child.communicate(timeout=CHILD_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return {"error": f"no answer within {CHILD_TIMEOUT_S:.0f} s"}
    for line in reversed(out.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    last = err.strip().splitlines()[-1:] or [f"ended with code {child.returncode}"]
    return {"error": last[0][:200]}


# --- the checks ---


def _versions() -> list[Check]:
    python = Check("python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    return [Check("vitreous", "ok", core.__version__), python]


def _packages() -> list[Check]:
    """Every declared package: present, and within the declared range."""
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except OSError:
        return [Check("packages", "warn", "pyproject.toml is missing beside main.py", "Take a whole checkout.")]
    found, bad, status = [], [], "ok"
    for requirement in project["dependencies"]:
        name, ranges = re.split(r"(?=[<>=!~])", requirement, maxsplit=1)
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = ""
        if version and all(_within(version, bound) for bound in ranges.split(",")):
            found.append(f"{name} {version}")
            continue
        bad.append(f'"{requirement}"')
        needed = name.lower() not in WINDOW_PACKAGES
        status = "fail" if needed or status == "fail" else "warn"
    if bad:
        command = f"{_quoted(sys.executable)} -m pip install -c constraints.txt {' '.join(bad)}"
        return [Check("packages", status, f"missing or of another version: {', '.join(bad)}", command)]
    return [Check("packages", "ok", ", ".join(found))]


def _within(version: str, bound: str) -> bool:
    """Compare by numbers; enough for the >= and < of our own list."""
    operator, limit = bound[: 2 if bound[1] == "=" else 1], bound.lstrip("<>=!~ ")
    left, right = ([int(n) for n in re.findall(r"\d+", text.split("+")[0])] for text in (version, limit))
    return left >= right if operator == ">=" else left < right


def _processor() -> Check:
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    try:
        usable = len(psutil.Process().cpu_affinity())  # a batch system or a container may allow fewer
    except (AttributeError, psutil.Error):
        usable = psutil.cpu_count() or cores
    threads = os.environ.get("OMP_NUM_THREADS")
    detail = f"{cores} cores, {usable} usable here" + (f", OMP_NUM_THREADS={threads}" if threads else "")
    return Check("processor", "ok", detail)


def _memory() -> Check:
    memory = psutil.virtual_memory()
    detail = f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} GiB free"
    if memory.available < 3 * 2**30:
        return Check("memory", "warn", detail, "Close other programs: an 8K micrograph needs up to 3 GiB.")
    return Check("memory", "ok", detail)


def _disk(folder: Path) -> Check:
    """Free space where run folders go, and whether they may be made there."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    other = "Set VITREOUS_RUNS to another folder, or give --runs."
    if not (place.is_dir() and os.access(place, os.W_OK)):
        return Check("run folders", "fail", f"{folder} cannot be written", other)
    free = shutil.disk_usage(place).free / 1e9
    detail = f"{folder}, {free:.0f} GB free"
    if free < 1:
        return Check("run folders", "fail", detail, other)
    return Check("run folders", "warn", detail, other) if free < 10 else Check("run folders", "ok", detail)


def _torch(answer: dict) -> list[Check]:
    if "version" not in answer:
        fix = f"{_quoted(sys.executable)} -m pip install --force-reinstall -c constraints.txt torch"
        return [Check("torch", "fail", f"cannot be imported: {answer.get('error', '')}", fix)]
    built = f"CUDA {answer['built']}" if answer["built"] else "CPU only"
    torch = Check("torch", "ok", f"{answer['version']} ({built}), {answer['threads']} threads")
    devices = answer["devices"]
    if devices:
        gpu = Check("GPU", "ok", "; ".join(f"cuda:{i} {d}" for i, d in enumerate(devices)))
    elif shutil.which("nvidia-smi"):
        fix = "Install a CUDA build of torch: see 'GPU' in docs/install.md"
        gpu = Check("GPU", "warn", "an NVIDIA driver is here, but torch cannot use it", fix)
    else:
        gpu = Check("GPU", "ok", "none; jobs use the processor")
    return [torch, gpu]


def _libraries(missing: list[str]) -> Check:
    if not missing:
        return Check("libraries", "ok", "all that the window needs")
    return Check("libraries", "warn", f"the window lacks {', '.join(missing)}", install_command(missing))


def install_command(missing: list[str]) -> str:
    """The line that installs shared libraries on this distribution."""
    sudo = "" if psutil.Process().username() == "root" else "sudo "
    capabilities = " ".join(f"'{name}()(64bit)'" for name in missing)
    if shutil.which("apt-get"):
        return f"{sudo}apt-get install -y {' '.join(LIBRARIES[name] for name in missing)}"
    if shutil.which("dnf"):
        return f"{sudo}dnf install -y {capabilities}"
    if shutil.which("zypper"):
        return f"{sudo}zypper install -y --capability {capabilities}"
    return f"Install the packages of your system that hold {' '.join(missing)}"


def has_display() -> bool:
    """Can a window be opened? Windows and macOS always can."""
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _display(display: bool) -> Check:
    remote = "SSH_CONNECTION" in os.environ
    if display:
        where = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY") or "of this computer"
        return Check("display", "ok", f"{where}{' (remote)' if remote else ''}")
    fix = "Connect with ssh -X, or work with the command line: python main.py --help"
    return Check("display", "warn", "none: jobs run, the window cannot open", fix)


def _opengl(answer: dict) -> Check:
    if answer.get("ok") and not answer.get("software"):
        return Check("OpenGL", "ok", f"{answer.get('renderer')}, {answer.get('version')}")
    if answer.get("ok"):
        return Check("OpenGL", "ok", f"software only ({answer.get('renderer')}): images are drawn by the processor")
    reason = answer.get("reason") or answer.get("error") or "no answer"
    return Check("OpenGL", "warn", f"not usable: {reason}; images are drawn by the processor")


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path
