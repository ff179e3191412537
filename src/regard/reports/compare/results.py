"""What the report knows of each system. `report.json` has these fields."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from regard.attention.matrix import AttentionMatrix
from regard.evaluation.bootstrap import BootstrapInterval
from regard.evaluation.by_length import LengthBin


class Record(BaseModel):
    """Base class of the records: frozen, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DevPoint(Record):
    """Dev scores of a checkpoint.

    Attributes:
        step: Training step.
        minutes: Training time until the checkpoint.
        bleu: BLEU, 0 to 100.
        chrf: chrF, 0 to 100.
        loss: Loss in nats per token.
        exact: Share of translations that equal their reference, 0 to 100; None in the logs of old runs.
    """

    step: int
    minutes: float
    bleu: float
    chrf: float
    loss: float
    exact: float | None = None


class StepTime(Record):
    """Median time of a training step on sentences with `length` tokens on both sides."""

    length: int
    milliseconds: float


class SystemResults(Record):
    """What is measured of one system without the others.

    Attributes:
        name: The system's name in the report.
        paper: Authors, year and source of the architecture.
        parameters: Number of parameters.
        attends: The decoder has attention to the source.
        steps: Training steps.
        minutes: Training time.
        tokens_per_second: Target tokens per second of training, without padding: the median of the training log, 0
            without a log.
        curve: Dev scores of the checkpoints.
        exact: Share of test hypotheses that equal their reference, 0 to 1.
        sentences_per_second: Speed of translating the test set.
        lengths: Quality by source length.
        step_times: Time of a training step by length.
        translations: Translations of the report's samples.
        attended: Attention of these translations, None without attention.
    """

    name: str
    paper: str
    parameters: int
    attends: bool
    steps: int
    minutes: float
    tokens_per_second: float
    curve: tuple[DevPoint, ...]
    exact: float
    sentences_per_second: float
    lengths: tuple[LengthBin, ...]
    step_times: tuple[StepTime, ...]
    translations: tuple[str, ...]
    attended: tuple[AttentionMatrix | None, ...]

    @property
    def has_dev_exact(self) -> bool:
        """Return whether all dev scores have exact match; those in the logs of old runs do not."""
        return all(point.exact is not None for point in self.curve)


class ScoredSystem(SystemResults):
    """One system, with test scores that are compared with those of the others.

    Attributes:
        bleu: BLEU, 0 to 100.
        chrf: chrF, 0 to 100.
        exact_interval: `exact` with its interval, and McNemar's test against the best system.
        plugin_scores: Scores of the metrics of plugins, by name.
    """

    bleu: BootstrapInterval
    chrf: BootstrapInterval
    exact_interval: BootstrapInterval
    plugin_scores: dict[str, float] = {}


class MeanScore(Record):
    """A score over several seeds.

    Attributes:
        mean: Its mean.
        deviation: Its sample standard deviation; None of a single seed.
    """

    mean: float
    deviation: float | None

    def __str__(self) -> str:
        return f"{self.mean:.2f}" + ("" if self.deviation is None else f" ± {self.deviation:.2f}")


class SeededScores(Record):
    """The scores of an architecture over several seeds.

    Attributes:
        name: Name of the architecture.
        count: Number of seeds with which training has not failed.
        scores: Each score, by the name of its metric.
    """

    name: str
    count: int
    scores: dict[str, MeanScore]

    def describe(self) -> str:
        """Return for example `modern, 5 seeds: BLEU 38.20 ± 0.31, chrF 62.10 ± 0.20, exact % 10.00 ± 0.50`."""
        scores = ", ".join(f"{metric} {score}" for metric, score in self.scores.items())
        return f"{self.name}, {self.count} {'seed' if self.count == 1 else 'seeds'}: {scores}"


class Sample(Record):
    """A test pair that is shown with the translation of every system."""

    source: str
    reference: str


class ComparisonReport(Record):
    """The whole report.

    Attributes:
        title: For example "numbers, en to de".
        date: Date in ISO format.
        machine: CPU cores, device and version of PyTorch.
        minutes: Training budget of each system, None for finished runs and without a limit of time.
        limit: What ends training if no time does, such as `at most 20,000 steps`; empty for finished runs.
        test: What the test set is.
        test_pairs: Number of its pairs.
        beam_size: Beam size of all systems.
        metric: The metric that suits the task: the first column of scores, and the curves of dev scores.
        signatures: sacreBLEU's signature of each metric.
        samples: Pairs that are shown with their translations.
        systems: The systems, in the order of their papers.
        seeds: The means over the seeds; empty if each architecture was trained with one.
    """

    title: str
    date: str
    machine: str
    minutes: float | None
    limit: str = ""
    test: str = ""
    test_pairs: int
    beam_size: int
    metric: Literal["BLEU", "exact match"] = "BLEU"
    signatures: dict[str, str]
    samples: tuple[Sample, ...]
    systems: tuple[ScoredSystem, ...]
    seeds: tuple[SeededScores, ...] = ()

    @property
    def budget(self) -> str:
        """How long each system was trained, such as `10 minutes`; empty for finished runs."""
        return self.limit if self.minutes is None else f"{self.minutes:g} minutes"

    def dev_score(self, point: DevPoint) -> float:
        """Return the score of a checkpoint by the report's metric, 0 to 100."""
        return point.bleu if self.metric == "BLEU" else point.exact or 0.0

    def length_score(self, length_bin: LengthBin) -> float:
        """Return the score of a bin of source lengths by the report's metric, 0 to 100."""
        return length_bin.bleu if self.metric == "BLEU" else 100 * length_bin.exact
