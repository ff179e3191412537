"""Laws of search over every decoder: what it finds, what it says of it, and that company changes nothing."""

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


def assert_same(some: list[Hypothesis], others: list[Hypothesis]) -> None:
    assert [(one.tokens, one.finished) for one in some] == [(one.tokens, one.finished) for one in others]
    for one, other in zip(some, others, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, rel=1e-9)
        assert one.score == pytest.approx(other.score, rel=1e-9)
        torch.testing.assert_close(one.attention, other.attention)


def test_greedy_search_is_a_beam_of_one(model: Seq2Seq, sources: Tensor) -> None:
    ones = greedy_search(model.decoder, model.encode(sources), LIMITS, penalty=gnmt(0.6), with_attention=True)
    for one, beams in zip(ones, search(model, sources, LIMITS, beam_size=1), strict=True):
        assert_same([one], beams)


def next_log_probabilities(model: Seq2Seq, source: Tensor, length: int) -> dict[Prefix, list[float]]:
    """Return those behind every string of at most `length` ordinary tokens, by teacher forcing of the longest."""
    longest = list(product(range(EOS + 1, model.decoder.vocabulary_size), repeat=length))
    inputs = torch.tensor([[BOS, *prefix] for prefix in longest])
    scores = model(source.expand(len(longest), -1), inputs).log_softmax(-1).tolist()  # (strings, length + 1, V)
    return {prefix[:end]: row for prefix, rows in zip(longest, scores, strict=True) for end, row in enumerate(rows)}


def test_a_wide_beam_is_brute_force(build: Build, sources: Tensor) -> None:
    model, limit = build(6), 4
    rows = [next_log_probabilities(model, source[source.ne(PAD)][None], limit - 1) for source in sources]
    for penalty in (gnmt(0.0), gnmt(1.0)):
        found = beam_search(
            model.decoder, model.encode(sources), [limit] * len(sources), beam_size=40, top_beams=5, penalty=penalty
        )
        for own, hypotheses in zip(rows, found, strict=True):
            best = brute_force(own.__getitem__, limit, penalty)[:5]
            assert [one.tokens for one in hypotheses] == [tokens for _, _, tokens in best]
            assert [one.score for one in hypotheses] == pytest.approx([score for score, _, _ in best])


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_exact_search_is_a_wide_beam_and_never_worse_than_a_narrow_one(
    build: Build, sources: Tensor, alpha: float
) -> None:
    model, limits, penalty = build(6), [4] * len(sources), gnmt(alpha)
    memory = model.encode(sources)
    first = greedy_search(model.decoder, memory, limits, penalty=penalty)
    wide = beam_search(model.decoder, memory, limits, beam_size=40, penalty=penalty)
    for max_steps in (5, 1000):
        found = exact_search(model.decoder, memory, limits, penalty=penalty, initial=first, max_steps=max_steps)
        for one, given, (best,) in zip(found, first, wide, strict=True):
            assert one.score >= given.score or not given.finished
            if one.proved:
                assert (one.tokens, one.finished) == (best.tokens, best.finished)
                assert one.score == pytest.approx(best.score, rel=1e-9)
    assert all(one.proved for one in found)


def test_with_a_limit_of_one_and_no_empty_answer_the_best_token_is_left_unfinished(
    model: Seq2Seq, sources: Tensor
) -> None:
    memory, limits, penalty = model.encode(sources), [1] * len(sources), forbid_empty(gnmt(0.6))
    first = beam_search(model.decoder, memory, limits, beam_size=3, penalty=penalty)
    found = exact_search(
        model.decoder, memory, limits, penalty=penalty, initial=[best for (best,) in first], max_steps=1000
    )
    for source, (beam,), exact in zip(sources, first, found, strict=True):
        own = source[source.ne(PAD)][None]
        total, token = model(own, torch.tensor([[BOS]]))[0, -1].log_softmax(0)[EOS + 1 :].max(0)
        for one in (beam, exact):
            assert (one.tokens, one.finished) == ((int(token) + EOS + 1,), False)
            assert one.score == pytest.approx(float(total))
        assert exact.proved is False


def test_looking_one_step_ahead_is_greedy_search_and_all_steps_a_wide_beam(build: Build, sources: Tensor) -> None:
    model, limit = build(6), 4
    memory, limits = model.encode(sources), [limit] * len(sources)
    near, far = (
        lookahead_search(model.decoder, memory, limits, depth=depth, width=4, penalty=no_penalty, with_attention=True)
        for depth in (1, limit)
    )
    assert_same(near, greedy_search(model.decoder, memory, limits, penalty=no_penalty, with_attention=True))
    every = beam_search(
        model.decoder, memory, limits, beam_size=300, top_beams=300, penalty=no_penalty, with_attention=True
    )
    best = [max(found, key=lambda one: one.log_probability) for found in every]
    assert_same(far, best)


def test_one_group_of_a_diverse_beam_is_beam_search(model: Seq2Seq, sources: Tensor) -> None:
    found = diverse_beam_search(
        model.decoder,
        model.encode(sources),
        LIMITS,
        beam_size=3,
        groups=1,
        strength=1.0,
        penalty=gnmt(0.6),
        with_attention=True,
    )
    for some, others in zip(found, search(model, sources, LIMITS), strict=True):
        assert_same(some, others)


def sampled(model: Seq2Seq, sources: Tensor, rows: list[int]) -> list[list[Hypothesis]]:
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


def looked_ahead(model: Seq2Seq, sources: Tensor, rows: list[int]) -> list[list[Hypothesis]]:
    limits = [LIMITS[row] for row in rows]
    found = lookahead_search(
        model.decoder, model.encode(sources), limits, depth=3, width=2, penalty=gnmt(0.6), with_attention=True
    )
    return [[one] for one in found]


def diverse(model: Seq2Seq, sources: Tensor, rows: list[int]) -> list[list[Hypothesis]]:
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


@pytest.mark.parametrize("find", [sampled, looked_ahead, diverse])
def test_every_search_finds_in_company_what_it_finds_alone_and_says_its_log_probability(
    model: Seq2Seq, sources: Tensor, find: Callable[[Seq2Seq, Tensor, list[int]], list[list[Hypothesis]]]
) -> None:
    together = find(model, sources, [0, 1, 2, 3])
    for row in (2, 3):
        own = sources[row : row + 1, : int(sources[row].ne(PAD).sum())]
        assert_same(find(model, own, [row])[0], together[row])
    wholes = [
        (row, one, (*one.tokens, EOS) if one.finished else one.tokens)
        for row, found in enumerate(together)
        for one in found
    ]
    scores = score_targets(
        model,
        sources[[row for row, _, _ in wholes]],
        as_batch([(BOS, *tokens[:-1]) for _, _, tokens in wholes]),
        as_batch([tokens for _, _, tokens in wholes]),
    )
    assert [one.log_probability for _, one, _ in wholes] == pytest.approx(scores.tolist())


def test_a_hypothesis_has_the_log_probability_that_the_model_gives_it(model: Seq2Seq, sources: Tensor) -> None:
    hypotheses = [(row, one) for row, found in enumerate(search(model, sources, LIMITS)) for one in found]
    finished = [(row, one) for row, one in hypotheses if one.finished]
    assert finished
    scores = score_targets(
        model, sources[[row for row, _ in finished]], *start_with_bos([one.tokens for _, one in finished])
    )
    assert [one.log_probability for _, one in finished] == pytest.approx(scores.tolist())


def test_an_ensemble_of_copies_is_the_model(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    copies = ensemble([model, model, model])
    torch.testing.assert_close(copies(sources, targets), model(sources, targets).log_softmax(-1))
    for one, other in zip(search(copies, sources, LIMITS), search(model, sources, LIMITS), strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("size", [1, 3])
def test_what_is_found_does_not_depend_on_the_batch(model: Seq2Seq, sources: Tensor, size: int) -> None:
    sources, limits = torch.cat((sources, sources.flip(0))), LIMITS + LIMITS[::-1]
    together = search(model, sources, limits)
    for start in range(0, len(sources), size):
        some = sources[start : start + size]
        some = some[:, : int(some.ne(PAD).sum(1).max())]
        for alone, same in zip(search(model, some, limits[start : start + size]), together[start:], strict=False):
            assert_same(alone, same)
