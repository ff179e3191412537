"""The native kernel of beam search finds the same as the general beam search, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.levels import LEVELS, use_best_level, use_level

from regard.contract import Seq2Seq, VocabularySizes
from regard.decoding import native_beam
from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.greedy import greedy_search
from regard.decoding.hypothesis import Hypothesis
from regard.decoding.interruptible import interruptible
from regard.decoding.length_penalty import average, forbid_empty, gnmt
from regard.errors import DecodingError
from regard.models import bahdanau2014, modern, transformer2017
from regard.nn import packed_linear
from regard.nn.inference import freeze_for_inference
from regard.nn.native_search import NativeSearch
from regard.nn.transformer import TransformerDecoder
from regard.special_tokens import EOS, PAD

TRANSFORMER = transformer2017.Config(encoder_layers=1, decoder_layers=2, hidden_size=64, ffn_size=128, num_heads=2)
MODERN = modern.Config(encoder_layers=1, decoder_layers=2, hidden_size=128, ffn_size=176, num_heads=4, num_kv_heads=2)
RECURRENT = bahdanau2014.Config(hidden_size=24, embedding_size=16, attention_size=8, maxout_size=8, init_std=0.3)
SETTINGS = {
    "one best, patience 1": BeamSettings(beam_size=5, penalty=forbid_empty(gnmt(0.6)), patience=1),
    "all, until proof": BeamSettings(beam_size=4, penalty=gnmt(1.3), top_beams=4),
    "three of a narrow beam": BeamSettings(beam_size=3, penalty=average(1.0), top_beams=3, patience=0.5),
    "two": BeamSettings(beam_size=2, penalty=average(0.0), patience=3),
}
OVERFLOW = BeamSettings(beam_size=4, penalty=forbid_empty(average(1000.0)), top_beams=4)  # of float32


def decoder_of(seq2seq: Seq2Seq) -> TransformerDecoder:
    assert isinstance(seq2seq.decoder, TransformerDecoder)
    return seq2seq.decoder


def transformer(*, int8: bool, seed: int = 3) -> Seq2Seq:
    torch.manual_seed(seed)
    return frozen(transformer2017.build(TRANSFORMER, VocabularySizes(70, 70, joint=True)), 3, int8=int8)


def modern_transformer(**changes: Any) -> Seq2Seq:
    torch.manual_seed(8)
    return frozen(modern.build(MODERN.model_copy(update=changes), VocabularySizes(70, 70, joint=True)), 5, int8=True)


def frozen(seq2seq: Seq2Seq, end: float, *, int8: bool) -> Seq2Seq:
    with torch.no_grad():
        decoder_of(seq2seq).embedding.table.weight[EOS] *= end  # so that hypotheses end at different steps
    return freeze_for_inference(seq2seq.eval(), int8=int8)


def recurrent() -> Seq2Seq:
    torch.manual_seed(4)
    seq2seq = bahdanau2014.build(RECURRENT, VocabularySizes(70, 70, joint=True)).eval()
    with torch.no_grad():
        seq2seq.decoder.output.bias[EOS] += 0.5
    return freeze_for_inference(seq2seq)


MODELS: dict[str, Callable[[], Seq2Seq]] = {
    "int8 transformer": lambda: transformer(int8=True),
    "transformer": lambda: transformer(int8=False),
    "modern": modern_transformer,
    "modern with an SSRU": lambda: modern_transformer(decoder="ssru"),
    "recurrent": recurrent,
}


def sources(count: int) -> torch.Tensor:
    tokens = torch.randint(3, 70, (count, 9), generator=torch.Generator().manual_seed(count))
    for row, length in enumerate(torch.arange(count) % 8):
        tokens[row, length] = EOS
        tokens[row, length + 1 :] = PAD
    return tokens


@pytest.fixture
def general(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], Any]:
    """Call a search without the native kernel of beam search."""

    def call(search: Callable[[], Any]) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(native_beam, "is_supported", lambda *arguments: False)
            return search()

    return call


@torch.no_grad()
def test_a_divisor_that_overflows_displaces_no_hypotheses(
    general: Callable[[Callable[[], Any]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_best_level(monkeypatch)
    seq2seq = transformer(int8=False)

    def search() -> list[list[Hypothesis]]:
        return beam_search(seq2seq.decoder, seq2seq.encode(sources(8)), [12] * 8, OVERFLOW)

    results = search()
    assert results == general(search)
    finished = [[hypothesis.finished for hypothesis in n_best] for n_best in results]
    assert finished == [sorted(row, reverse=True) for row in finished] and sum(map(sum, finished)) > 16
    assert all(len(row) == 4 for row in finished)
    assert all(math.isfinite(hypothesis.score) for n_best in results for hypothesis in n_best)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_the_hypotheses_are_the_same_bit_for_bit(
    name: str, general: Callable[[Callable[[], Any]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_best_level(monkeypatch)
    seq2seq = MODELS[name]()
    memory, limits = seq2seq.encode(sources(20)), [3 + 5 * (row % 7) for row in range(20)]
    for case, settings in SETTINGS.items():

        def search(settings: BeamSettings = settings) -> list[list[Hypothesis]]:
            return beam_search(seq2seq.decoder, memory, limits, settings)

        results = search()
        assert results == general(search), case
        assert {hypothesis.finished for n_best in results for hypothesis in n_best} == {True, False}, case
        assert len({len(best.tokens) for best, *_ in results}) > 3, case
        alone = [
            beam_search(seq2seq.decoder, memory.select(torch.tensor([row])), limits[row : row + 1], settings)[0]
            for row in (0, 7, 11)
        ]
        assert [[best.tokens for best in n_best] for n_best in alone] == [
            [best.tokens for best in results[row]] for row in (0, 7, 11)
        ]

    def greedy() -> list[Hypothesis]:
        return greedy_search(seq2seq.decoder, memory, limits, penalty=gnmt(0.6))

    assert greedy() == general(greedy)


@pytest.mark.parametrize("level", [level for level in LEVELS if level != "plain"])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "recurrent"])
@torch.no_grad()
def test_every_step_is_the_same_bit_for_bit(name: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_level(level, monkeypatch)
    if name == "transformer" and level not in packed_linear.LEVELS:
        pytest.skip("float32 products of this level are PyTorch's")
    seq2seq = MODELS[name]()
    memory, generator = seq2seq.encode(sources(3)), torch.Generator().manual_seed(1)
    decoder = seq2seq.decoder
    search, state = decoder.start_search(memory), decoder.init_state(memory)
    assert isinstance(search, NativeSearch)
    sentences, rows = 3, 1
    for step in range(300):  # several times as many as a buffer or the table of positions has space for
        tokens = torch.randint(3, 70, (sentences * rows,), generator=generator)
        out = decoder.step(tokens, state)
        assert search.step(tokens).equal(out.logits)
        chosen = torch.randint(rows, (sentences, 4), generator=generator) + torch.arange(sentences)[:, None] * rows
        unfinished = torch.tensor([0, 2]) if step == 20 else None  # a sentence is finished
        chosen = chosen if unfinished is None else chosen[unfinished]
        state = out.state.select(chosen.flatten(), unfinished)
        search.select(chosen.flatten(), unfinished)
        sentences, rows = chosen.shape


@torch.no_grad()
def test_an_interruptible_decoder_is_as_fast_and_checks_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = use_best_level(monkeypatch)
    steps, checks, run = [0], [0], kernels.decoder_logits

    def count(*arguments: Any) -> None:
        steps[0] += 1
        run(*arguments)

    def check() -> None:
        checks[0] += 1

    monkeypatch.setattr(kernels, "decoder_logits", count)
    seq2seq = transformer(int8=True)
    memory, settings = seq2seq.encode(sources(4)), SETTINGS["all, until proof"]
    results = [
        beam_search(model.decoder, memory, [9] * 4, settings) for model in (seq2seq, interruptible(seq2seq, check))
    ]
    assert results[0] == results[1]
    assert steps[0] == 2 * checks[0] > 10


@torch.no_grad()
def test_logits_that_are_not_finite_are_reported_with_their_step(monkeypatch: pytest.MonkeyPatch) -> None:
    use_best_level(monkeypatch)
    seq2seq = recurrent()
    step, calls = type(seq2seq.decoder).step, [0]

    def spoil(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        out = step(*arguments, **options)
        out.logits[-1, 5] = torch.nan if calls[0] == 3 else 0.0
        return out

    monkeypatch.setattr(type(seq2seq.decoder), "step", spoil)
    with pytest.raises(DecodingError, match="step 3"):
        beam_search(seq2seq.decoder, seq2seq.encode(sources(2)), [9] * 2, SETTINGS["all, until proof"])
