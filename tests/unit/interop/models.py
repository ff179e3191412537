"""Tiny models, trained for a few steps, with SentencePiece tokenizers, and texts for them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from regard.checkpoints.checkpoint import Checkpoint
from regard.config.schema import DataConfig, ModelConfig, RunConfig, SearchConfig, TokenizerConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.corpus.tagged import add_tags as tagged_text
from regard.data.batch import make_batch, pad
from regard.inference.translator import Translation, Translator
from regard.models import ARCHITECTURES, build_model
from regard.special_tokens import EOS, PAD
from regard.tokenizers.base import Tokenizers, train_tokenizers

DATA = DataConfig(source="train.en", target="train.de", source_language="en", target_language="de")
SIZES: dict[str, Any] = {
    "encoder_layers": 2,
    "decoder_layers": 1,
    "hidden_size": 32,
    "ffn_size": 40,
    "num_heads": 4,
    "dropout": 0.0,
}
WORDS = ("the", "small", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "sleeps", "ähnlich", "straße")

LINES = [
    "the small fox",
    "  a lazy\u00a0dog \t sleeps ",
    "straße and ähnlich",
    "dog",
    "over the lazy dog jumps the fox and the small dog sleeps",
    "漢字 <pad> </s> and ꙮ",  # no piece has these characters: they become bytes
]

CASES: dict[str, tuple[str, dict[str, Any], bool]] = {  # architecture, options, and whether the vocabulary is joint
    "transformer2017": ("transformer2017", {}, True),
    "transformer2017/marian": ("transformer2017", {"activation": "silu", "output_bias": True}, False),
    "modern": ("modern", {}, True),
    "modern/grouped": ("modern", {"num_kv_heads": 2}, False),
    "modern/one": ("modern", {"num_kv_heads": 1}, True),
}


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Return sentences, each with its words reversed and in capitals."""
    generator = random.Random(seed)
    sentences = [generator.choices(WORDS, k=generator.randint(1, 6)) for _ in range(count)]
    return [(" ".join(words), " ".join(words[::-1]).upper()) for words in sentences]


def tokenizers(*, joint: bool = True, kind: str = "unigram") -> Tokenizers:
    size = 330 if joint else 295
    config = TokenizerConfig.model_validate({"kind": kind, "vocabulary_size": size, "joint": joint})
    return train_tokenizers(config, pairs(200, 3))


@cache
def trained(case: str) -> Checkpoint:
    """Return a model trained so far that output depends on the source and mostly ends; biases are far from zero."""
    architecture, options, joint = CASES[case]
    config = ARCHITECTURES[architecture].config(**{**SIZES, **options})
    both = tokenizers(joint=joint)
    return checkpoint(config, both, _train(config, both))


def tagged() -> Checkpoint:
    """Return a model trained on two tags: one reverses and capitalizes the words, the other has constant output."""
    config = ARCHITECTURES["transformer2017"].config(**SIZES)
    both = tokenizers().with_tags(["de", "fr"])
    return checkpoint(config, both, _train(config, both, steps=80, tags=("de", "fr")))


def _train(config: ModelConfig, both: Tokenizers, steps: int = 35, tags: Sequence[str] = ()) -> Seq2Seq:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = build_model(config, VocabularySizes(both.source.size, both.target.size, both.joint))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for step in range(steps):
            sides = [
                (tagged_text(source, tags[number % 2 :][:1]), "THE DOG" if tags and number % 2 else target)
                for number, (source, target) in enumerate(pairs(32, step))
            ]
            batch = make_batch([(both.source.encode(source), both.target.encode(target)) for source, target in sides])
            logits = model(batch.source, batch.target_in)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.target_out.flatten(), ignore_index=PAD)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.requires_grad_(False)


def checkpoint(config: ModelConfig, both: Tokenizers, model: Seq2Seq | None = None) -> Checkpoint:
    """Return a checkpoint of the model, or of an untrained model."""
    model = model or build_model(config, VocabularySizes(both.source.size, both.target.size, both.joint))
    recipe = RunConfig(data=DATA, model=config, search=SearchConfig(beam_size=1))
    return Checkpoint(recipe, both, model.eval().requires_grad_(False), 0, "none", {})


def sources(contents: Checkpoint) -> Tensor:
    """Return LINES as token ids (B, S)."""
    return pad([contents.tokenizers.source.encode(line) for line in LINES], last=EOS)


def targets(contents: Checkpoint) -> Tensor:
    """Return random decoder input (B, T)."""
    generator = torch.Generator().manual_seed(5)
    tokens = torch.randint(3, contents.tokenizers.target.size, (len(LINES), 9), generator=generator)
    tokens[:, 0] = 1
    return tokens


def translations(contents: Checkpoint) -> list[Translation]:
    """Return the greedy translations of LINES."""
    translator = Translator(contents.model, contents.tokenizers, contents.config.search)
    results = translator.translate(LINES)
    assert len({result.text for result in results}) > len(LINES) / 2, (
        "most translations are the same: the test compares little"
    )
    assert any(result.finished for result in results)
    return results
