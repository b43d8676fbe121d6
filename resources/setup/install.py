"""Prepare this checkout: system libraries, `.venv`, Python packages. For `make setup`.

Standard library only, because it runs before anything is installed. What is needed stands elsewhere, once:
pyproject.toml (packages), constraints.txt (tested versions), apt-packages.txt (Debian and Ubuntu libraries).
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "ready.txt"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def say(text: str) -> None:
    """One line for the user."""
    print(f"setup: {text}", flush=True)


# --- system libraries ---


def apt_alternatives() -> list[list[str]]:
    """Wanted packages; each entry holds the names it has in different releases."""
    lines = (HERE / "apt-packages.txt").read_text(encoding="utf-8").splitlines()
    wanted = [[n.strip() for n in line.split("|")] for line in lines if line.strip() and line[0] != "#"]
    if importlib.util.find_spec("ensurepip") is None:  # Debian keeps venv apart from Python
        wanted.append([f"python3.{sys.version_info.minor}-venv"])
    return wanted


def missing_apt_packages() -> list[str]:
    """Names that dpkg does not know as installed. Empty where there is no dpkg."""
    if shutil.which("dpkg-query") is None or shutil.which("apt-get") is None:
        return []
    wanted = apt_alternatives()
    names = [name for alternatives in wanted for name in alternatives]
    answer = subprocess.run(
        ["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" installed")}
    return [alternatives[0] for alternatives in wanted if not installed.intersection(alternatives)]


def install_system_libraries() -> None:
    """Install what is missing when root; otherwise print one line to paste. Never ends the set-up."""
    missing = missing_apt_packages()
    if not missing:
        return
    if os.geteuid() == 0:
        say(f"installing {len(missing)} system packages")
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        done = subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False).returncode == 0
        done = subprocess.run(install, env=environment, check=False).returncode == 0 and done
        missing = missing_apt_packages()
        if not missing:
            return
        say("apt-get could not install everything; going on without.")
    prefix = "" if os.geteuid() == 0 else "sudo "
    say("some system libraries are missing; the window or its tests may need them. To install them, paste:")
    print(f"{prefix}apt-get update && {prefix}apt-get install -y {' '.join(missing)}", flush=True)


# --- Python packages ---


def requirements() -> list[str]:
    """The dependencies of pyproject.toml with those for development."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["dev"]]


def wanted_state() -> str:
    """A digest of everything that decides what the environment holds."""
    text = "\n".join([sys.version, *requirements(), (ROOT / "constraints.txt").read_text(encoding="utf-8")])
    return hashlib.sha256(text.encode()).hexdigest()


def venv_python() -> Path:
    """The interpreter inside .venv."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def venv_works() -> bool:
    """Is there an interpreter with pip? An interrupted set-up leaves half of one."""
    if not venv_python().exists():
        return False
    command = [str(venv_python()), "-c", "import pip, sys; sys.exit(sys.version_info < (3, 11))"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def make_venv() -> bool:
    """Make .venv unless it works already."""
    if venv_works():
        return True
    say(f"making .venv with Python {sys.version.split()[0]}")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False)
    return made.returncode == 0 and venv_works()


def torch_index() -> list[str]:
    """Without an NVIDIA card take PyTorch's CPU build: the default one on Linux brings gigabytes of CUDA."""
    if sys.platform != "linux" or shutil.which("nvidia-smi") or os.environ.get("VITREOUS_TORCH") == "default":
        return []
    try:
        with urllib.request.urlopen(f"{TORCH_CPU_INDEX}/torch/", timeout=10):
            return ["--extra-index-url", TORCH_CPU_INDEX]
    except (OSError, ValueError):  # offline, or a mirror only: pip's own configuration decides
        return []


def install_packages() -> int:
    """Install into .venv, keeping the tested versions. The project itself is never installed."""
    say("installing Python packages (the first time this downloads about 500 MB)")
    command = [str(venv_python()), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    command += [*torch_index(), "-c", str(ROOT / "constraints.txt"), *requirements()]
    return subprocess.run(command, check=False).returncode


def main() -> int:
    """Do what is missing; 0 when the environment is ready."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-system", action="store_true", help="leave system packages alone")
    if not parser.parse_args().no_system:
        install_system_libraries()
    if STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted_state() and venv_works():
        return 0
    if not make_venv():
        say(f"python{sys.version_info.major}.{sys.version_info.minor} cannot make virtual environments.")
        say(f"On Debian and Ubuntu: sudo apt-get install -y python3.{sys.version_info.minor}-venv")
        return 1
    if install_packages() != 0:
        say("pip could not install the packages: see the lines above, then run `make setup` again.")
        return 1
    STAMP.write_text(wanted_state(), encoding="utf-8")
    say("ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
