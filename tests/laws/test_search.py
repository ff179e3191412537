"""Laws of search for every decoder: its hypotheses, their scores, and their independence of the batch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from tests.doubles import Prefix, as_batch, brute_force, start_with_bos
from tests.laws.conftest import Build
from torch import Tensor

from regard.contract import Seq2Seq
from regard.decoding.beam import beam_search
from regard.decoding.diverse import diverse_beam_search
from regard.decoding.ensemble import ensemble
from regard.decoding.exact import exact_search
from regard.decoding.greedy import greedy_search
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import forbid_empty, gnmt, no_penalty
from regard.decoding.lookahead import lookahead_search
from regard.decoding.sampling import SamplingParams, sample
from regard.decoding.scoring import score_targets
from regard.special_tokens import BOS, EOS, PAD

LIMITS = [9, 4, 7, 12]


def search(model: Seq2Seq, sources: Tensor, limits: list[int], beam_size: int = 3) -> list[list[Hypothesis]]:
    return beam_search(
        model.decoder,
        model.encode(sources),
        limits,
        beam_size=beam_size,
        top_beams=beam_size,
        penalty=gnmt(0.6),
        with_attention=True,
    )


def assert_same(actual: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert [(a.tokens, a.finished) for a in actual] == [(e.tokens, e.finished) for e in expected]
    for a, e in zip(actual, expected, strict=True):
        assert a.log_probability == pytest.approx(e.log_probability, rel=1e-9)
        assert a.score == pytest.approx(e.score, rel=1e-9)
        torch.testing.assert_close(a.attention, e.attention)


def test_greedy_search_is_beam_search_with_beam_size_1(model: Seq2Seq, sources: Tensor) -> None:
    hypotheses = greedy_search(model.decoder, model.encode(sources), LIMITS, penalty=gnmt(0.6), with_attention=True)
    for hypothesis, beam in zip(hypotheses, search(model, sources, LIMITS, beam_size=1), strict=True):
        assert_same([hypothesis], beam)


def next_log_probabilities(model: Seq2Seq, source: Tensor, length: int) -> dict[Prefix, list[float]]:
    """Return the next-token log-probabilities after every prefix of at most `length` ordinary tokens.

    Teacher forcing of the longest prefixes gives those of the shorter ones too.
    """
    longest = list(product(range(EOS + 1, model.decoder.vocabulary_size), repeat=length))
    inputs = torch.tensor([[BOS, *prefix] for prefix in longest])
    scores = model(source.expand(len(longest), -1), inputs).log_softmax(-1).tolist()  # (prefixes, length + 1, V)
    return {prefix[:end]: row for prefix, rows in zip(longest, scores, strict=True) for end, row in enumerate(rows)}


def test_a_wide_beam_agrees_with_brute_force(build: Build, sources: Tensor) -> None:
    model, limit = build(6), 4
    tables = [next_log_probabilities(model, source[source.ne(PAD)][None], limit - 1) for source in sources]
    for penalty in (gnmt(0.0), gnmt(1.0)):
        beams = beam_search(
            model.decoder, model.encode(sources), [limit] * len(sources), beam_size=40, top_beams=5, penalty=penalty
        )
        for table, beam in zip(tables, beams, strict=True):
            best = brute_force(table.__getitem__, limit, penalty)[:5]
            assert [hypothesis.tokens for hypothesis in beam] == [tokens for _, _, tokens in best]
            assert [hypothesis.score for hypothesis in beam] == pytest.approx([score for score, _, _ in best])


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_exact_search_agrees_with_a_wide_beam_and_is_never_worse_than_greedy_search(
    build: Build, sources: Tensor, alpha: float
) -> None:
    model, limits, penalty = build(6), [4] * len(sources), gnmt(alpha)
    memory = model.encode(sources)
    initial = greedy_search(model.decoder, memory, limits, penalty=penalty)
    wide = beam_search(model.decoder, memory, limits, beam_size=40, penalty=penalty)
    for max_steps in (5, 1000):
        exact = exact_search(model.decoder, memory, limits, penalty=penalty, initial=initial, max_steps=max_steps)
        for hypothesis, start, (best,) in zip(exact, initial, wide, strict=True):
            assert hypothesis.score >= start.score or not start.finished
            if hypothesis.proved:
                assert (hypothesis.tokens, hypothesis.finished) == (best.tokens, best.finished)
                assert hypothesis.score == pytest.approx(best.score, rel=1e-9)
    assert all(hypothesis.proved for hypothesis in exact)


def test_with_limit_1_and_no_empty_output_the_best_token_is_an_unfinished_hypothesis(
    model: Seq2Seq, sources: Tensor
) -> None:
    memory, limits, penalty = model.encode(sources), [1] * len(sources), forbid_empty(gnmt(0.6))
    beams = beam_search(model.decoder, memory, limits, beam_size=3, penalty=penalty)
    proofs = exact_search(
        model.decoder, memory, limits, penalty=penalty, initial=[best for (best,) in beams], max_steps=1000
    )
    for source, (beam,), exact in zip(sources, beams, proofs, strict=True):
        unpadded = source[source.ne(PAD)][None]
        total, token = model(unpadded, torch.tensor([[BOS]]))[0, -1].log_softmax(0)[EOS + 1 :].max(0)
        for hypothesis in (beam, exact):
            assert (hypothesis.tokens, hypothesis.finished) == ((int(token) + EOS + 1,), False)
            assert hypothesis.score == pytest.approx(float(total))
        assert exact.proved is False


def test_lookahead_of_depth_1_is_greedy_search_and_of_full_depth_a_wide_beam(build: Build, sources: Tensor) -> None:
    model, limit = build(6), 4
    memory, limits = model.encode(sources), [limit] * len(sources)
    shallow, deep = (
        lookahead_search(model.decoder, memory, limits, depth=depth, width=4, penalty=no_penalty, with_attention=True)
        for depth in (1, limit)
    )
    assert_same(shallow, greedy_search(model.decoder, memory, limits, penalty=no_penalty, with_attention=True))
    beams = beam_search(
        model.decoder, memory, limits, beam_size=300, top_beams=300, penalty=no_penalty, with_attention=True
    )
    best = [max(beam, key=lambda hypothesis: hypothesis.log_probability) for beam in beams]
    assert_same(deep, best)


def test_diverse_beam_search_with_1_group_is_beam_search(model: Seq2Seq, sources: Tensor) -> None:
    beams = diverse_beam_search(
        model.decoder,
        model.encode(sources),
        LIMITS,
        beam_size=3,
        groups=1,
        strength=1.0,
        penalty=gnmt(0.6),
        with_attention=True,
    )
    for actual, expected in zip(beams, search(model, sources, LIMITS), strict=True):
        assert_same(actual, expected)


def find_samples(model: Seq2Seq, sources: Tensor, rows: list[int]) -> list[list[Hypothesis]]:
    limits = [LIMITS[row] for row in rows]
    return sample(
        model.decoder,
        model.encode(sources),
        limits,
        samples=3,
        params=SamplingParams(temperature=1.5, top_k=5),
        seeds=rows,
        with_attention=True,
    )


def find_with_lookahead(model: Seq2Seq, sources: Tensor, rows: list[int]) -> list[list[Hypothesis]]:
    limits = [LIMITS[row] for row in rows]
    hypotheses = lookahead_search(
        model.decoder, model.encode(sources), limits, depth=3, width=2, penalty=gnmt(0.6), with_attention=True
    )
    return [[hypothesis] for hypothesis in hypotheses]


def find_diverse(model: Seq2Seq, sources: Tensor, rows: list[int]) -> list[list[Hypothesis]]:
    return diverse_beam_search(
        model.decoder,
        model.encode(sources),
        [LIMITS[row] for row in rows],
        beam_size=4,
        groups=2,
        strength=1.0,
        penalty=gnmt(0.6),
        with_attention=True,
    )


@pytest.mark.parametrize("find", [find_samples, find_with_lookahead, find_diverse])
def test_hypotheses_do_not_depend_on_the_batch_and_have_their_log_probability(
    model: Seq2Seq, sources: Tensor, find: Callable[[Seq2Seq, Tensor, list[int]], list[list[Hypothesis]]]
) -> None:
    together = find(model, sources, [0, 1, 2, 3])
    for row in (2, 3):
        unpadded = sources[row : row + 1, : int(sources[row].ne(PAD).sum())]
        assert_same(find(model, unpadded, [row])[0], together[row])
    outputs = [
        (row, hypothesis, (*hypothesis.tokens, EOS) if hypothesis.finished else hypothesis.tokens)
        for row, hypotheses in enumerate(together)
        for hypothesis in hypotheses
    ]
    scores = score_targets(
        model,
        sources[[row for row, _, _ in outputs]],
        as_batch([(BOS, *tokens[:-1]) for _, _, tokens in outputs]),
        as_batch([tokens for _, _, tokens in outputs]),
    )
    assert [hypothesis.log_probability for _, hypothesis, _ in outputs] == pytest.approx(scores.tolist())


def test_the_log_probability_of_a_hypothesis_is_that_of_teacher_forcing(model: Seq2Seq, sources: Tensor) -> None:
    finished = [
        (row, hypothesis)
        for row, beam in enumerate(search(model, sources, LIMITS))
        for hypothesis in beam
        if hypothesis.finished
    ]
    assert finished
    scores = score_targets(
        model, sources[[row for row, _ in finished]], *start_with_bos([hypothesis.tokens for _, hypothesis in finished])
    )
    assert [hypothesis.log_probability for _, hypothesis in finished] == pytest.approx(scores.tolist())


def test_an_ensemble_of_copies_agrees_with_the_model(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    copies = ensemble([model, model, model])
    torch.testing.assert_close(copies(sources, targets), model(sources, targets).log_softmax(-1))
    for actual, expected in zip(search(copies, sources, LIMITS), search(model, sources, LIMITS), strict=True):
        assert_same(actual, expected)


@pytest.mark.parametrize("size", [1, 3])
def test_beam_search_does_not_depend_on_the_batch(model: Seq2Seq, sources: Tensor, size: int) -> None:
    sources, limits = torch.cat((sources, sources.flip(0))), LIMITS + LIMITS[::-1]
    together = search(model, sources, limits)
    for start in range(0, len(sources), size):
        batch = sources[start : start + size]
        batch = batch[:, : int(batch.ne(PAD).sum(1).max())]
        beams = search(model, batch, limits[start : start + size])
        for actual, expected in zip(beams, together[start:], strict=False):
            assert_same(actual, expected)
