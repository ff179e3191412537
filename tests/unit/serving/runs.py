"""Small runs, trained within seconds: number words from English to German."""

from __future__ import annotations

import random
from pathlib import Path

import torch

from regard.checkpoints.checkpoint import Checkpoint, save_checkpoint
from regard.checkpoints.run_folder import RunFolder
from regard.config.data import CorpusConfig
from regard.config.schema import DataConfig, RunConfig, SearchConfig, TokenizerConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.data.batch import make_batch
from regard.models import build_model, transformer2017
from regard.special_tokens import PAD
from regard.tokenizers.base import Tokenizers, train_tokenizers
from regard.tokenizers.tagged import TaggedTokenizer

WORDS = dict(
    zip(
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
        ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"],
        strict=True,
    )
)
STEPS = 200


def reference(text: str) -> str:
    """Return the correct translation of a line."""
    words = []
    for word in text.split():
        translated = WORDS[word.strip(".").lower()]
        words.append((translated.capitalize() if word[0].isupper() else translated) + "." * word.endswith("."))
    return " ".join(words)


def sentence(generator: random.Random, *, max_words: int = 6) -> str:
    """Return one to six random words; half of the time capitalized, half of the time with a full stop."""
    words = " ".join(generator.choices(list(WORDS), k=generator.randint(1, max_words)))
    words = words.capitalize() if generator.random() < 0.5 else words
    return words + "." * (generator.random() < 0.5)


def sentences(count: int, seed: int) -> list[str]:
    """Return `count` random sentences of all lengths."""
    generator = random.Random(seed)
    return [sentence(generator) for _ in range(count)]


def _train(model: Seq2Seq, tokenizers: Tokenizers, steps: int) -> None:
    optimizer = torch.optim.Adam(model.parameters())
    generator = random.Random(1)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.005 * min(1, (step + 1) / 20) * (1 - 0.9 * step / steps)
        texts = [sentence(generator) for _ in range(32)]
        batch = make_batch(
            [(tokenizers.source.encode(text), tokenizers.target.encode(reference(text))) for text in texts]
        )
        logits = model(batch.source, batch.target_in)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.target_out.flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def make_run(folder: Path, *, steps: int = STEPS, languages: tuple[str, str] = ("en", "de"), beam: int = 3) -> Path:
    """Write a run with one checkpoint after `steps` training steps."""
    run = RunFolder(folder)
    run.checkpoints.mkdir(parents=True)
    add_checkpoint(folder, 1, steps=steps, languages=languages, beam=beam)
    return folder


def add_checkpoint(
    folder: Path,
    number: int,
    *,
    steps: int,
    languages: tuple[str, str] = ("en", "de"),
    beam: int = 3,
    tags: tuple[str, ...] = (),
) -> None:
    """Add a checkpoint and make it the best one."""
    tokenizer = TokenizerConfig(kind="word")
    sizes = transformer2017.Config(
        encoder_layers=1, decoder_layers=1, hidden_size=64, ffn_size=128, num_heads=4, dropout=0.0
    )
    source, target = languages
    data = DataConfig(corpus="dates", source_language=source, target_language=target)
    if tags:
        corpora = tuple(CorpusConfig(source="a", target="b", tags=(tag,)) for tag in tags)
        data = DataConfig(corpora=corpora, source_language=source)
    config = RunConfig(data=data, tokenizer=tokenizer, model=sizes, search=SearchConfig(beam_size=beam))
    tokenizers = train_tokenizers(tokenizer, [(text, reference(text)) for text in sentences(400, 1)])
    if tags:
        tokenizers = Tokenizers(TaggedTokenizer(tokenizers.source, tags), tokenizers.target, joint=False)
    with torch.random.fork_rng():
        torch.manual_seed(number)
        vocabularies = VocabularySizes(tokenizers.source.size, tokenizers.target.size, joint=tokenizers.joint)
        model = build_model(sizes, vocabularies)
        _train(model, tokenizers, steps)
    run = RunFolder(folder)
    path = run.checkpoint(number)
    save_checkpoint(path, Checkpoint(config, tokenizers, model, number, "none", {}))
    run.set_best(path)
