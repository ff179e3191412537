"""Collect what a model card says from the folder of a run and from its checkpoint.

File names appear without their folders, and no text of the corpora is read except to count it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import torch
from sacrebleu.metrics.chrf import CHRF

from regard.checkpoints.checkpoint import load_config, load_fingerprint, load_metrics, load_sizes
from regard.checkpoints.run_folder import PREPARED, RunFolder
from regard.config.data import CorpusConfig
from regard.config.overrides import HUB
from regard.config.schema import RunConfig
from regard.contract import VocabularySizes
from regard.corpus.language_pairs import UNKNOWN, language_name, language_pairs
from regard.errors import CheckpointError
from regard.evaluation.metrics import bleu_metric
from regard.inference.confidence import ConfidenceModel, load_confidence
from regard.models import ARCHITECTURES, build_on_meta
from regard.runs.card.record import CardRecord, Evaluation, TrainingRecord, read_record, weights_digest
from regard.text.segments import is_language

IMPROVED = "improved-"  # prefix of checkpoints that `regard improve --replace` has made


@dataclass(frozen=True)
class DevSet:
    """The dev set: its size, and sacreBLEU's signatures of the scores on it."""

    pairs: int
    signatures: Mapping[str, str]


@dataclass(frozen=True)
class CardFacts:
    """What a model card says.

    Attributes:
        name: The name of the run.
        config: Its recipe.
        step: The step of the checkpoint.
        parameters: The number of parameters.
        vocabularies: The sizes of the vocabularies.
        metrics: The dev scores of the checkpoint.
        pairs: The number of training pairs; None if it is not known.
        skipped: How many pairs of the corpus were skipped, by reason; None if it is not known.
        dev: The dev set; None if it is not known.
        confidence: The fitted confidence; None if there is none.
        is_improved: Whether the checkpoint was made by `regard improve`.
        is_imported: Whether the model was imported from another toolkit, so that its training is not known.
        evaluations: Test scores of these weights.
        record: Device, versions, licence.
    """

    name: str
    config: RunConfig
    step: int
    parameters: int
    vocabularies: VocabularySizes
    metrics: Mapping[str, Any]
    pairs: int | None = None
    skipped: Mapping[str, int] | None = None
    dev: DevSet | None = None
    confidence: ConfidenceModel | None = None
    is_improved: bool = False
    is_imported: bool = False
    evaluations: tuple[Evaluation, ...] = ()
    record: CardRecord = field(default_factory=CardRecord)

    @property
    def language_pairs(self) -> list[tuple[str, str]]:
        """The language codes of source and target, of each pair that the model translates; `und` if unknown."""
        return list(dict.fromkeys((source, target) for source, target, _ in language_pairs(self.config.data)))

    @property
    def languages(self) -> list[str]:
        """The codes of all natural languages of the model."""
        codes = [code for pair in self.language_pairs for code in pair]
        return [code for code in dict.fromkeys(codes) if is_natural(code)]

    @property
    def preset(self) -> str:
        """The preset with the settings of the model; empty if there is none."""
        presets = ARCHITECTURES[self.config.model.architecture].presets
        return next((name for name, preset in presets.items() if preset() == self.config.model), "")

    @property
    def start(self) -> str:
        """The name of the run whose weights training started from; empty if it started from new weights."""
        return "" if self.config.start is None else start_name(self.config.start.checkpoint)


def start_name(checkpoint: str) -> str:
    """Return the name of the run that a checkpoint belongs to, or `hf:OWNER/NAME` if it is one of the hub."""
    if checkpoint.startswith(HUB):
        return checkpoint
    path = PurePath(checkpoint)
    if path.parent.name == "snapshots":  # in the cache of huggingface_hub
        return HUB + path.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
    return path.parent.parent.name if path.parent.name == "checkpoints" else path.name


def is_natural(code: str) -> bool:
    """Return whether a code stands for a known natural language."""
    return code != UNKNOWN and is_language(code) and language_name(code) != code


def collect_facts(checkpoint: Path, run: Path | None, record: CardRecord | None = None) -> CardFacts:
    """Return what a card says about a checkpoint.

    Args:
        checkpoint: The folder of the checkpoint.
        run: The folder of its run; None if there is only the checkpoint.
        record: The record to use instead of the one in the run.

    Raises:
        CheckpointError: The checkpoint or the record cannot be read.
        PluginError: The model needs a plugin that is neither loaded nor installed.
    """
    config, metrics = load_config(checkpoint), load_metrics(checkpoint)
    step, vocabularies = load_sizes(checkpoint)
    if record is None:
        record = CardRecord() if run is None else read_record(run)
    finished = None if run is None else RunFolder(run).finished
    if record.training is None and finished is not None:
        record = replace(record, training=TrainingRecord(finished.end, finished.step, finished.seconds))
    evaluations = record.evaluations
    if evaluations:
        digest = weights_digest(checkpoint)
        evaluations = tuple(evaluation for evaluation in evaluations if evaluation.weights == digest)
    pairs, skipped, dev = (None, None, None) if run is None else _read_data(RunFolder(run).data, config)
    with torch.random.fork_rng(devices=[]):
        parameters = build_on_meta(config.model, vocabularies).num_parameters
    return CardFacts(
        name=(checkpoint if run is None else run).resolve().name,
        config=config,
        step=step,
        parameters=parameters,
        vocabularies=vocabularies,
        metrics=metrics,
        pairs=pairs,
        skipped=skipped,
        dev=dev,
        confidence=_readable_confidence(checkpoint),
        is_imported=not load_fingerprint(checkpoint),
        is_improved=checkpoint.resolve().name.startswith(IMPROVED),
        evaluations=evaluations,
        record=record,
    )


def _readable_confidence(checkpoint: Path) -> ConfidenceModel | None:
    with suppress(CheckpointError):  # a damaged one is not used
        return load_confidence(checkpoint)
    return None


def _read_data(data: Path, config: RunConfig) -> tuple[int | None, Mapping[str, int] | None, DevSet | None]:
    """Return the number of training pairs, those that were skipped, and the dev set."""
    pairs = _read_json(data / "train.json").get("pairs")
    prepared = _read_json(data / PREPARED)
    skipped, dev = prepared.get("skipped"), prepared.get("dev")
    counts = {str(reason): int(count) for reason, count in skipped.items()} if isinstance(skipped, dict) else None
    references = [str(pair[1]) for pair in dev] if isinstance(dev, list) else []
    known_dev = DevSet(len(references), _signatures(references, config.data.target_language)) if references else None
    return pairs if isinstance(pairs, int) else None, counts, known_dev


def _read_json(path: Path) -> dict[str, Any]:
    """Return an object of a file; an empty one if it cannot be read, because a card needs nothing of it."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}


def _signatures(references: list[str], target_language: str) -> dict[str, str]:
    metrics = {"bleu": bleu_metric(references, target_language=target_language), "chrf": CHRF()}
    for metric in metrics.values():
        metric.corpus_score(references[:1], [references[:1]])  # a signature has the number of references
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}


def training_corpora(config: RunConfig) -> list[str]:
    """Return the names of the files or the dataset of each training corpus, without folders."""
    parts = config.data.corpora or (config.data,)
    names = [", ".join(_names(part, ("source", "target", "file"), part.dataset, part.mtdata)) for part in parts]
    if config.data.corpus is not None:
        names.append(f"the built-in corpus {config.data.corpus}")
    return [name for name in names if name]


def dev_corpora(config: RunConfig) -> list[str]:
    """Return the names of the files of the dev set, without folders; empty if pairs are held out of the corpus."""
    parts = [part for part in (config.data, *config.data.corpora) if part.has_dev]
    keys = ("dev_source", "dev_target", "dev_file")
    return [", ".join(_names(part, keys, part.dev_split and part.dataset, part.dev_mtdata)) for part in parts]


def hub_datasets(config: RunConfig) -> list[str]:
    """Return the training corpora that are datasets on the hub."""
    datasets = [part.dataset for part in (config.data, *config.data.corpora) if part.dataset]
    return list(dict.fromkeys(name for name in datasets if is_hub_dataset(name)))


def is_hub_dataset(name: str) -> bool:
    """Return whether the dataset of a run is a name on the hub. That of a local folder is an absolute path."""
    return not PurePath(name).is_absolute() and name.count("/") <= 1


def _names(part: CorpusConfig, keys: tuple[str, ...], dataset: str | None, mtdata: str | None) -> list[str]:
    files = [PurePath(path).name for path in (getattr(part, key) for key in keys) if path]
    if dataset:
        files.append(dataset if is_hub_dataset(dataset) else PurePath(dataset).name)
    return [*files, *([f"mtdata:{mtdata}"] if mtdata else [])]
