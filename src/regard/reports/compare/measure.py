"""A trained run put to the test: what the side-by-side report says of one system."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regard.checkpoints.checkpoint import load_checkpoint
from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint
from regard.config.schema import SearchConfig
from regard.evaluation.by_length import by_length
from regard.evaluation.metrics import exact
from regard.inference.translator import Translation, Translator
from regard.models import ARCHITECTURES
from regard.reports.compare.history import read_history
from regard.reports.compare.results import Attended, Facts, LengthBin, Record, Sample
from regard.reports.compare.timing import step_times
from regard.runtime import choose_device
from regard.special_tokens import SPECIAL
from regard.version import __version__

SAMPLED = (0.35, 0.5, 0.65)  # of the test sentences ordered by length, what is shown under every system
DIGITS = 4  # of a weight of attention in the report

Watch = Callable[[Iterable[Translation]], Iterator[Translation]]


@dataclass(frozen=True)
class Exam:
    """What every system is tested on, and how.

    name: what the test set is, in words.
    tokenized: the text is in tokens: BLEU counts those.
    """

    name: str
    sources: tuple[str, ...]
    references: tuple[str, ...]
    target_language: str
    search: SearchConfig
    tokenized: bool = False

    def samples(self) -> tuple[Sample, ...]:
        """Test pairs of middling length."""
        order = sorted(range(len(self.sources)), key=lambda place: (len(self.sources[place]), self.sources[place]))
        places = dict.fromkeys(order[int(share * len(order))] for share in SAMPLED)
        return tuple(Sample(source=self.sources[place], reference=self.references[place]) for place in places)


class Measured(Record):
    """What was found, kept in a file: `key` changes with all that it depends on."""

    key: str
    facts: Facts
    hypotheses: tuple[str, ...]  # of the test set


def key_of(run: Path, exam: Exam) -> str:
    """Of a run's best checkpoint, its log and the exam. Raises CheckpointError where there is no checkpoint."""
    checkpoint = resolve_checkpoint(run)
    digest = hashlib.blake2b(repr((exam, __version__)).encode(), digest_size=16)
    for path in (checkpoint / "config.json", checkpoint / "model.safetensors", RunFolder(run).log):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def kept(path: Path, key: str) -> Measured | None:
    """What was measured before, if the file has it under this key."""
    try:
        found = Measured.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.key == key else None


def measure_run(name: str, run: Path, exam: Exam, *, device: str = "auto", watch: Watch = iter) -> Measured:
    """Test a run's best checkpoint. `watch` sees each translation of the test set pass. Raises CheckpointError."""
    key, history = key_of(run, exam), read_history(RunFolder(run))
    checkpoint = load_checkpoint(resolve_checkpoint(run))
    architecture = checkpoint.config.model.architecture
    translator = Translator(checkpoint.model.to(choose_device(device)), checkpoint.tokenizers, exam.search)
    samples = [sample.source for sample in exam.samples()]
    shown = translator.translate(samples, with_attention=True, split_sentences=False)  # warms up, too
    began = time.perf_counter()
    hypotheses = tuple(best.text for best in watch(translator.stream(exam.sources, split_sentences=False)))
    seconds = time.perf_counter() - began
    bins = by_length(
        exam.sources, hypotheses, exam.references, target_language=exam.target_language, tokenized=exam.tokenized
    )
    facts = Facts(
        name=name,
        paper=ARCHITECTURES[architecture].paper,
        parameters=sum(parameter.numel() for parameter in translator.model.parameters()),
        attends=translator.model.decoder.has_attention,
        steps=history.steps,
        minutes=history.minutes,
        tokens_per_second=history.tokens_per_second,
        curve=history.curve,
        exact=exact(hypotheses, exam.references),
        sentences_per_second=len(hypotheses) / seconds,
        lengths=tuple(LengthBin.model_validate(found, from_attributes=True) for found in bins),
        step_times=tuple(step_times(translator.model, checkpoint.tokenizers.source.size)),
        translations=tuple(translation.text for translation in shown),
        attended=tuple(map(attended, shown)),
    )
    return Measured(key=key, facts=facts, hypotheses=hypotheses)


def attended(translation: Translation) -> Attended | None:
    """The weights that a translation came with; None where its system does not attend."""
    if translation.attention is None:
        return None
    weights = np.round(translation.attention.astype(float), DIGITS).tolist()
    return Attended(
        source_tokens=translation.source_tokens,
        target_tokens=(*translation.tokens, SPECIAL[2])[: len(weights)],
        weights=tuple(tuple(row) for row in weights),
    )
