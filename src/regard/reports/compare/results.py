"""What the side-by-side report knows of each system; `report.json` is this, field by field."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Score(Record):
    """A test score with the bounds of its 95% bootstrap interval.

    p: of the paired bootstrap against the best system (Koehn 2004); None for the best itself.
    """

    value: float
    low: float
    high: float
    p: float | None = None


class DevPoint(Record):
    """Dev scores at a checkpoint: BLEU, chrF 0 to 100, loss in nats a token."""

    step: int
    minutes: float  # of training so far
    bleu: float
    chrf: float
    loss: float


class LengthBin(Record):
    """Quality over the test sentences whose source has `shortest` to `longest` words, both included."""

    shortest: int
    longest: int
    sentences: int
    bleu: float
    chrf: float


class StepTime(Record):
    """The median time of one training step over sentences of `length` tokens on both sides."""

    length: int
    milliseconds: float


class Attended(Record):
    """What the target's tokens (T) looked at in the source's (S): weights (T, S), rows sum to 1."""

    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]


class Facts(Record):
    """What one system shows by itself."""

    name: str
    paper: str
    parameters: int
    attends: bool
    steps: int
    minutes: float  # of training
    tokens_per_second: float  # target tokens in training, padding left out; the median over its log, 0 without one
    curve: tuple[DevPoint, ...]
    exact: float  # share of test hypotheses that equal their reference, 0 to 1
    sentences_per_second: float  # of the test set's translation
    lengths: tuple[LengthBin, ...]
    step_times: tuple[StepTime, ...]
    translations: tuple[str, ...]  # of the samples, in the report's order
    attended: tuple[Attended | None, ...]  # of the samples; None where the system does not attend


class System(Facts):
    """One system, trained, tested, and held against the others."""

    bleu: Score
    chrf: Score


class Sample(Record):
    """A test pair that is shown under every system."""

    source: str
    reference: str


class Lineage(Record):
    """The whole report."""

    title: str  # for example "numbers, en to de"
    date: str  # ISO
    machine: str  # cores, device, torch
    minutes: float | None  # the budget of each system; None where finished runs were taken
    test: str = ""  # what the test set is
    test_pairs: int
    beam_size: int
    signatures: dict[str, str]  # sacreBLEU's, by metric
    samples: tuple[Sample, ...]
    systems: tuple[System, ...]  # in the order of their papers
