from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.doubles import tiny_model
from torch import Tensor

from regard.contract import DecoderOutput, Seq2Seq
from regard.reports.compare import timing
from regard.reports.compare.timing import LENGTHS, SENTENCES, step_times


class Clocked(Seq2Seq):
    """Takes a second for each token of a source on a fake clock, and twice as long for the first step of a length."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model = tiny_model()
        super().__init__(model.encoder, model.decoder)
        self.clock = 0.0
        self.seen: list[tuple[tuple[int, ...], tuple[int, ...], bool]] = []
        monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: self.clock))

    def features(self, source: Tensor, target: Tensor, **options: Any) -> DecoderOutput:
        is_first = not self.seen or self.seen[-1][0] != tuple(source.shape)
        self.seen.append((tuple(source.shape), tuple(target.shape), self.training))
        self.clock += source.shape[1] * (2 if is_first else 1)
        return super().features(source, target, **options)


def test_each_length_is_timed_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Clocked(monkeypatch)
    times = step_times(model, 9, lengths=(32, 8, 16), longest_step=1e9)
    assert [(time.length, time.milliseconds) for time in times] == [(8, 8000), (16, 16000), (32, 32000)]
    assert {shapes[:2] for shapes in model.seen} == {((SENTENCES, n),) * 2 for n in (8, 16, 32)}
    assert all(training for _, _, training in model.seen)


def test_timing_stops_after_a_slow_step(monkeypatch: pytest.MonkeyPatch) -> None:
    times = step_times(Clocked(monkeypatch), 9, lengths=(8, 16, 32, 64), longest_step=15.0)
    assert [time.length for time in times] == [8, 16]


def test_a_very_slow_step_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Clocked(monkeypatch)
    step_times(model, 9, lengths=(8, 16))
    assert len(model.seen) == 1


def test_the_model_is_unchanged() -> None:
    model = tiny_model().eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    step_times(model, 9, lengths=(8,))
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_real_model_is_timed_at_every_length() -> None:
    times = step_times(tiny_model(), 9, longest_step=1e9)
    assert [time.length for time in times] == list(LENGTHS)
    assert all(time.milliseconds > 0 for time in times)
