"""Measurement of one system: its training, its translations of the test set, and its speed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regard.attention.matrix import attention_matrix
from regard.checkpoints.checkpoint import load_checkpoint
from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint
from regard.config.schema import SearchConfig
from regard.evaluation.by_length import by_length
from regard.evaluation.metrics import exact_match
from regard.evaluation.test_set import TestSet
from regard.inference.translator import Translation, Translator
from regard.models import ARCHITECTURES
from regard.reports.compare.history import read_training_history
from regard.reports.compare.results import Record, Sample, SystemResults
from regard.reports.compare.timing import LENGTHS, step_times
from regard.runtime import choose_device
from regard.version import __version__

SAMPLE_RANKS = (0.35, 0.5, 0.65)  # relative ranks, by length, of the test pairs that the report shows

TrackProgress = Callable[[Iterable[Translation]], Iterator[Translation]]


@dataclass(frozen=True)
class TestConditions:
    """The test set, and how every system is tested on it.

    Attributes:
        test_set: The sentence pairs.
        target_language: Language code that selects the BLEU tokenizer.
        search: Search settings of every system.
        tokenized: The text is already split into tokens, and BLEU counts those.
    """

    test_set: TestSet
    target_language: str
    search: SearchConfig
    tokenized: bool = False


def choose_samples(test_set: TestSet) -> tuple[Sample, ...]:
    """Return test pairs of medium length."""
    sources = test_set.sources
    order = sorted(range(len(sources)), key=lambda index: (len(sources[index]), sources[index]))
    indices = dict.fromkeys(order[int(rank * len(order))] for rank in SAMPLE_RANKS)
    return tuple(Sample(source=sources[index], reference=test_set.references[index]) for index in indices)


class Measurement(Record):
    """The results of one system, as they are kept in a file.

    Attributes:
        key: Changes with everything on which the results depend.
        facts: The results.
        hypotheses: Translations of the test set.
    """

    key: str
    facts: SystemResults
    hypotheses: tuple[str, ...]


def measurement_key(run: Path, conditions: TestConditions) -> str:
    """Return the key of a run's best checkpoint, its log and the test conditions.

    Raises:
        CheckpointError: The run has no checkpoint.
    """
    checkpoint = resolve_checkpoint(run)
    digest = hashlib.blake2b(repr((conditions, __version__)).encode(), digest_size=16)
    for path in (checkpoint / "config.json", checkpoint / "model.safetensors", RunFolder(run).log):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def load_measurement(path: Path, key: str) -> Measurement | None:
    """Load an earlier measurement, or return None if the file has none with this key."""
    try:
        measurement = Measurement.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return measurement if measurement.key == key else None


def measure_run(
    name: str,
    run: Path,
    conditions: TestConditions,
    *,
    samples: Sequence[Sample],
    device: str = "auto",
    step_lengths: Sequence[int] = LENGTHS,
    track: TrackProgress = iter,
) -> Measurement:
    """Test the best checkpoint of a run.

    Args:
        name: The system's name in the report.
        run: The run's folder.
        conditions: The test set, and how to translate it.
        samples: Pairs that are translated with attention.
        device: Device for translation and timing.
        step_lengths: Sentence lengths at which a training step is timed.
        track: Passes the translations of the test set through, to show progress.

    Raises:
        CheckpointError: The run has no checkpoint or no log.
    """
    test_set = conditions.test_set
    key, history = measurement_key(run, conditions), read_training_history(RunFolder(run))
    checkpoint = load_checkpoint(resolve_checkpoint(run))
    translator = Translator(checkpoint.model.to(choose_device(device)), checkpoint.tokenizers, conditions.search)
    sample_translations = _translate_samples(translator, samples)  # before the timed test set: warms up the model
    start = time.perf_counter()
    hypotheses = tuple(
        translation.text for translation in track(translator.stream(test_set.sources, split_sentences=False))
    )
    seconds = time.perf_counter() - start
    bins = by_length(
        test_set.sources,
        hypotheses,
        test_set.references,
        target_language=conditions.target_language,
        tokenized=conditions.tokenized,
    )
    results = SystemResults(
        name=name,
        paper=ARCHITECTURES[checkpoint.config.model.architecture].paper,
        parameters=translator.num_parameters,
        attends=translator.model.decoder.has_attention,
        steps=history.steps,
        minutes=history.minutes,
        tokens_per_second=history.tokens_per_second,
        curve=history.curve,
        exact=exact_match(hypotheses, test_set.references),
        sentences_per_second=len(hypotheses) / seconds,
        lengths=tuple(bins),
        step_times=tuple(step_times(translator.model, checkpoint.tokenizers.source.size, lengths=step_lengths)),
        translations=tuple(translation.text for translation in sample_translations),
        attended=tuple(map(attention_matrix, sample_translations)),
    )
    return Measurement(key=key, facts=results, hypotheses=hypotheses)


def _translate_samples(translator: Translator, samples: Sequence[Sample]) -> list[Translation]:
    sources = [sample.source for sample in samples]
    return translator.translate(sources, with_attention=True, split_sentences=False)
