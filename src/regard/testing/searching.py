"""Laws of search for every decoder: its hypotheses, their scores, and their independence of the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor

from regard.contract import Seq2Seq
from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.diverse import diverse_beam_search
from regard.decoding.ensemble import ensemble
from regard.decoding.exact import exact_search
from regard.decoding.greedy import greedy_search
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import LengthPenalty, forbid_empty, gnmt, no_penalty
from regard.decoding.lookahead import lookahead_search
from regard.decoding.sampling import SamplingParams, sample
from regard.decoding.scoring import score_tokens
from regard.special_tokens import BOS, EOS, PAD
from regard.testing.assertions import (
    TARGET,
    assert_close,
    assert_number,
    assert_same_hypotheses,
    require,
    require_lively,
)
from regard.testing.case import Case
from regard.testing.law import law
from regard.testing.sequences import SOURCES, TARGETS, as_batch

LIMITS = [9, 4, 7, 12]  # on the length of the target of each source
FEW_TOKENS, SHORT = 6, 4  # so few and short targets that all of them can be tried
WIDE = 300  # a beam that keeps all continuations of these targets
Prefix = tuple[int, ...]
Search = Callable[[Seq2Seq, Tensor, list[int]], list[list[Hypothesis]]]


def find_beams(model: Seq2Seq, sources: Tensor, limits: list[int], beam_size: int = 3) -> list[list[Hypothesis]]:
    """Return all hypotheses of beam search for each of the sources (B, S)."""
    return beam_search(
        model.decoder,
        model.encode(sources),
        limits,
        BeamSettings(beam_size=beam_size, penalty=gnmt(0.6), top_beams=beam_size),
        with_attention=True,
    )


def without_padding(source: Tensor) -> Tensor:
    """Return one source (S,) as a batch (1, S') without padding."""
    return source[source.ne(PAD)][None]


@law("greedy search, which is used for beam_size = 1, finds other translations than beam search")
def greedy_search_is_beam_search_of_size_1(case: Case) -> None:
    """Greedy search returns what beam search returns with beam size 1."""
    model = case.model()
    hypotheses = greedy_search(model.decoder, model.encode(SOURCES), LIMITS, penalty=gnmt(0.6), with_attention=True)
    for row, (hypothesis, beam) in enumerate(
        zip(hypotheses, find_beams(model, SOURCES, LIMITS, beam_size=1), strict=True)
    ):
        assert_same_hypotheses([hypothesis], beam, f"greedy search and beam search of source {row}")


def next_log_probabilities(model: Seq2Seq, source: Tensor, length: int) -> dict[Prefix, list[float]]:
    """Return the next-token log-probabilities after every prefix of at most `length` ordinary tokens.

    Teacher forcing of the longest prefixes gives those of the shorter ones too.
    """
    longest = list(product(range(EOS + 1, model.decoder.vocabulary_size), repeat=length))
    inputs = torch.tensor([[BOS, *prefix] for prefix in longest])
    scores = model(source.expand(len(longest), -1), inputs).log_softmax(-1).tolist()  # (prefixes, length + 1, V)
    return {prefix[:end]: row for prefix, rows in zip(longest, scores, strict=True) for end, row in enumerate(rows)}


def brute_force(
    next_log_probabilities: Callable[[Prefix], Sequence[float]], limit: int, penalty: LengthPenalty
) -> list[tuple[float, float, Prefix]]:
    """Return every hypothesis that ends in EOS within `limit` steps as (score, log-probability, tokens), best first.

    Args:
        next_log_probabilities: Returns the log-probabilities (V,) of the token after a prefix.
        limit: The most steps, EOS included.
        penalty: The length penalty of the scores.
    """
    hypotheses: list[tuple[float, float, Prefix]] = []

    def visit(prefix: Prefix, total: float) -> None:
        row = next_log_probabilities(prefix)
        length = len(prefix) + 1
        ended = total + row[EOS]
        hypotheses.append((ended / float(penalty(torch.tensor(float(length), dtype=torch.float64))), ended, prefix))
        if length < limit:
            for token in range(EOS + 1, len(row)):
                visit((*prefix, token), total + row[token])

    visit((), 0.0)
    return sorted(hypotheses, reverse=True)


@law("beam search does not find the best translations of the model")
def a_wide_beam_agrees_with_brute_force(case: Case) -> None:
    """On a tiny vocabulary, a wide beam returns the best of all targets, scored by teacher forcing."""
    model = case.model(FEW_TOKENS)
    tables = [next_log_probabilities(model, without_padding(source), SHORT - 1) for source in SOURCES]
    for penalty in (gnmt(0.0), gnmt(1.0)):
        beams = beam_search(
            model.decoder,
            model.encode(SOURCES),
            [SHORT] * len(SOURCES),
            BeamSettings(beam_size=WIDE, penalty=penalty, top_beams=5),
        )
        for row, (table, beam) in enumerate(zip(tables, beams, strict=True)):
            best = brute_force(table.__getitem__, SHORT, penalty)[:5]
            tokens = [hypothesis.tokens for hypothesis in beam]
            expected = [prefix for _, _, prefix in best]
            require(tokens == expected, f"the beam of source {row} has {tokens}, and the best targets are {expected}")
            for rank, (hypothesis, (score, _, _)) in enumerate(zip(beam, best, strict=True)):
                names = f"the scores of hypothesis {rank} of source {row} by beam search and by teacher forcing"
                assert_number(hypothesis.score, score, names)


@law("exact search reports a target as proved that is not the best")
def exact_search_agrees_with_a_wide_beam(case: Case) -> None:
    """On a tiny vocabulary, exact search returns the best target, and it is never worse than greedy search."""
    model, limits = case.model(FEW_TOKENS), [SHORT] * len(SOURCES)
    memory = model.encode(SOURCES)
    for penalty in (gnmt(0.0), gnmt(1.0)):
        initial = greedy_search(model.decoder, memory, limits, penalty=penalty)
        wide = beam_search(model.decoder, memory, limits, BeamSettings(beam_size=WIDE, penalty=penalty))
        for max_steps in (5, 1000):
            exact = exact_search(model.decoder, memory, limits, penalty=penalty, initial=initial, max_steps=max_steps)
            for row, (hypothesis, start, (best,)) in enumerate(zip(exact, initial, wide, strict=True)):
                require(
                    hypothesis.score >= start.score or not start.finished,
                    f"exact search of source {row} has score {hypothesis.score:.6g}, greedy search {start.score:.6g}",
                )
                if hypothesis.proved:
                    require(
                        (hypothesis.tokens, hypothesis.finished) == (best.tokens, best.finished),
                        f"exact search and a wide beam of source {row} find {hypothesis.tokens} and {best.tokens}",
                    )
                    names = f"the scores of exact search and of a wide beam for source {row}"
                    assert_number(hypothesis.score, best.score, names, rtol=1e-9)
        require(all(hypothesis.proved for hypothesis in exact), "exact search proves nothing in 1000 steps")


@law("the first token of a translation is not the one that the model predicts")
def the_best_first_token_is_that_of_teacher_forcing(case: Case) -> None:
    """With limit 1 and no empty output, searches return the best token of teacher forcing, unfinished."""
    model = case.model()
    memory, limits, penalty = model.encode(SOURCES), [1] * len(SOURCES), forbid_empty(gnmt(0.6))
    beams = beam_search(model.decoder, memory, limits, BeamSettings(beam_size=3, penalty=penalty))
    proofs = exact_search(
        model.decoder, memory, limits, penalty=penalty, initial=[best for (best,) in beams], max_steps=1000
    )
    for row, (source, (beam,), exact) in enumerate(zip(SOURCES, beams, proofs, strict=True)):
        logits = model(without_padding(source), torch.tensor([[BOS]]))[0, -1]  # (V,)
        total, token = logits.log_softmax(0)[EOS + 1 :].max(0)
        best = (int(token) + EOS + 1,)
        for name, hypothesis in (("beam", beam), ("exact", exact)):
            require(
                (hypothesis.tokens, hypothesis.finished) == (best, False),
                f"{name} search of source {row} returns {hypothesis.tokens}, and the best token is {best}",
            )
            assert_number(hypothesis.score, float(total), f"its scores in {name} search and by teacher forcing")
        require(exact.proved is False, f"exact search of source {row} proves an unfinished hypothesis")


@law("lookahead search finds other translations than the searches that it lies between")
def lookahead_lies_between_greedy_search_and_a_wide_beam(case: Case) -> None:
    """Lookahead of depth 1 is greedy search, and of full depth a wide beam."""
    model = case.model(FEW_TOKENS)
    memory, limits = model.encode(SOURCES), [SHORT] * len(SOURCES)
    width = model.decoder.vocabulary_size - EOS  # all tokens that a target may have
    shallow, deep = (
        lookahead_search(
            model.decoder, memory, limits, depth=depth, width=width, penalty=no_penalty, with_attention=True
        )
        for depth in (1, SHORT)
    )
    greedy = greedy_search(model.decoder, memory, limits, penalty=no_penalty, with_attention=True)
    assert_same_hypotheses(shallow, greedy, "lookahead of depth 1 and greedy search")
    beams = beam_search(
        model.decoder,
        memory,
        limits,
        BeamSettings(beam_size=WIDE, penalty=no_penalty, top_beams=WIDE),
        with_attention=True,
    )
    best = [max(beam, key=lambda hypothesis: hypothesis.log_probability) for beam in beams]
    assert_same_hypotheses(deep, best, "lookahead of full depth and a wide beam")


@law("diverse beam search finds other translations than beam search where it should not")
def diverse_beam_search_with_1_group_is_beam_search(case: Case) -> None:
    """Diverse beam search with one group returns what beam search returns."""
    model = case.model()
    beams = diverse_beam_search(
        model.decoder,
        model.encode(SOURCES),
        LIMITS,
        BeamSettings(beam_size=3, penalty=gnmt(0.6)),
        groups=1,
        strength=1.0,
        with_attention=True,
    )
    for row, (actual, expected) in enumerate(zip(beams, find_beams(model, SOURCES, LIMITS), strict=True)):
        assert_same_hypotheses(actual, expected, f"diverse beam search and beam search of source {row}")


def find_samples(model: Seq2Seq, sources: Tensor, rows: list[int]) -> list[list[Hypothesis]]:
    """Return three samples for each of the sources, which are SOURCES[rows]."""
    return sample(
        model.decoder,
        model.encode(sources),
        [LIMITS[row] for row in rows],
        samples=3,
        params=SamplingParams(temperature=1.5, top_k=5),
        seeds=rows,
        with_attention=True,
    )


def find_with_lookahead(model: Seq2Seq, sources: Tensor, rows: list[int]) -> list[list[Hypothesis]]:
    """Return the result of lookahead search for each of the sources, which are SOURCES[rows]."""
    limits = [LIMITS[row] for row in rows]
    hypotheses = lookahead_search(
        model.decoder, model.encode(sources), limits, depth=3, width=2, penalty=gnmt(0.6), with_attention=True
    )
    return [[hypothesis] for hypothesis in hypotheses]


def find_diverse(model: Seq2Seq, sources: Tensor, rows: list[int]) -> list[list[Hypothesis]]:
    """Return diverse hypotheses for each of the sources, which are SOURCES[rows]."""
    return diverse_beam_search(
        model.decoder,
        model.encode(sources),
        [LIMITS[row] for row in rows],
        BeamSettings(beam_size=4, penalty=gnmt(0.6)),
        groups=2,
        strength=1.0,
        with_attention=True,
    )


SEARCHES: dict[str, Search] = {
    "sampling": find_samples,
    "lookahead search": find_with_lookahead,
    "diverse beam search": find_diverse,
}


@law("a sentence gets another translation in another batch: results cannot be repeated")
def every_search_is_independent_of_the_batch(case: Case) -> None:
    """Sampling, lookahead and diverse search return for a sentence alone what they return for it in a batch.

    Their log-probabilities are those of teacher forcing.
    """
    model = case.model()
    for name, search in SEARCHES.items():
        together = search(model, SOURCES, [0, 1, 2, 3])
        for row in (2, 3):
            alone = search(model, without_padding(SOURCES[row]), [row])[0]
            assert_same_hypotheses(alone, together[row], f"{name} of source {row} alone and in a batch")
        _assert_log_probabilities(model, together, name)


@law("beam search finds other translations in other batches")
def beam_search_is_independent_of_the_batch(case: Case) -> None:
    """Beam search returns for one sentence, and for three, what it returns for all."""
    model = case.model()
    sources, limits = torch.cat((SOURCES, SOURCES.flip(0))), LIMITS + LIMITS[::-1]
    together = find_beams(model, sources, limits)
    for size in (1, 3):
        for start in range(0, len(sources), size):
            batch = sources[start : start + size]
            batch = batch[:, : int(batch.ne(PAD).sum(1).max())]
            beams = find_beams(model, batch, limits[start : start + size])
            for row, beam in enumerate(beams, start=start):
                names = f"beam search of source {row} in a batch of {len(batch)} and in one of {len(sources)}"
                assert_same_hypotheses(beam, together[row], names)


def _assert_log_probabilities(model: Seq2Seq, beams: Sequence[Sequence[Hypothesis]], name: str) -> None:
    """Assert that the hypotheses for SOURCES have the log-probabilities of teacher forcing."""
    outputs = [
        (row, hypothesis, (*hypothesis.tokens, EOS) if hypothesis.finished else hypothesis.tokens)
        for row, hypotheses in enumerate(beams)
        for hypothesis in hypotheses
    ]
    scores = score_tokens(
        model,
        SOURCES[[row for row, _, _ in outputs]],
        as_batch([(BOS, *tokens[:-1]) for _, _, tokens in outputs]),
        as_batch([tokens for _, _, tokens in outputs]),
    ).tolist()
    for row, hypothesis, tokens in outputs:
        expected, scores = scores[: len(tokens)], scores[len(tokens) :]
        names = f"the log-probabilities of {tokens} for source {row} by {name} and by teacher forcing"
        assert_number(hypothesis.log_probability, sum(expected), names)
        for place, (actual, score) in enumerate(zip(hypothesis.token_log_probabilities, expected, strict=True)):
            assert_number(actual, score, f"{names}, at token {place}")


@law("search ranks hypotheses by numbers that are not their probabilities")
def hypotheses_have_the_log_probability_of_teacher_forcing(case: Case) -> None:
    """The log-probability of a hypothesis of beam search is that of its tokens by teacher forcing."""
    model = case.model()
    beams = find_beams(model, SOURCES, LIMITS)
    finished = [[hypothesis for hypothesis in beam if hypothesis.finished] for beam in beams]
    require_lively(any(finished), "no hypothesis ends with EOS")
    _assert_log_probabilities(model, finished, "beam search")


@law("an ensemble of several checkpoints translates differently from what its members predict")
def an_ensemble_of_copies_agrees_with_the_model(case: Case) -> None:
    """An ensemble of three copies of the model predicts and finds what the model does."""
    model = case.model()
    copies = ensemble([model, model, model])
    names = "the log-probabilities of an ensemble of copies and of the model"
    assert_close(copies(SOURCES, TARGETS), model(SOURCES, TARGETS).log_softmax(-1), names, TARGET)
    beams = zip(find_beams(copies, SOURCES, LIMITS), find_beams(model, SOURCES, LIMITS), strict=True)
    for row, (actual, expected) in enumerate(beams):
        assert_same_hypotheses(actual, expected, f"searches with an ensemble of copies and the model, source {row},")
