"""Steps of a decoder in one native call: the same results, bit for bit, as layer by layer."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.levels import LEVELS, use_best_level, use_level
from torch import Tensor

from regard.contract import Seq2Seq, VocabularySizes
from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.length_penalty import average
from regard.models import modern, transformer2017
from regard.nn import packed_linear
from regard.nn.attention_memory import Positions, SequenceMemory, SourceMemory
from regard.nn.attention_recorder import record_attention
from regard.nn.inference import freeze_for_inference
from regard.nn.rotary import RotaryPositions
from regard.nn.ssru import SSRU
from regard.nn.transformer import TransformerDecoder

CONFIG = transformer2017.Config(encoder_layers=1, decoder_layers=2, hidden_size=64, ffn_size=128, num_heads=2)
MODERN = modern.Config(encoder_layers=1, decoder_layers=2, hidden_size=128, ffn_size=176, num_heads=4)
SOURCES = torch.tensor([[5, 6, 7, 8, 2], [9, 4, 2, 0, 0], [10, 11, 12, 2, 0]])


def model(**changes: Any) -> Seq2Seq:
    torch.manual_seed(3)
    return transformer2017.build(CONFIG.model_copy(update=changes), VocabularySizes(70, 70, joint=True)).eval()


def modern_model(**changes: Any) -> Seq2Seq:
    torch.manual_seed(3)
    return modern.build(MODERN.model_copy(update=changes), VocabularySizes(70, 70, joint=True)).eval()


MODELS: dict[str, Callable[[], Seq2Seq]] = {
    "transformer2017": model,
    "modern": modern_model,
    "modern with grouped heads": lambda: modern_model(num_kv_heads=2),
    "modern with an SSRU": lambda: modern_model(decoder="ssru"),
    "modern with copying": lambda: modern_model(copy_attention=True),
    "modern with copying and an SSRU": lambda: modern_model(copy_attention=True, decoder="ssru"),
    "transformer2017 with copying": lambda: model(copy_attention=True),
}


def decoder_of(seq2seq: Seq2Seq) -> TransformerDecoder:
    assert isinstance(seq2seq.decoder, TransformerDecoder)
    return seq2seq.decoder


def without_program(frozen: Seq2Seq) -> Seq2Seq:
    plain = copy.deepcopy(frozen)
    assert decoder_of(plain).step_program is None
    return plain


@pytest.mark.parametrize("level", [level for level in LEVELS if level != "plain"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("int8", [True, False])
@torch.no_grad()
def test_every_step_is_the_same_bit_for_bit(int8: bool, name: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_level(level, monkeypatch)
    if not int8 and level not in packed_linear.LEVELS:
        pytest.skip("float32 products of this level are PyTorch's")
    frozen = freeze_for_inference(MODELS[name](), int8=int8)
    decoders, memory = (decoder_of(frozen), decoder_of(without_program(frozen))), frozen.encode(SOURCES)
    assert decoders[0].step_program is not None
    states = [decoder.init_state(memory) for decoder in decoders]
    generator = torch.Generator().manual_seed(1)
    sentences, rows = 3, 1
    for step in range(30):  # several times as many as a buffer has space for
        tokens = torch.randint(3, 70, (sentences * rows,), generator=generator)
        fast, slow = (decoder.step(tokens, state) for decoder, state in zip(decoders, states, strict=True))
        assert fast.logits.equal(slow.logits)
        chosen = torch.randint(rows, (sentences, 4), generator=generator) + torch.arange(sentences)[:, None] * rows
        unfinished = torch.tensor([0, 2]) if step == 20 else None  # a sentence is finished
        chosen = chosen if unfinished is None else chosen[unfinished]
        states = [out.state.select(chosen.flatten(), unfinished) for out in (fast, slow)]
        sentences, rows = chosen.shape


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_a_beam_uses_the_program_and_finds_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = use_best_level(monkeypatch)
    frozen, run, calls = freeze_for_inference(MODELS[name](), int8=True), kernels.decoder_logits, [0]

    def count(*arguments: Any) -> None:
        calls[0] += 1
        run(*arguments)

    monkeypatch.setattr(kernels, "decoder_logits", count)
    results = [
        beam_search(
            seq2seq.decoder,
            seq2seq.encode(SOURCES),
            [12] * 3,
            BeamSettings(beam_size=4, penalty=average(1.0), top_beams=4),
        )
        for seq2seq in (frozen, without_program(frozen))
    ]
    assert results[0] == results[1]
    assert calls[0] >= 11


@torch.no_grad()
def test_a_pickled_model_has_no_program_and_the_same_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    use_best_level(monkeypatch)
    frozen = freeze_for_inference(model())
    copied = pickle.loads(pickle.dumps(frozen))
    assert decoder_of(copied).step_program is None
    assert copied(SOURCES, SOURCES).equal(frozen(SOURCES, SOURCES))


@torch.no_grad()
def test_several_threads_divide_large_float32_products(monkeypatch: pytest.MonkeyPatch) -> None:
    use_best_level(monkeypatch)
    decoder = decoder_of(freeze_for_inference(model()))
    program = decoder.step_program
    if program is None:
        pytest.skip("float32 products of this level are PyTorch's")
    sources = decoder.init_state(freeze_for_inference(model()).encode(SOURCES)).source.memories(with_weights=False)
    small, large = torch.zeros(3, 1, 64), torch.zeros(4096, 1, 64)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert program.can_run(small, sources)
    assert program.can_run(large, sources)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert program.can_run(small, sources)
    assert not program.can_run(large, sources)


@torch.no_grad()
def test_attention_is_given_and_recorded_as_without_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    use_best_level(monkeypatch)
    frozen = freeze_for_inference(model(), int8=True)
    decoder, tokens = decoder_of(frozen), torch.tensor([1, 1, 1])
    assert decoder.step_program is not None
    memory = frozen.encode(SOURCES)
    attention = decoder.advance(tokens, decoder.init_state(memory), with_attention=True).attention
    assert attention is not None
    assert attention.shape == (3, 5)
    with record_attention() as recorder:
        decoder.advance(tokens, decoder.init_state(memory))
    assert len(recorder.source_attention) == len(recorder.self_attention) == 2


def test_other_layers_have_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    use_best_level(monkeypatch)
    models = {
        "a feed-forward layer of another width": modern_model(ffn_size=180),
        "another activation": model(activation="silu"),
        "heads of 8": model(num_heads=8),
    }
    for name, seq2seq in models.items():
        assert decoder_of(freeze_for_inference(seq2seq.eval(), int8=True)).step_program is None, name


def test_a_layer_that_also_computes_otherwise_has_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    use_best_level(monkeypatch)

    class InPlace(transformer2017.DecoderLayer):
        def forward(self, x: Tensor, target: SequenceMemory, source: SourceMemory) -> Tensor:
            return super().forward(x, target, source).mul_(0.5)

    class Copied(transformer2017.DecoderLayer):
        def forward(self, x: Tensor, target: SequenceMemory, source: SourceMemory) -> Tensor:
            return super().forward(x + 1, target, source)

    for kind in (InPlace, Copied):
        seq2seq = model()
        decoder_of(seq2seq).layers[1] = kind(CONFIG).eval()
        assert decoder_of(freeze_for_inference(seq2seq, int8=True)).step_program is None


def test_a_layer_that_uses_kernels_otherwise_has_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    use_best_level(monkeypatch)

    class Forgetful(SSRU):
        def scan(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            outputs, last = super().scan(x, state)
            return outputs, last * 0.5

    class AtTheStart(RotaryPositions):
        def forward(self, x: Tensor, positions: Positions) -> Tensor:
            return super().forward(x, Positions(slice(0, 1), 1))

    class Quadratic(RotaryPositions):
        def table_to(self, end: int) -> Tensor:
            return super().table_to(end).square()

    forgetful, ignorant, mixed = modern_model(decoder="ssru"), modern_model(), modern_model()
    decoder_of(forgetful).layers[1].past = Forgetful(128)
    for seq2seq, rotary in ((ignorant, AtTheStart(32)), (mixed, Quadratic(32))):
        past = decoder_of(seq2seq).layers[1].past
        assert isinstance(past, modern.SelfAttention)
        past.rotary = rotary
    for seq2seq in (forgetful, ignorant, mixed):
        assert decoder_of(freeze_for_inference(seq2seq.eval(), int8=True)).step_program is None


def test_freezing_draws_no_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    use_best_level(monkeypatch)
    seq2seq = model()
    before = torch.get_rng_state()
    freeze_for_inference(seq2seq, int8=True)
    assert torch.get_rng_state().equal(before)
