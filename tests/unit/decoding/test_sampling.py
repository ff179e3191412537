from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from tests.doubles import Prefix, Script, ScriptedDecoder, random_script, scripted_memory

from regard.decoding.greedy import greedy_search
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.length_penalty import no_penalty
from regard.decoding.sampling import SamplingParams, sample
from regard.errors import DecodingError
from regard.special_tokens import BOS, EOS

V = 6
LIMITS = [4, 1, 7, 3, 5, 6, 2, 8]


def draw(
    script: Script,
    limits: Sequence[int],
    samples: int,
    params: SamplingParams | None = None,
    seeds: Sequence[int] | None = None,
    rows: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    rows = range(len(limits)) if rows is None else rows
    memory = scripted_memory([V] * (max(rows) + 1)).select(torch.tensor(rows))
    return sample(
        ScriptedDecoder(script, V),
        memory,
        limits,
        samples=samples,
        params=params or SamplingParams(),
        seeds=range(len(limits)) if seeds is None else seeds,
    )


def flat(*probabilities: float) -> Script:
    """Return a script with the same probabilities after every prefix."""
    return lambda sentence, prefix: [math.log(value) if value else -math.inf for value in probabilities]


def distribution(script: Script, limit: int, temperature: float) -> dict[tuple[Prefix, bool], float]:
    """Return the probability of each sample of sentence 0, by its tokens and whether it is finished."""
    probabilities: dict[tuple[Prefix, bool], float] = {}

    def visit(prefix: Prefix, probability: float) -> None:
        logits = torch.tensor(script(0, prefix), dtype=torch.float64) / temperature
        next_probabilities = logits[EOS:].softmax(0).tolist()
        for token, next_probability in enumerate(next_probabilities, EOS):
            longer, extended = (*prefix, token), probability * next_probability
            if token == EOS:
                probabilities[prefix, True] = extended
            elif len(longer) == limit:
                probabilities[longer, False] = extended
            else:
                visit(longer, extended)

    visit((), 1.0)
    return probabilities


def chi_square_deviation(samples: Sequence[Hypothesis], expected: dict[tuple[Prefix, bool], float]) -> float:
    """Return Pearson's chi-square over samples expected five times or more, in standard deviations above its mean."""
    counts = Counter((hypothesis.tokens, hypothesis.finished) for hypothesis in samples)
    assert counts.keys() <= expected.keys()
    frequent = {
        key: probability * len(samples) for key, probability in expected.items() if probability * len(samples) >= 5
    }
    rest = len(samples) - sum(frequent.values())
    terms = [(counts[key] - mean) ** 2 / mean for key, mean in frequent.items()]
    terms.append((len(samples) - sum(counts[key] for key in frequent) - rest) ** 2 / rest if rest > 5 else 0.0)
    freedom = len(frequent) - 1 + (rest > 5)
    return (sum(terms) - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_frequency_of_samples_matches_their_probability(temperature: float) -> None:
    script = random_script(4, V, scale=1.0)
    (samples,) = draw(script, [3], 4000, SamplingParams(temperature))
    assert abs(chi_square_deviation(samples, distribution(script, 3, temperature))) < 4
    assert chi_square_deviation(samples, distribution(script, 3, temperature * 1.4)) > 8


def test_consecutive_seeds_give_independent_samples() -> None:
    script = random_script(4, V, scale=1.0)
    results = draw(lambda _, prefix: script(0, prefix), [2] * 3000, 1, seeds=range(3000))
    assert abs(chi_square_deviation([hypothesis for (hypothesis,) in results], distribution(script, 2, 1.0))) < 4


PROBABILITIES = (0.05, 0.05, 0.2, 0.1, 0.25, 0.35)  # PAD, BOS, EOS, 3, 4, 5


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (SamplingParams(), {EOS, 3, 4, 5}),
        (SamplingParams(top_k=1), {5}),
        (SamplingParams(top_k=3), {EOS, 4, 5}),
        (SamplingParams(top_k=4), {EOS, 3, 4, 5}),
        (SamplingParams(top_k=99), {EOS, 3, 4, 5}),
        (SamplingParams(top_p=0.01), {5}),
        (SamplingParams(top_p=0.38), {5}),  # 0.35 of the 0.9 that can be drawn
        (SamplingParams(top_p=0.40), {4, 5}),
        (SamplingParams(top_p=0.66), {4, 5}),
        (SamplingParams(top_p=0.68), {EOS, 4, 5}),
        (SamplingParams(top_p=0.90), {EOS, 3, 4, 5}),
        (SamplingParams(top_k=3, top_p=0.74), {4, 5}),  # 0.60 of the 0.80 that are left after top-k
        (SamplingParams(top_k=3, top_p=0.76), {EOS, 4, 5}),
        (SamplingParams(temperature=0.01, top_p=0.99), {5}),
        (SamplingParams(temperature=100, top_p=0.74), {EOS, 4, 5}),
    ],
)
def test_the_tokens_left_after_top_k_and_top_p(params: SamplingParams, expected: set[int]) -> None:
    (samples,) = draw(flat(*PROBABILITIES), [1], 500, params)
    assert {hypothesis.tokens[0] if hypothesis.tokens else EOS for hypothesis in samples} == expected


def test_top_k_breaks_ties() -> None:
    (samples,) = draw(flat(*[1 / V] * V), [1], 300, SamplingParams(top_k=2))
    assert len({hypothesis.tokens for hypothesis in samples}) == 2


def test_pad_and_bos_are_never_drawn_and_keep_their_probability() -> None:
    (samples,) = draw(flat(0.4, 0.5, 0.05, 0.05, 0.0, 0.0), [2], 400)
    assert {hypothesis.tokens for hypothesis in samples} == {(), (3,), (3, 3)}
    for hypothesis in samples:
        assert hypothesis.log_probability == pytest.approx(
            (len(hypothesis.tokens) + hypothesis.finished) * math.log(0.05)
        )


@pytest.mark.parametrize(
    "params", [SamplingParams(), SamplingParams(temperature=3.0), SamplingParams(0.7, top_k=3, top_p=0.9)]
)
def test_log_probability_and_score_are_those_of_the_model(params: SamplingParams) -> None:
    script = random_script(9, V)
    results = draw(script, LIMITS, 5, params)
    assert {hypothesis.finished for hypotheses in results for hypothesis in hypotheses} == {True, False}
    for sentence, (limit, hypotheses) in enumerate(zip(LIMITS, results, strict=True)):
        assert len(hypotheses) == 5
        for hypothesis in hypotheses:
            target = (*hypothesis.tokens, EOS) if hypothesis.finished else hypothesis.tokens
            assert len(target) == limit or hypothesis.finished
            assert len(target) <= limit
            rows = [torch.tensor(script(sentence, target[:place])).log_softmax(0) for place in range(len(target))]
            assert hypothesis.log_probability == pytest.approx(
                sum(float(row[token]) for row, token in zip(rows, target, strict=True)), rel=1e-5
            )
            assert hypothesis.score == hypothesis.log_probability


@pytest.mark.parametrize("temperature", [0.0, 1e-300, 1e-6])
def test_a_temperature_near_zero_equals_greedy_search(temperature: float) -> None:
    script, memory = random_script(2, V), scripted_memory([V] * len(LIMITS))
    greedy = greedy_search(ScriptedDecoder(script, V), memory, LIMITS, penalty=no_penalty)
    for expected, samples in zip(greedy, draw(script, LIMITS, 3, SamplingParams(temperature)), strict=True):
        assert [(hypothesis.tokens, hypothesis.finished) for hypothesis in samples] == [
            (expected.tokens, expected.finished)
        ] * 3
        assert samples[0].log_probability == pytest.approx(expected.log_probability)


@pytest.mark.parametrize("params", [SamplingParams(), SamplingParams(1.5, top_k=3, top_p=0.9)])
def test_the_samples_of_a_sentence_depend_on_its_seed_alone(params: SamplingParams) -> None:
    script, seeds = random_script(7, V), [5, 5, 0, 123456789012, 7, 9, 1, 2]
    together = draw(script, LIMITS, 4, params, seeds)
    order = [6, 0, 3, 7, 1, 5, 2, 4]
    shuffled = draw(script, [LIMITS[row] for row in order], 4, params, [seeds[row] for row in order], order)
    assert [shuffled[order.index(row)] for row in range(len(order))] == together
    for row in range(len(LIMITS)):
        assert draw(script, [LIMITS[row]], 4, params, [seeds[row]], [row]) == [together[row]]
    reseeded = draw(script, LIMITS, 4, params, [*seeds[:2], 11, *seeds[3:]])
    assert [samples == expected for samples, expected in zip(reseeded, together, strict=True)] == [
        row != 2 for row in range(8)
    ]


@pytest.mark.parametrize(("point", "expected"), [(0.0, 3), (1 - 2**-24, 4)])
def test_no_random_number_draws_an_impossible_token(
    point: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "rand", lambda *size, generator: torch.full(size, point))
    logits = torch.randn(300, generator=torch.Generator().manual_seed(1)).tolist()
    script: Script = lambda sentence, prefix: [0.0, 0.0, -math.inf, logits[sentence], 0.0, -math.inf]  # noqa: E731
    results = draw(script, [1] * 300, 1)
    assert {hypothesis.tokens for (hypothesis,) in results} == {(expected,)}


def test_samples_of_a_sentence_differ() -> None:
    (samples,) = draw(random_script(7, V, scale=0.5), [8], 20)
    assert len({hypothesis.tokens for hypothesis in samples}) > 10


def test_finished_sentences_leave_the_batch() -> None:
    def script(sentence: int, prefix: Prefix) -> list[float]:
        return [-99.0, -99.0, 0.0 if len(prefix) >= sentence else -99.0, -60.0, -99.0, -60.0]

    decoder = ScriptedDecoder(script, V)
    results = sample(
        decoder, scripted_memory([1] * 4), [9, 9, 9, 3], samples=5, params=SamplingParams(), seeds=range(4)
    )
    assert [{len(hypothesis.tokens) for hypothesis in samples} for samples in results] == [{0}, {1}, {2}, {3}]
    assert decoder.rows == [4, 3 * 5, 2 * 5]


def test_attention_follows_its_sample() -> None:
    decoder, lengths = ScriptedDecoder(random_script(3, V), V), [V + sentence % 3 for sentence in range(8)]
    results = sample(
        decoder,
        scripted_memory(lengths),
        LIMITS,
        samples=3,
        params=SamplingParams(),
        seeds=range(8),
        with_attention=True,
    )
    for hypotheses, length in zip(results, lengths, strict=True):
        for hypothesis in hypotheses:
            assert hypothesis.attention is not None
            fed = (BOS, *hypothesis.tokens) if hypothesis.finished else (BOS, *hypothesis.tokens[:-1])
            assert hypothesis.attention.shape == (len(fed), length)
            assert tuple(hypothesis.attention.argmax(1).tolist()) == fed


@pytest.mark.parametrize(
    "values", [{"temperature": -1}, {"temperature": math.nan}, {"temperature": math.inf}, {"top_k": -1}]
)
def test_invalid_parameters_are_rejected(values: dict[str, int]) -> None:
    with pytest.raises(DecodingError, match=next(iter(values))):
        SamplingParams(**values)


@pytest.mark.parametrize("top_p", [0.0, -0.5, 1.01, math.nan])
def test_an_invalid_top_p_is_rejected(top_p: float) -> None:
    with pytest.raises(DecodingError, match="top_p"):
        SamplingParams(top_p=top_p)


def test_invalid_arguments_are_rejected() -> None:
    script = random_script(1, V)
    with pytest.raises(DecodingError, match="samples is 0"):
        draw(script, [3], 0)
    with pytest.raises(DecodingError, match="2 seeds for 1"):
        draw(script, [3], 1, seeds=[1, 2])
    with pytest.raises(DecodingError, match="limit"):
        draw(script, [0], 1)
    with pytest.raises(DecodingError, match="step 2"):
        draw(lambda _, prefix: [math.nan if prefix else 0.0] * 5 + [0.0 if prefix else 99.0], [3], 1)
    with pytest.raises(DecodingError, match="step 1"):
        draw(flat(0.5, 0.5, 0, 0, 0, 0), [3], 1)
