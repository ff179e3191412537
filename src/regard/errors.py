"""The exceptions that regard raises for invalid input.

RegardError
├── ConfigError      a recipe or an option
│   └── PluginError  a plugin
├── DataError        a corpus or an input file
├── CheckpointError  a run or a checkpoint
├── DecodingError    the search for a translation
├── TrainingError    training
└── PeerFailed       another process of a distributed job
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def suggest(name: str, valid: Iterable[str]) -> str:
    """Return what to do about an unknown name: the nearest valid name, and all of them."""
    names = list(valid)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return (f"did you mean `{nearest[0]}`? " if nearest else "") + f"valid: {', '.join(names)}"


class RegardError(Exception):
    """An error in the input, not in the program.

    Attributes:
        message: A sentence that says what is wrong.
        where: The place in the input, as `file`, `file:line` or `file: key`; None if there is none.
        fix: A sentence that says what to do about it; None if it is not known.
    """

    def __init__(self, message: str, *, where: str | Path | None = None, fix: str | None = None) -> None:
        self.message = message
        self.where = None if where is None else str(where)
        self.fix = fix
        super().__init__(str(self))

    @property
    def what(self) -> str:
        """The former name of `message`, kept as an alias."""
        return self.message

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  what to do: {self.fix}" if self.fix else ""
        return f"{place}{self.message}{remedy}"


class ConfigError(RegardError):
    """A recipe or an option is invalid: an unknown key, a value of the wrong type or out of range."""


class PluginError(ConfigError):
    """A plugin cannot be loaded, or a recipe or checkpoint needs one that is not loaded."""


class DataError(RegardError):
    """A corpus or an input file is missing, empty, not UTF-8, or has sides of different lengths."""


class WorkerLost(DataError):
    """A process or a machine that prepares data is lost; what is prepared stays, and the command can be continued."""


class CheckpointError(RegardError):
    """A run or a checkpoint cannot be read or written."""


class DecodingError(RegardError):
    """Decoding cannot continue: a score is not finite, or a constraint cannot be satisfied."""


class TrainingError(RegardError):
    """Training cannot continue: it has diverged or has run out of memory."""


class PeerFailed(RegardError):
    """Another process of the same job has failed and reported why; this process ends without a message."""


@contextmanager
def raise_on_os_error(kind: type[RegardError], problem: str, *, where: Path, fix: str) -> Iterator[None]:
    """Turn an OSError inside into an error of this kind, such as `the folder cannot be read: Permission denied`."""
    try:
        yield
    except OSError as error:
        raise kind(f"{problem}: {error.strerror or error}", where=where, fix=fix) from None
