"""What can go wrong through input, told so that its reader can act: what, where, and what to do."""

from pathlib import Path


class RegardError(Exception):
    """An error in what was given, not in the programme.

    what: one sentence saying what is wrong.
    where: the place in the input, as `file`, `file:line`, or `file: key`.
    fix: one sentence saying what to do about it.
    """

    def __init__(self, what: str, *, where: str | Path | None = None, fix: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  what to do: {self.fix}" if self.fix else ""
        return f"{place}{self.what}{remedy}"


class ConfigError(RegardError):
    """A recipe or an option is wrong: an unknown key, a value of the wrong type or out of range."""


class DataError(RegardError):
    """A corpus or an input file is wrong: missing, empty, of unequal sides, not UTF-8."""


class CheckpointError(RegardError):
    """A run or a checkpoint cannot be read or written."""


class DecodingError(RegardError):
    """The search cannot go on: a score that is not a number, a limit that cannot be kept."""


class TrainingError(RegardError):
    """Training cannot go on: a loss that is not a number."""


class PeerFailed(RegardError):
    """Another process of the same job cannot go on, and has said why: this one ends quietly."""
