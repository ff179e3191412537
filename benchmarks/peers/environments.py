"""Separate environments for peers, created once and cached."""

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

MARKER = "installed"  # a file that is written last
TIMEOUT = 3600  # seconds for each installation command


def default_folder() -> Path:
    """Return the default folder of the environments."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regard-peers"


def python_of(system: System, folder: Path) -> Path:
    """Return the interpreter of a system: this one, or that of its environment in `folder`.

    A missing environment is created, with the PyTorch version of this one.

    Raises:
        PeerError: If the installation fails.
    """
    if not system.installs:
        return Path(sys.executable)
    torch = [(f"torch=={version('torch').partition('+')[0]}",)] if system.torch else []
    installs = [*torch, *system.installs]
    key = json.dumps([sys.version, installs, system.startup])
    environment = folder / f"{system.name.lower().replace(' ', '-')}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    python = environment / "bin" / "python"
    if (environment / MARKER).exists():
        return python
    print(f"{system.name}: installing into {environment}", file=sys.stderr)
    shutil.rmtree(environment, ignore_errors=True)  # an incomplete installation
    folder.mkdir(parents=True, exist_ok=True)
    _call([sys.executable, "-m", "venv", str(environment)])
    for arguments in installs:
        _call([str(python), "-m", "pip", "install", "--disable-pip-version-check", *arguments])
    if system.startup:
        site_packages = _call([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
        (Path(site_packages.strip()) / "sitecustomize.py").write_text(system.startup, encoding="utf-8")
    (environment / MARKER).touch()
    return python


def _call(command: list[str]) -> str:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        result = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=TIMEOUT)
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerError(f"it cannot be installed: {error}") from None
    if result.returncode:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()] or ["pip printed nothing"]
        errors = [line for line in lines if line.startswith("ERROR")]
        raise PeerError(f"it cannot be installed: {(errors or lines)[-1]}")
    return result.stdout
