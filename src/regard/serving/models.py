"""The served models: load runs, choose a model for a language pair, and replace a model by a newer checkpoint."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from regard.checkpoints.checkpoint import Checkpoint, load_checkpoint
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.checkpoints.untrusted_files import TRAINING
from regard.corpus.language_pairs import language_name, language_pairs
from regard.corpus.source_columns import SEPARATOR
from regard.errors import CheckpointError, ConfigError, DecodingError
from regard.inference.translator import Precision, Translator
from regard.serving.limits import RequestRejected, invalid
from regard.serving.workers import DESCRIPTORS, Deaths, check_workers, load_in_process

LOAD_ATTEMPTS = 3  # the checkpoint of a run that is training can change while it is read
TRIAL_TEXT = "1 2 3"  # any tokenizer can encode it
FIX_EARLIER = "choose an earlier checkpoint of the run, such as RUN/checkpoints/step-000500"


@dataclass(frozen=True, eq=False)
class ServedModel:
    """One model for one language pair.

    Attributes:
        name: The name of the run.
        architecture: The architecture of the model.
        source: The code of the source language.
        target: The code of the target language.
        tag: The tag before each source of a model for several languages.
        translator: Translates with the model.
        parameters: The number of trained parameters.
        has_attention: Whether the model has attention weights.
        step: The training step of the checkpoint.
    """

    name: str
    architecture: str
    source: str
    target: str
    tag: str | None
    translator: Translator
    parameters: int
    has_attention: bool
    step: int = 0

    def __str__(self) -> str:
        tag = f", tag {self.tag}" if self.tag else ""
        return f"{self.name}: {self.source} to {self.target}, {self.architecture}{tag}"

    def to_json(self) -> dict[str, Any]:
        """Return the entry of GET /models."""
        names = ("name", "architecture", "source", "target", "parameters", "tag")
        return {name: getattr(self, name) for name in names} | {
            "attends": self.has_attention,
            "confidence": self.translator.confidence is not None,
        }


@dataclass(frozen=True)
class Stamp:
    """Identifies the state of a checkpoint folder.

    Attributes:
        checkpoint: The path of the folder.
        files: Name, size in bytes, modification time in ns and inode number of each file in the folder.
    """

    checkpoint: str
    files: frozenset[tuple[str, int, int, int]]


@dataclass(frozen=True)
class LoadedRun:
    """The model of one run, once for each of its language pairs."""

    stamp: Stamp
    served: tuple[ServedModel, ...]


class Models:
    """All served models. A request that names no model gets the first one for its language pair."""

    def __init__(
        self, runs: Sequence[Path], device: str = "auto", precision: Precision = "float32", workers: int = 1
    ) -> None:
        """Load all runs.

        Args:
            runs: The folders of the runs, or of checkpoints.
            device: The device to translate on.
            precision: The precision of the weights.
            workers: How many batches are translated at a time; above 1, each in a separate process. See workers.py.

        Raises:
            CheckpointError: A checkpoint cannot be loaded.
            ConfigError: No run is given, or the device, the precision or several workers are not available.
        """
        if not runs:
            raise ConfigError("there are no runs to serve", where="regard serve", fix="give the folder of a run")
        check_workers(workers, device)
        self.workers = workers
        self.deaths = Deaths()  # of worker processes
        self._runs = dict(zip(_names(runs), runs, strict=True))
        self._hardware: tuple[str, Precision] = (device, precision)
        self._loaded = {name: self.load(name) for name in self._runs}

    @property
    def names(self) -> list[str]:
        """The names of the runs, in the order given."""
        return list(self._runs)

    @property
    def folders(self) -> Mapping[str, Path]:
        """The folder of each run, by its name."""
        return self._runs

    @property
    def new_descriptors(self) -> int:
        """How many file descriptors are needed to load all runs again while requests use the previous models."""
        return 0 if self.workers == 1 else len(self._runs) * (self.workers + DESCRIPTORS)

    @property
    def served(self) -> list[ServedModel]:
        """All models, in the order of the runs."""
        return [model for loaded in self._loaded.values() for model in loaded.served]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The language pairs that a model translates, without repetition."""
        return list(dict.fromkeys((model.source, model.target) for model in self.served))

    @property
    def sources(self) -> list[str]:
        """The source languages, without repetition."""
        return list(dict.fromkeys(model.source for model in self.served))

    @property
    def all_targets(self) -> list[str]:
        """The target languages of all source languages, without repetition."""
        return list(dict.fromkeys(model.target for model in self.served))

    @property
    def languages(self) -> list[str]:
        """The source languages, followed by those that are only targets."""
        return list(dict.fromkeys([*self.sources, *self.all_targets]))

    def targets(self, source: str) -> list[str]:
        """Return the target languages of a source language, without repetition; last those through a third language."""
        direct = self._direct_targets(source)
        pivots = [target for pivot in direct for target in self._direct_targets(pivot) if target != source]
        return list(dict.fromkeys([*direct, *pivots]))

    def _direct_targets(self, source: str) -> list[str]:
        return list(dict.fromkeys(model.target for model in self.served if model.source == source))

    def route(self, source: str, target: str, name: str | None = None) -> tuple[ServedModel, ...]:
        """Return the model for a language pair, or two models that translate through a third language.

        Raises:
            RequestRejected: There is neither.
        """
        targets = self._direct_targets(source)
        if name is None and target != source and target not in targets:
            for pivot in targets:
                if target in self._direct_targets(pivot):
                    return self.pick(source, pivot), self.pick(pivot, target)
        return (self.pick(source, target, name),)

    def pick(self, source: str, target: str, name: str | None = None) -> ServedModel:
        """Return the model for a language pair, by name if given. Raise RequestRejected if there is none."""
        served = self.served
        known = {code for model in served for code in (model.source, model.target)}
        for code in (source, target):
            if code not in known:
                raise RequestRejected(400, f"{code[:40]} is not supported")
        candidates = [model for model in served if (model.source, model.target) == (source, target)]
        if not candidates and target in self.targets(source):
            pivot = self.route(source, target)[0].target
            raise RequestRejected(
                400, f"there is no model from {source} to {target}; texts are translated through {pivot}, without this"
            )
        if not candidates:
            raise RequestRejected(
                400,
                f"{language_name(target)} ({target}) is not available as a target language from "
                f"{language_name(source)} ({source})",
            )
        for model in candidates:
            if name in (None, model.name):
                return model
        similar = difflib.get_close_matches(str(name)[:200], [model.name for model in candidates], n=1, cutoff=0.0)
        raise invalid(
            f"no such model for these languages; did you mean {similar[0] if similar else candidates[0].name}?"
        )

    def stamp(self, name: str) -> Stamp:
        """Return the stamp of the current best checkpoint of a run. Raise CheckpointError or OSError on failure."""
        return _stamp(self._runs[name])

    def loaded_stamp(self, name: str) -> Stamp:
        """Return the stamp of the checkpoint that is being served."""
        return self._loaded[name].stamp

    def load(self, name: str) -> LoadedRun:
        """Load the best checkpoint of a run and test it, without serving it yet.

        Raises:
            CheckpointError: It cannot be read, changes while it is read, or gives scores that are not finite.
            ConfigError: The device or the precision is not available.
        """
        run = self._runs[name]
        for _ in range(LOAD_ATTEMPTS):
            stamp = _stamp(run)
            with suppress(ChangedError):
                loaded = self._load(name, stamp)
                if _stamp(run) == stamp:
                    return loaded
        raise ChangedError(run)

    def _load(self, name: str, stamp: Stamp) -> LoadedRun:
        if self.workers == 1:
            return _load(name, stamp, *self._hardware)
        return load_in_process(partial(_load_unchanged, name, stamp, *self._hardware), name, self.workers, self.deaths)

    def replace(self, name: str, loaded: LoadedRun) -> None:
        """Serve another model from now on. Requests in progress finish with the previous one."""
        self._loaded[name] = loaded


class ChangedError(CheckpointError):
    """A checkpoint is not the one that was to be loaded."""

    def __init__(self, where: str | Path) -> None:
        super().__init__(
            "the checkpoint changed while it was being loaded", where=where, fix="wait until it is completely written"
        )


def _names(runs: Sequence[Path]) -> Iterator[str]:
    """Return the names of the folders, with a number appended to repeated ones."""
    seen: set[str] = set()
    for run in runs:
        folder_name = run.resolve().name or "model"
        name, number = folder_name, 2
        while name in seen:
            name, number = f"{folder_name}-{number}", number + 1
        seen.add(name)
        yield name


def _stamp(run: Path) -> Stamp:
    try:
        return _stamp_files(resolve_checkpoint(run))
    except FileNotFoundError:  # it was removed in the meantime: there is another one, or the error says what is missing
        return _stamp_files(resolve_checkpoint(run))


def _stamp_files(checkpoint: Path) -> Stamp:
    files = set()
    with os.scandir(checkpoint) as entries:
        for entry in entries:
            if entry.name != TRAINING:
                with suppress(FileNotFoundError):  # it was removed in the meantime
                    stat = entry.stat()
                    files.add((entry.name, stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return Stamp(str(checkpoint), frozenset(files))


def _load(name: str, stamp: Stamp, device: str, precision: Precision) -> LoadedRun:
    checkpoint = load_checkpoint(Path(stamp.checkpoint))
    _check_finite(checkpoint, stamp.checkpoint)
    translator = Translator.load(stamp.checkpoint, device, precision)
    parameters = checkpoint.model.num_parameters
    served = tuple(
        ServedModel(
            name=name,
            architecture=checkpoint.config.model.architecture,
            source=source,
            target=target,
            tag=" ".join(tags) or None,
            translator=translator.with_tags(tags) if tags else translator,
            parameters=parameters,
            has_attention=bool(translator.model.decoder.has_attention),
            step=checkpoint.step,
        )
        for source, target, tags in language_pairs(checkpoint.config.data)
    )
    _test_translation(served[0].translator, stamp.checkpoint)
    return LoadedRun(stamp, served)


def _load_unchanged(name: str, stamp: Stamp, device: str, precision: Precision) -> LoadedRun:
    """Load a checkpoint. Raise CheckpointError if it is not the one of the stamp any more."""
    loaded = _load(name, stamp, device, precision)
    if _stamp(Path(stamp.checkpoint)) != stamp:
        raise ChangedError(stamp.checkpoint)
    return loaded


def _check_finite(checkpoint: Checkpoint, where: str) -> None:
    for name, weights in checkpoint.model.named_parameters():
        if not torch.isfinite(weights).all():
            raise CheckpointError(
                f"the weights {name} are not finite: training has diverged", where=where, fix=FIX_EARLIER
            )


def _test_translation(translator: Translator, where: str) -> None:
    """Translate a trial text. Raise CheckpointError if that fails or its score is not finite."""
    try:
        text = SEPARATOR.join([TRIAL_TEXT] * translator.num_columns)
        trial = translator.translate(text, strategy="beam", beam_size=1, shortlist=False)
    except DecodingError as error:
        raise CheckpointError(f"a trial translation failed: {error.message}", where=where, fix=FIX_EARLIER) from None
    if not math.isfinite(trial.score):
        raise CheckpointError("the score of a trial translation is not finite", where=where, fix=FIX_EARLIER)
