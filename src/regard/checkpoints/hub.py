"""Models on the Hugging Face hub: their names, their download, and what to do when the hub cannot do as it is asked.

`hf:OWNER/NAME` is a model on the hub, `hf:OWNER/NAME@REVISION` a branch, a tag or a commit of it. It is downloaded into
the cache of huggingface_hub, which is an optional dependency. Nothing is sent but the name and the user's token.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from regard.config.overrides import HUB
from regard.errors import CheckpointError, ConfigError

FILES = (  # of a model on the hub that are downloaded
    *("config.json", "metrics.json", "model.safetensors", "tokenizer*", "confidence.json", "SHA256SUMS"),
    *("recipe.toml", "README.md"),
)
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN to a token of https://huggingface.co/settings/tokens"
_LIBRARIES = ("huggingface_hub", "hf_xet", "httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
_ANSWERS = {  # what is wrong and what to do, by the status of the hub's answer
    401: ("the hub does not accept the token", LOG_IN),
    403: ("the token does not allow this", "use a token that may write to this repository, or another name"),
    404: ("the hub has no such repository, or the token may not see it", f"check the name; {LOG_IN}"),
    409: ("another change was made at the same time", "try again"),
    412: ("another change was made at the same time", "try again"),
    413: ("the files are too large for the hub", "check the storage limits of the account"),
    429: ("the hub receives too many requests from you", "wait some minutes, and try again"),
}


def is_hub_name(path: Path) -> bool:
    """Return whether a path that a command or `regard.load` takes is a name on the hub, and not a folder."""
    return path.as_posix().startswith(HUB) and not path.exists()


def require_hub() -> None:
    """Raise ConfigError if the library of the hub is not installed."""
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        raise ConfigError(
            "the Hugging Face hub needs the library huggingface_hub", fix="pip install 'regard[hub]'"
        ) from None


@cache
def download(path: Path) -> Path:
    """Return the folder in the cache with the checkpoint of a name on the hub; download it once per process.

    Raises:
        ConfigError: huggingface_hub is not installed, or the name is not valid.
        CheckpointError: It cannot be downloaded, and is not in the cache.
    """
    require_hub()
    from huggingface_hub import snapshot_download

    name, _, revision = path.as_posix().removeprefix(HUB).partition("@")
    check_name(name, str(path))
    with hub_errors(str(path)), quiet_library():
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(FILES)))


def check_name(name: str, where: str) -> None:
    """Raise ConfigError for a name that no repository can have."""
    part = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
    if not re.fullmatch(f"(?:{part}/)?{part}", name, re.ASCII) or ".." in name or "--" in name:
        fix = "write OWNER/NAME, in letters, digits and single `-`, `_` and `.`"
        raise ConfigError(f"{name!r} is not a valid name of a repository on the hub", where=where, fix=fix)


@contextmanager
def hub_errors(where: str) -> Iterator[None]:
    """Turn an error of huggingface_hub or of the network into a CheckpointError that says what to do."""
    try:
        yield
    except (CheckpointError, ConfigError):
        raise
    except Exception as error:
        cause = _cause(error)
        if not isinstance(cause, (OSError, ValueError, RuntimeError)) and not _is_of_libraries(cause):
            raise
        problem, fix = _explain(cause)
        raise CheckpointError(problem, where=where, fix=fix) from None


@contextmanager
def quiet_library() -> Iterator[None]:
    """Let huggingface_hub print no messages in the block, and show its progress bars only on a terminal."""
    from huggingface_hub.utils.logging import get_verbosity, set_verbosity
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    verbosity = get_verbosity()
    hides_bars = not sys.stderr.isatty() and not are_progress_bars_disabled()
    try:
        set_verbosity(logging.ERROR)
        if hides_bars:
            disable_progress_bars()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        set_verbosity(verbosity)
        if hides_bars:
            enable_progress_bars()


def _cause(error: BaseException) -> BaseException:
    """Return the error that has an answer of the hub, or of the network, among an error and its causes."""
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # its message says more
        return error
    current: BaseException | None = error
    while current is not None:
        if _status(current) is not None:
            return current
        current = current.__cause__ or current.__context__
    return error.__cause__ if isinstance(error.__cause__, Exception) else error


def _is_of_libraries(error: BaseException) -> bool:
    return any(kind.__module__.partition(".")[0] in _LIBRARIES for kind in type(error).__mro__)


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _explain(error: BaseException) -> tuple[str, str]:
    """Return what is wrong, and what to do."""
    status = _status(error)
    message = str(getattr(error, "server_message", "") or "").partition("\n")[0].strip()
    if status in _ANSWERS:
        problem, fix = _ANSWERS[status]
        return f"{problem} (HTTP {status}{f': {message}' if message else ''})", fix
    if status is not None and status >= 500:
        return f"the hub has an error of its server (HTTP {status})", "try again later: https://status.huggingface.co"
    if status is not None:
        return f"the hub answers with HTTP {status}{f': {message}' if message else ''}", "check name and token"
    if type(error).__name__ == "OfflineModeIsEnabled":
        return "HF_HUB_OFFLINE forbids to connect to the hub", "unset HF_HUB_OFFLINE"
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ValueError):
        return f"the hub does not accept this: {reason}", "check --license, and the lines at the top of README.md"
    if isinstance(error, OSError) and error.filename is not None:
        fix = "make the folder writable, or free some disk space; HF_HOME names the folder of the cache"
        return f"{error.filename}: {error.strerror or reason}", fix
    without_xet = "; or set HF_HUB_DISABLE_XET=1, to upload without the protocol Xet" if "xet" in reason else ""
    fix = f"check the network connection and HF_ENDPOINT, and try again{without_xet}"
    return f"the hub cannot be reached: {reason}", fix
