"""The options that choose which model a command loads, and how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from regard.checkpoints.run_folder import resolve_checkpoint
from regard.cli.options import Device, Precision
from regard.console import status
from regard.runtime import modules_exempt_from_collection

if TYPE_CHECKING:
    from regard.inference.translator import Translator


@dataclass(frozen=True)
class TranslatorOptions:
    """Which runs translate, and on what.

    Attributes:
        run: The folder of a run or a checkpoint.
        device: The device to run on.
        precision: The number format of the weights.
        ensemble: Runs whose probabilities are averaged with those of `run`.
        tags: Tags put before each source.
    """

    run: Path
    device: Device = "auto"
    precision: Precision = "float32"
    ensemble: Sequence[Path] = ()
    tags: Sequence[str] = ()

    def check(self) -> None:
        """Raise CheckpointError if a folder holds no run. Does not import PyTorch."""
        for run in (self.run, *self.ensemble):
            resolve_checkpoint(run)

    def load(self) -> Translator:
        """Load the model or the ensemble, and show on a terminal that this takes a moment.

        Raises:
            CheckpointError: A folder holds no run, or is damaged.
            ConfigError: The device is missing, or does not support the precision.
            DecodingError: The vocabularies of an ensemble differ.
        """
        self.check()
        with status("loading the model"):
            return self.loader()()

    def loader(self) -> Callable[[], Translator]:
        """Return a function that loads it, in this process or in another one."""
        with modules_exempt_from_collection():
            from regard.inference.translator import Translator

        load = partial(Translator.load, self.run, self.device, self.precision)
        if self.ensemble:
            load = partial(Translator.load_ensemble, [self.run, *self.ensemble], self.device, self.precision)
        return partial(_load_with_tags, load, tuple(self.tags)) if self.tags else load


def _load_with_tags(load: Callable[[], Translator], tags: Sequence[str]) -> Translator:
    return load().with_tags(tags)
