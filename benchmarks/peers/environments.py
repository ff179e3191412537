"""Environments of their own for peers, made once and kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from peers.measure import PeerError
from peers.work import System

DONE = "installed"  # written last
LONGEST = 3600  # seconds an installation may take


def default_folder() -> Path:
    """Where they are kept unless told otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regard-peers"


def python_of(system: System, folder: Path) -> Path:
    """The interpreter that a system runs in: this one, or that of its environment in `folder`. Raises PeerError.

    An environment is made where there is none yet, with the PyTorch that regard has here.
    """
    if not system.installs:
        return Path(sys.executable)
    torch = [(f"torch=={version('torch').partition('+')[0]}",)] if system.torch else []
    installs = [*torch, *system.installs]
    about = json.dumps([sys.version, installs, system.startup])
    place = folder / f"{system.name.lower().replace(' ', '-')}-{hashlib.sha256(about.encode()).hexdigest()[:8]}"
    python = place / "bin" / "python"
    if (place / DONE).exists():
        return python
    print(f"{system.name}: installing it into {place}", file=sys.stderr)
    shutil.rmtree(place, ignore_errors=True)  # half made
    folder.mkdir(parents=True, exist_ok=True)
    _call([sys.executable, "-m", "venv", str(place)])
    for arguments in installs:
        _call([str(python), "-m", "pip", "install", "--disable-pip-version-check", *arguments])
    if system.startup:
        found = _call([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
        (Path(found.strip()) / "sitecustomize.py").write_text(system.startup, encoding="utf-8")
    (place / DONE).touch()
    return python


def _call(command: list[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LONGEST)
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerError(f"it cannot be installed: {error}") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["pip said nothing"]
        errors = [line for line in lines if line.startswith("ERROR")]
        raise PeerError(f"it cannot be installed: {(errors or lines)[-1]}")
    return done.stdout
