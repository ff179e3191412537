"""The models that are served: which runs, for which languages, and a newer one in the place of an older."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from babel import Locale

from regard.checkpoints.checkpoint import Checkpoint, load_checkpoint
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.checkpoints.untrusted_files import TRAINING
from regard.config.schema import DataConfig
from regard.errors import CheckpointError, ConfigError, DecodingError
from regard.inference.translator import Precision, Translator
from regard.serving.limits import Refused, invalid

UNKNOWN = "und"  # ISO 639: the language of a text that nobody has told
ATTEMPTS = 3  # to load a checkpoint of a run that is being trained
TRIAL = "1 2 3"  # a text that any tokenizer takes
EARLIER = "choose an earlier checkpoint of the run, such as RUN/checkpoints/step-000500"


@dataclass(frozen=True, eq=False)
class Served:
    """One model for one pair of languages.

    tag: what is before each source of a model of several languages. parameters: how many numbers were trained.
    """

    name: str
    architecture: str
    source: str
    target: str
    tag: str | None
    translator: Translator
    parameters: int

    @property
    def attends(self) -> bool:
        """Whether it has attention to look at."""
        return bool(self.translator.model.decoder.has_attention)

    def told(self) -> dict[str, Any]:
        """As GET /models has it."""
        names = ("name", "architecture", "source", "target", "attends", "parameters", "tag")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Stamp:
    """What tells the state of a checkpoint's folder from another.

    files: of each file directly in the folder the name, size in bytes, modification time in ns, and inode number.
    """

    checkpoint: str
    files: frozenset[tuple[str, int, int, int]]


@dataclass(frozen=True)
class Loaded:
    """The model of one run, for each of its pairs of languages."""

    stamp: Stamp
    served: tuple[Served, ...]


class Models:
    """Runs by pairs of languages; the first one named is meant where a client says no name."""

    def __init__(self, runs: Sequence[Path], device: str = "auto", precision: Precision = "float32") -> None:
        """Raises CheckpointError, ConfigError."""
        if not runs:
            raise ConfigError("there is nothing to serve", where="regard serve", fix="name the folder of a run")
        self._runs = dict(zip(_names(runs), runs, strict=True))
        self._machine: tuple[str, Precision] = (device, precision)
        self._loaded = {name: self.load(name) for name in self._runs}

    @property
    def names(self) -> list[str]:
        """The names of the runs, in their order."""
        return list(self._runs)

    @property
    def served(self) -> list[Served]:
        """All, in the order of the runs."""
        return [one for loaded in self._loaded.values() for one in loaded.served]

    @property
    def sources(self) -> list[str]:
        """The languages that can be translated from, each once."""
        return list(dict.fromkeys(one.source for one in self.served))

    @property
    def languages(self) -> list[str]:
        """Those, and then those that can only be translated to."""
        return list(dict.fromkeys([*self.sources, *(one.target for one in self.served)]))

    def targets(self, source: str) -> list[str]:
        """The languages that it can be translated to, each once."""
        return list(dict.fromkeys(one.target for one in self.served if one.source == source))

    def pick(self, source: str, target: str, name: str | None = None) -> Served:
        """The model for a pair of languages, by its name where there are several. Raises Refused."""
        served = self.served
        known = {code for one in served for code in (one.source, one.target)}
        for code in (source, target):
            if code not in known:
                raise Refused(400, f"{code[:40]} is not supported")
        pair = [one for one in served if (one.source, one.target) == (source, target)]
        if not pair:
            raise Refused(
                400,
                f"{language_name(target)} ({target}) is not available as a target language from "
                f"{language_name(source)} ({source})",
            )
        for one in pair:
            if name in (None, one.name):
                return one
        near = difflib.get_close_matches(str(name)[:200], [one.name for one in pair], n=1, cutoff=0.0)
        raise invalid(f"there is no such model for these languages; one is {near[0] if near else pair[0].name}")

    def stamp(self, name: str) -> Stamp:
        """Return the stamp of the files that a run's best checkpoint has now. Raises CheckpointError, OSError."""
        return _stamp(self._runs[name])

    def loaded_stamp(self, name: str) -> Stamp:
        """Return the stamp of the files that the model which serves was loaded from."""
        return self._loaded[name].stamp

    def load(self, name: str) -> Loaded:
        """Load a run's best checkpoint and try it; it does not serve yet.

        Raises CheckpointError where it cannot be read, changes meanwhile, or finds no finite scores; ConfigError.
        """
        run = self._runs[name]
        for _ in range(ATTEMPTS):
            stamp = _stamp(run)
            loaded = _load(name, stamp, *self._machine)
            if _stamp(run) == stamp:
                return loaded
        raise CheckpointError(
            "the checkpoint changed while it was being loaded", where=run, fix="wait until it is completely written"
        )

    def replace(self, name: str, loaded: Loaded) -> None:
        """Let another model serve from now on; requests that have picked the one before end with it."""
        self._loaded[name] = loaded


def _names(runs: Sequence[Path]) -> Iterator[str]:
    """The folders' own names, those that come again with a number."""
    seen: set[str] = set()
    for run in runs:
        own = run.resolve().name or "model"
        name, number = own, 2
        while name in seen:
            name, number = f"{own}-{number}", number + 1
        seen.add(name)
        yield name


def _stamp(run: Path) -> Stamp:
    checkpoint = resolve_checkpoint(run)
    files = set()
    with os.scandir(checkpoint) as entries:
        for entry in entries:
            if entry.name != TRAINING:
                with suppress(FileNotFoundError):  # it has gone meanwhile
                    stat = entry.stat()
                    files.add((entry.name, stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return Stamp(str(checkpoint), frozenset(files))


def _load(name: str, stamp: Stamp, device: str, precision: Precision) -> Loaded:
    checkpoint = load_checkpoint(Path(stamp.checkpoint))
    _refuse_not_finite(checkpoint, stamp.checkpoint)
    translator = Translator.load(stamp.checkpoint, device, precision)
    parameters = sum(one.numel() for one in checkpoint.model.parameters())
    served = tuple(
        Served(
            name=name,
            architecture=checkpoint.config.model.architecture,
            source=source,
            target=target,
            tag=" ".join(tags) or None,
            translator=translator.with_tags(tags) if tags else translator,
            parameters=parameters,
        )
        for source, target, tags in pairs(checkpoint.config.data)
    )
    _try(served[0].translator, stamp.checkpoint)
    return Loaded(stamp, served)


def _refuse_not_finite(checkpoint: Checkpoint, where: str) -> None:
    for name, weights in checkpoint.model.named_parameters():
        if not torch.isfinite(weights).all():
            raise CheckpointError(f"the weights {name} are not finite: training has diverged", where=where, fix=EARLIER)


def _try(translator: Translator, where: str) -> None:
    """Translate one sentence. Raises CheckpointError where its score is not finite."""
    try:
        trial = translator.translate(TRIAL, strategy="beam", beam_size=1, shortlist=False)
    except DecodingError as error:
        raise CheckpointError(f"a trial translation failed: {error.message}", where=where, fix=EARLIER) from None
    if not math.isfinite(trial.score):
        raise CheckpointError("the score of a trial translation is not finite", where=where, fix=EARLIER)


def pairs(data: DataConfig) -> list[tuple[str, str, tuple[str, ...]]]:
    """Source and target languages with the tags that go before a source, each once; a tag may name the target."""
    found: dict[tuple[str, str, tuple[str, ...]], None] = {}
    for corpus in data.corpora or (data,):
        source = corpus.source_language or data.source_language
        named = next((tag for tag in corpus.tags if language_name(tag) != tag), "")
        target = corpus.target_language or named or data.target_language
        found[_code(source), _code(target), corpus.tags] = None
    return list(found)


def _code(language: str) -> str:
    return language.replace("_", "-").lower() or UNKNOWN


@cache
def _english() -> Locale:
    return Locale.parse("en")


def language_name(code: str) -> str:
    """In English; the code itself where it is none."""
    base, _, rest = code.partition("-")
    name = _english().languages.get(base)
    if name is None:
        return code
    return f"{name} ({rest.upper()})" if rest else str(name)
