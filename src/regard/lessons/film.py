"""The film of lesson 2: what a model attends to at each of 40 checkpoints, from its first step on.

The sources are single dates, in which the right source word of each output digit is known: the year, the month or the
day of the month.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.lessons.models import LessonModel, write_lesson_corpus
from regard.lessons.tasks import TASKS

if TYPE_CHECKING:
    from torch import Tensor

    from regard.contract import Seq2Seq
    from regard.tokenizers.base import Tokenizers

FRAMES = 40
TEST_PAIRS = 300
PARTS = {"year": slice(0, 4), "month": slice(5, 7), "day": slice(8, 10)}
"""The places of a date's parts in its ISO form: `2026-11-22`."""

SENTENCES = (
    ("Sunday, November 22, 2026", "2026-11-22"),
    ("3 de agosto de 1958", "1958-08-03"),
    ("Montag, 17. Februar 2031", "2031-02-17"),
    ("jeudi 30 janvier 1947", "1947-01-30"),
)


@dataclass(frozen=True)
class FilmModel:
    """A model whose training is filmed.

    Attributes:
        model: The model, and how it is trained.
        frozen: The names of parameters that keep their first values.
        has_maps: Whether its attention is part of the film.
    """

    model: LessonModel
    frozen: tuple[str, ...] = ()
    has_maps: bool = True


_WIDTHS = {"hidden_size": 80, "embedding_size": 48, "maxout_size": 48, "attention_size": 48}
_LAYERS = {"encoder_layers": 2, "decoder_layers": 2, "hidden_size": 64, "ffn_size": 256, "num_heads": 4}
FILM_MODELS: Mapping[str, FilmModel] = {
    "bahdanau2014": FilmModel(LessonModel("film", "dates", "bahdanau2014", _WIDTHS, 10 * FRAMES, longest=1)),
    "uniform": FilmModel(
        LessonModel("film-uniform", "dates", "bahdanau2014", _WIDTHS, 10 * FRAMES, longest=1), ("decoder.score",), False
    ),
    "transformer2017": FilmModel(
        LessonModel("film-transformer", "dates", "transformer2017", _LAYERS, 10 * FRAMES, longest=1)
    ),
}


def alignment(_runs: Mapping[str, Path]) -> dict[str, Any]:
    """Train the models of the film, and return the attention and the quality of each checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        films = {name: film_training(model, Path(folder) / name) for name, model in FILM_MODELS.items()}
    examples = [
        {"source": [*source, "</s>"], "target": [*target, "</s>"], "spans": part_spans(source, target)}
        for source, target in SENTENCES
    ]
    return {"pairs": TEST_PAIRS, "sentences": examples, "films": films}


def film_training(film_model: FilmModel, folder: Path) -> dict[str, Any]:
    """Train a model, and return what it attends to and how good it is before the first step and at each checkpoint."""
    from regard.runs.model_init import init_model
    from regard.runs.prepare import prepare
    from regard.training.distributed import SINGLE_PROCESS
    from regard.training.trainer import CheckpointEvent, Trainer

    write_lesson_corpus(film_model.model, folder)
    config = film_model.model.recipe(folder)
    train = {"checkpoint_every": film_model.model.max_steps // FRAMES, "freeze": film_model.frozen, "metric": "loss"}
    config = config.model_copy(update={"train": config.train.model_copy(update=train)})
    prepared = prepare(config, folder / "data", lambda _: None)
    model = init_model(config, folder / "data", prepared, SINGLE_PROCESS, lambda _: None)
    frames: list[dict[str, Any]] = []

    def measure(model: Seq2Seq, step: int) -> dict[str, float]:
        frames.append({"step": step, **_frame(model.eval(), prepared.tokenizers, has_maps=film_model.has_maps)})
        return {"loss": frames[-1]["loss"]}

    def validate(model: Seq2Seq) -> dict[str, float]:
        return measure(model, trainer.progress.step)

    def save(event: CheckpointEvent) -> None:
        """Keep nothing: each frame is measured in the validation."""

    measure(model, 0)
    model.train()
    trainer = Trainer(model, prepared.loader(config), config.train, validate=validate, save=save)
    trainer.run()
    return {key: [frame[key] for frame in frames] for key in frames[0]}


def _frame(model: Seq2Seq, tokenizers: Tokenizers, *, has_maps: bool) -> dict[str, Any]:
    from regard.config.schema import SearchConfig
    from regard.inference.translator import Translator

    pairs = TASKS["dates"].make("test", 1, TEST_PAIRS)
    translator = Translator(model, tokenizers, SearchConfig(beam_size=1, length_penalty=0.0))
    outputs = [out.text for out in translator.translate([source for source, _ in pairs])]
    right = sum(output == target for output, (_, target) in zip(outputs, pairs, strict=True))
    frame = {"exact": right / len(pairs), **measure_attention(model, tokenizers, pairs)}
    if has_maps:
        frame["outputs"] = [out.text for out in translator.translate([source for source, _ in SENTENCES])]
        frame["maps"] = [
            (1000 * attention[0]).round().int().tolist()
            for attention in (force_targets(model, tokenizers, [pair])[1] for pair in SENTENCES)
        ]
    return frame


def force_targets(model: Seq2Seq, tokenizers: Tokenizers, pairs: Sequence[tuple[str, str]]) -> tuple[Tensor, Tensor]:
    """Return the loss of each target token, (B, T), and the attention, (B, T, S); the targets are given."""
    import torch

    from regard.data.batch import make_batch

    batch = make_batch(
        [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in pairs]
    )
    with torch.inference_mode():
        output = model.decoder(batch.target_in, model.encode(batch.source), with_attention=True)
        logits = model.decoder.readout(output.features)
    assert output.attention is not None
    return -logits.log_softmax(-1).gather(-1, batch.target_out.unsqueeze(-1)).squeeze(-1), output.attention


def measure_attention(model: Seq2Seq, tokenizers: Tokenizers, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the loss per token, and for the digits of all parts: loss, share of weight on the right word, entropy."""
    losses, attention = force_targets(model, tokenizers, pairs)
    shares: dict[str, list[float]] = {part: [] for part in PARTS}
    entropies: list[float] = []
    evenly: list[float] = []
    for weights, (source, target) in zip(attention, pairs, strict=True):
        for part, (start, end) in part_spans(source, target).items():
            rows = weights[PARTS[part]]
            shares[part] += rows[:, start:end].sum(-1).tolist()
            entropies += (-rows * rows.clamp_min(1e-12).log2()).sum(-1).tolist()
            evenly += [(end - start) / (len(source) + 1)] * len(rows)
    digits = [share for values in shares.values() for share in values]
    return {
        "loss": losses.mean().item(),
        "part_loss": {part: losses[:, places].mean().item() for part, places in PARTS.items()},
        "share": _mean(digits),
        "part_share": {part: _mean(values) for part, values in shares.items()},
        "even_share": _mean(evenly),
        "entropy": _mean(entropies),
        "even_entropy": _mean([math.log2(len(source) + 1) for source, _ in pairs]),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def part_spans(source: str, target: str) -> dict[str, tuple[int, int]]:
    """Return where the year, the month and the day of a date are in its source, as start and end."""
    year, month, day = (target[places] for places in PARTS.values())
    year_start = source.rindex(year)
    (day_match,) = re.finditer(rf"(?<!\d)0?{int(day)}(?!\d)", source)
    names = sorted(_month_names(int(month)), key=len, reverse=True)
    name = next(name for name in names if name in source)
    month_start = source.rindex(name)  # after the weekday: `mar 3 mar 2020`
    return {
        "year": (year_start, year_start + 4),
        "month": (month_start, month_start + len(name)),
        "day": day_match.span(),
    }


@cache
def _month_names(month: int) -> frozenset[str]:
    """Return the names of a month in the languages of the dates, long and short."""
    from datetime import date

    from babel.dates import format_date

    from regard.corpus.builtin import HAND_PATTERNS

    return frozenset(
        format_date(date(2000, month, 1), pattern, locale=locale)
        for locale in HAND_PATTERNS
        for pattern in ("MMMM", "MMM", "LLLL", "LLL")
    )
