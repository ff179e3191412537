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
    drawing: SamplingParams | None = None,
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
        params=drawing or SamplingParams(),
        seeds=range(len(limits)) if seeds is None else seeds,
    )


def flat(*probabilities: float) -> Script:
    """The same probabilities after every prefix."""
    return lambda sentence, prefix: [math.log(one) if one else -math.inf for one in probabilities]


def distribution(script: Script, limit: int, temperature: float) -> dict[tuple[Prefix, bool], float]:
    """The probability of each whole sample of sentence 0: tokens, and whether it is finished."""
    found: dict[tuple[Prefix, bool], float] = {}

    def visit(prefix: Prefix, so_far: float) -> None:
        logits = torch.tensor(script(0, prefix), dtype=torch.float64) / temperature
        chances = logits[EOS:].softmax(0).tolist()
        for token, chance in enumerate(chances, EOS):
            longer, both = (*prefix, token), so_far * chance
            if token == EOS:
                found[prefix, True] = both
            elif len(longer) == limit:
                found[longer, False] = both
            else:
                visit(longer, both)

    visit((), 1.0)
    return found


def surprise(found: Sequence[Hypothesis], expected: dict[tuple[Prefix, bool], float]) -> float:
    """Pearson's chi-square over what is expected five times or more, as standard deviations above its mean."""
    counts = Counter((one.tokens, one.finished) for one in found)
    assert counts.keys() <= expected.keys()
    often = {key: chance * len(found) for key, chance in expected.items() if chance * len(found) >= 5}
    rest = len(found) - sum(often.values())
    parts = [(counts[key] - mean) ** 2 / mean for key, mean in often.items()]
    parts.append((len(found) - sum(counts[key] for key in often) - rest) ** 2 / rest if rest > 5 else 0.0)
    freedom = len(often) - 1 + (rest > 5)
    return (sum(parts) - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_come_as_often_as_their_probability_says(temperature: float) -> None:
    script = random_script(4, V, scale=1.0)
    (found,) = draw(script, [3], 4000, SamplingParams(temperature))
    assert abs(surprise(found, distribution(script, 3, temperature))) < 4
    assert surprise(found, distribution(script, 3, temperature * 1.4)) > 8


def test_seeds_that_follow_one_another_do_not_draw_alike() -> None:
    script = random_script(4, V, scale=1.0)
    found = draw(lambda _, prefix: script(0, prefix), [2] * 3000, 1, seeds=range(3000))
    assert abs(surprise([one for (one,) in found], distribution(script, 2, 1.0))) < 4


PROBABILITIES = (0.05, 0.05, 0.2, 0.1, 0.25, 0.35)  # PAD, BOS, EOS, 3, 4, 5


@pytest.mark.parametrize(
    ("drawing", "expected"),
    [
        (SamplingParams(), {EOS, 3, 4, 5}),
        (SamplingParams(top_k=1), {5}),
        (SamplingParams(top_k=3), {EOS, 4, 5}),
        (SamplingParams(top_k=4), {EOS, 3, 4, 5}),
        (SamplingParams(top_k=99), {EOS, 3, 4, 5}),
        (SamplingParams(top_p=0.01), {5}),
        (SamplingParams(top_p=0.38), {5}),  # 0.35 of 0.9 that can be drawn
        (SamplingParams(top_p=0.40), {4, 5}),
        (SamplingParams(top_p=0.66), {4, 5}),
        (SamplingParams(top_p=0.68), {EOS, 4, 5}),
        (SamplingParams(top_p=0.90), {EOS, 3, 4, 5}),
        (SamplingParams(top_k=3, top_p=0.74), {4, 5}),  # 0.60 of the 0.80 that top-k leaves
        (SamplingParams(top_k=3, top_p=0.76), {EOS, 4, 5}),
        (SamplingParams(temperature=0.01, top_p=0.99), {5}),
        (SamplingParams(temperature=100, top_p=0.74), {EOS, 4, 5}),
    ],
)
def test_what_top_k_and_top_p_leave(drawing: SamplingParams, expected: set[int]) -> None:
    (found,) = draw(flat(*PROBABILITIES), [1], 500, drawing)
    assert {one.tokens[0] if one.tokens else EOS for one in found} == expected


def test_equals_are_cut_by_top_k_all_the_same() -> None:
    (found,) = draw(flat(*[1 / V] * V), [1], 300, SamplingParams(top_k=2))
    assert len({one.tokens for one in found}) == 2


def test_pad_and_bos_are_never_drawn_and_keep_their_probability() -> None:
    (found,) = draw(flat(0.4, 0.5, 0.05, 0.05, 0.0, 0.0), [2], 400)
    assert {one.tokens for one in found} == {(), (3,), (3, 3)}
    for one in found:
        assert one.log_probability == pytest.approx((len(one.tokens) + one.finished) * math.log(0.05))


@pytest.mark.parametrize(
    "drawing", [SamplingParams(), SamplingParams(temperature=3.0), SamplingParams(0.7, top_k=3, top_p=0.9)]
)
def test_log_probability_and_score_are_the_models_own(drawing: SamplingParams) -> None:
    script = random_script(9, V)
    found = draw(script, LIMITS, 5, drawing)
    assert {one.finished for hypotheses in found for one in hypotheses} == {True, False}
    for sentence, (limit, hypotheses) in enumerate(zip(LIMITS, found, strict=True)):
        assert len(hypotheses) == 5
        for one in hypotheses:
            whole = (*one.tokens, EOS) if one.finished else one.tokens
            assert len(whole) == limit or one.finished
            assert len(whole) <= limit
            rows = [torch.tensor(script(sentence, whole[:place])).log_softmax(0) for place in range(len(whole))]
            assert one.log_probability == pytest.approx(
                sum(float(row[token]) for row, token in zip(rows, whole, strict=True)), rel=1e-5
            )
            assert one.score == one.log_probability


@pytest.mark.parametrize("temperature", [0.0, 1e-300, 1e-6])
def test_towards_temperature_zero_it_is_greedy_search(temperature: float) -> None:
    script, memory = random_script(2, V), scripted_memory([V] * len(LIMITS))
    best = greedy_search(ScriptedDecoder(script, V), memory, LIMITS, penalty=no_penalty)
    for one, found in zip(best, draw(script, LIMITS, 3, SamplingParams(temperature)), strict=True):
        assert [(other.tokens, other.finished) for other in found] == [(one.tokens, one.finished)] * 3
        assert found[0].log_probability == pytest.approx(one.log_probability)


@pytest.mark.parametrize("drawing", [SamplingParams(), SamplingParams(1.5, top_k=3, top_p=0.9)])
def test_a_sentences_samples_depend_on_its_own_seed_and_on_nothing_else(drawing: SamplingParams) -> None:
    script, seeds = random_script(7, V), [5, 5, 0, 123456789012, 7, 9, 1, 2]
    together = draw(script, LIMITS, 4, drawing, seeds)
    order = [6, 0, 3, 7, 1, 5, 2, 4]
    shuffled = draw(script, [LIMITS[row] for row in order], 4, drawing, [seeds[row] for row in order], order)
    assert [shuffled[order.index(row)] for row in range(len(order))] == together
    for row in range(len(LIMITS)):
        assert draw(script, [LIMITS[row]], 4, drawing, [seeds[row]], [row]) == [together[row]]
    another = draw(script, LIMITS, 4, drawing, [*seeds[:2], 11, *seeds[3:]])
    assert [one == other for one, other in zip(another, together, strict=True)] == [row != 2 for row in range(8)]


@pytest.mark.parametrize(("point", "expected"), [(0.0, 3), (1 - 2**-24, 4)])
def test_no_point_leads_to_a_token_without_a_chance(
    point: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "rand", lambda *size, generator: torch.full(size, point))
    logits = torch.randn(300, generator=torch.Generator().manual_seed(1)).tolist()
    script: Script = lambda sentence, prefix: [0.0, 0.0, -math.inf, logits[sentence], 0.0, -math.inf]  # noqa: E731
    found = draw(script, [1] * 300, 1)
    assert {one.tokens for (one,) in found} == {(expected,)}


def test_samples_of_a_sentence_differ() -> None:
    (found,) = draw(random_script(7, V, scale=0.5), [8], 20)
    assert len({one.tokens for one in found}) > 10


def test_finished_sentences_leave_the_batch() -> None:
    def script(sentence: int, prefix: Prefix) -> list[float]:
        return [-99.0, -99.0, 0.0 if len(prefix) >= sentence else -99.0, -60.0, -99.0, -60.0]

    decoder = ScriptedDecoder(script, V)
    found = sample(decoder, scripted_memory([1] * 4), [9, 9, 9, 3], samples=5, params=SamplingParams(), seeds=range(4))
    assert [{len(one.tokens) for one in samples} for samples in found] == [{0}, {1}, {2}, {3}]
    assert decoder.rows == [4, 3 * 5, 2 * 5]


def test_attention_follows_its_sample() -> None:
    decoder, lengths = ScriptedDecoder(random_script(3, V), V), [V + sentence % 3 for sentence in range(8)]
    found = sample(
        decoder,
        scripted_memory(lengths),
        LIMITS,
        samples=3,
        params=SamplingParams(),
        seeds=range(8),
        with_attention=True,
    )
    for hypotheses, length in zip(found, lengths, strict=True):
        for one in hypotheses:
            assert one.attention is not None
            fed = (BOS, *one.tokens) if one.finished else (BOS, *one.tokens[:-1])
            assert one.attention.shape == (len(fed), length)
            assert tuple(one.attention.argmax(1).tolist()) == fed


@pytest.mark.parametrize(
    "values", [{"temperature": -1}, {"temperature": math.nan}, {"temperature": math.inf}, {"top_k": -1}]
)
def test_a_drawing_that_is_none_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(DecodingError, match=next(iter(values))):
        SamplingParams(**values)


@pytest.mark.parametrize("top_p", [0.0, -0.5, 1.01, math.nan])
def test_a_share_that_is_none_is_refused(top_p: float) -> None:
    with pytest.raises(DecodingError, match="top_p"):
        SamplingParams(top_p=top_p)


def test_what_cannot_be_sampled_is_refused() -> None:
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
