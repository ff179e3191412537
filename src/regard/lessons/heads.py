"""Lesson 5: what each head of a Transformer attends to, and what is lost without positions or without the mask."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regard.lessons.ablation import Ablation, ablate
from regard.lessons.tasks import SEPARATOR, TASKS

Array = np.ndarray[Any, Any]
Pairs = Sequence[tuple[str, str]]

COMPLETE, NO_POSITIONS, NO_MASK = "dates-transformer2017", "dates-no-positions", "dates-no-mask"
SIZES = (1, 2)  # dates in a source, in training and in the test
COUNT = 100  # test pairs of each size
EXAMPLES = 12
SEPARATORS = " ,;.-"
RARE = 0.005  # characters whose share of the training sources is below
START, END = "<s>", "</s>"
MASKED_EXAMPLE = ("Nov 22, 2026", "2026-11-22")


def heads(runs: Mapping[str, Path]) -> dict[str, Any]:
    """Return the data of lesson 5: shares of each head's weight, examples, and both ablations."""
    pairs = {size: TASKS["dates"].make("test", size, COUNT) for size in SIZES}
    everything = [pair for size in SIZES for pair in pairs[size]]
    return {
        "pairs": COUNT,
        "examples": [source for pair in zip(*pairs.values(), strict=True) for source, _ in pair][:EXAMPLES],
        "rare": "".join(sorted(rare_characters())),
        "shares": shares(runs[COMPLETE], everything),
        "positions": positions(runs, pairs),
        "mask": mask(runs, everything),
    }


def rare_characters() -> set[str]:
    """Return the characters that are rare in the sources of the training data, without separators."""
    sources = "".join(source for source, _ in TASKS["dates"].training_pairs(10_000, SIZES))
    limit = RARE * len(sources)
    return {character for character, count in Counter(sources).items() if count < limit} - set(SEPARATORS)


def aligned_characters(source: str, target: str) -> list[range]:
    """Return for each character of the target where in the source it was read: its year, month or day, or nothing."""
    places = []
    start = 0
    for part in source.split(SEPARATOR):
        day, year = (re.search(rf"(?<!\d)\d{{{digits}}}(?!\d)", part) for digits in ("1,2", "4"))
        month = [word for word in re.finditer(r"[^\W\d]+(?:-[^\W\d]+)*", part) if word[0] != "de"][-1]
        assert day and year
        spans = [range(start + match.start(), start + match.end()) for match in (year, month, day)]
        for length, span in zip((4, 2, 2), spans, strict=True):
            places += [span] * length + [range(0)]  # a hyphen, or the space after a date
        start += len(part) + len(SEPARATOR)
    return places[: len(target)]


def relations(part: str, source: str, target: str, rare: set[str]) -> dict[str, Array]:
    """Return what is measured of a part's weights: for each relation a matrix that is 1 where it holds.

    Args:
        part: `encoder`, `decoder` (self-attention) or `source` (the decoder's attention to the source).
        source: The source.
        target: The target.
        rare: Characters that count as rare.
    """
    sources = [*source, END]
    queries, keys = {
        "encoder": (sources, sources),
        "decoder": ([START, *target], [START, *target]),
        "source": ([*target, END], sources),
    }[part]
    shape = (len(queries), len(keys))
    columns = {
        "digit": [key.isdigit() for key in keys],
        "separator": [key in SEPARATORS for key in keys],
        "rare character": [key in rare for key in keys],
        "start token": [key == START for key in keys],
        "end token": [key == END for key in keys],
    }
    by_name = {name: np.broadcast_to(np.array(column, float), shape) for name, column in columns.items()}
    if part == "source":
        aligned = np.zeros(shape)
        for row, places in enumerate(aligned_characters(source, target)):
            aligned[row, list(places)] = 1
        names = ("aligned field", "separator", "end token", "rare character")
        return {"aligned field": aligned, **{name: by_name[name] for name in names[1:]}}
    near = {"previous": np.eye(*shape, k=-1), "same": np.eye(*shape), "next": np.eye(*shape, k=1)}
    if part == "decoder":
        return {
            "previous": near["previous"], "same": near["same"],
            "start token": by_name["start token"], "separator": by_name["separator"],
        }  # fmt: skip
    words = np.cumsum([not character.isalnum() for character in sources])
    inside = np.array([character.isalnum() for character in source] + [False])
    word = (words[:, None] == words) & inside & inside[:, None] & ~np.eye(len(words), dtype=bool)
    dates = np.cumsum([character == SEPARATOR[0] for character in sources])
    return (
        near
        | {"rest of the word": word.astype(float), "same date": (dates[:, None] == dates).astype(float)}
        | {name: by_name[name] for name in ("digit", "separator", "end token", "rare character")}
    )


def shares(run: Path, pairs: Pairs) -> dict[str, Any]:
    """Return the mean share of weight of each head that goes to each relation, and what equal weights would give.

    The mean is over all tokens of the test pairs for which the relation holds with at least one visible token.
    """
    import torch

    from regard.inference.translator import load
    from regard.nn.attention_recorder import record_attention

    translator = load(run, device="cpu")
    model, rare = translator.model, rare_characters()
    totals: dict[str, dict[str, list[Any]]] = {part: {} for part in ("encoder", "decoder", "source")}
    for source, target in pairs:
        tokens, inputs, _ = _tensors(translator, source, target)
        with torch.inference_mode(), record_attention() as recorder:
            model.decoder(inputs, model.encode(tokens))
        layers = len(recorder.self_attention) // 2  # as many in the encoder as in the decoder
        weights = {
            "encoder": recorder.self_attention[:layers],
            "decoder": recorder.self_attention[layers:],
            "source": recorder.source_attention,
        }
        for part, of_layers in weights.items():
            measured = torch.cat(of_layers).double().numpy()  # (layers, H, T, S)
            visible = np.tri(*measured.shape[2:]) if part == "decoder" else np.ones(measured.shape[2:])
            for name, holds in relations(part, source, target, rare).items():
                rows = (holds * visible).any(1)
                equal = ((holds * visible).sum(1) / visible.sum(1))[rows].sum()
                total = totals[part].setdefault(name, [0.0, 0.0, 0])
                total[0] = total[0] + (measured * holds)[:, :, rows].sum((2, 3))
                total[1] += equal
                total[2] += int(rows.sum())
    return {
        part: {
            "relations": list(of_part),
            "equal": [equal / count for _, equal, count in of_part.values()],
            "heads": np.stack([total / count for total, _, count in of_part.values()], 2).tolist(),
        }
        for part, of_part in totals.items()
    }


def positions(runs: Mapping[str, Path], pairs: Mapping[int, Pairs]) -> dict[str, Any]:
    """Return the quality of the model, of the same model with positions of zero, and of one trained without them."""
    systems: dict[str, tuple[str, Ablation | None]] = {
        "with positions": (COMPLETE, None),
        "positions set to zero": (COMPLETE, "positions"),
        "trained without": (NO_POSITIONS, "positions"),
    }
    shuffled = [shuffle(source, seed) for seed, (source, _) in enumerate(pairs[1])]
    result: dict[str, Any] = {"sizes": list(SIZES), "systems": {}}
    for name, (model, part) in systems.items():
        outputs = {
            size: _translate(runs[model] / "best", [source for source, _ in pairs[size]], part) for size in SIZES
        }
        targets = {size: [target for _, target in pairs[size]] for size in SIZES}
        moved = _translate(runs[model] / "best", shuffled, part)
        result["systems"][name] = {
            "exact": [_share(outputs[size], targets[size]) for size in SIZES],
            "characters": [_share(map(sorted, outputs[size]), map(sorted, targets[size])) for size in SIZES],
            "unmoved": _share(outputs[1], moved),
            "examples": [[*pair, output] for pair, output in zip(pairs[1], outputs[1], strict=True)][:EXAMPLES],
        }
    return result


def shuffle(text: str, seed: int) -> str:
    """Return the characters of a text in another order. Spaces stay where they are."""
    characters = [character for character in text if character != " "]
    random.Random(seed).shuffle(characters)
    return "".join(character if character == " " else characters.pop() for character in text)


def mask(runs: Mapping[str, Path], pairs: Pairs) -> dict[str, Any]:
    """Return loss and quality of models trained with and without the causal mask, and what their heads look at."""
    systems: dict[str, tuple[Path, Ablation | None]] = {
        "with": (runs[COMPLETE] / "best", None),
        "without": (runs[NO_MASK] / "last", "mask"),
    }
    result: dict[str, Any] = {"source": MASKED_EXAMPLE[0], "target": [*MASKED_EXAMPLE[1], END], "systems": {}}
    for name, (checkpoint, part) in systems.items():
        outputs = _translate(checkpoint, [source for source, _ in pairs], None)
        result["systems"][name] = {
            "loss": _loss(checkpoint, pairs, part),
            "masked_loss": _loss(checkpoint, pairs, None),
            "exact": _share(outputs, [target for _, target in pairs]),
            "examples": [[*pair, output] for pair, output in zip(pairs, outputs, strict=True)][:EXAMPLES],
            "output": _translate(checkpoint, [MASKED_EXAMPLE[0]], None)[0],
            "weights": _self_attention(checkpoint, part),
        }
    return result


def _translate(checkpoint: Path, sources: Sequence[str], part: Ablation | None) -> list[str]:
    from regard.inference.translator import load

    with ablate(part):
        return [output.text for output in load(checkpoint, device="cpu").translate(list(sources))]


def _loss(checkpoint: Path, pairs: Pairs, part: Ablation | None) -> float:
    """Return the mean loss per token when the model reads the right target, as in training."""
    import torch
    from torch.nn.functional import cross_entropy

    from regard.inference.translator import load

    translator = load(checkpoint, device="cpu")
    decoder = translator.model.decoder
    losses: list[float] = []
    for source, target in pairs:
        tokens, inputs, expected = _tensors(translator, source, target)
        with torch.inference_mode(), ablate(part):
            features = decoder(inputs, translator.model.encode(tokens)).features
            losses += cross_entropy(decoder.readout(features)[0], expected, reduction="none").tolist()
    return sum(losses) / len(losses)


def _self_attention(checkpoint: Path, part: Ablation | None) -> list[Any]:
    """Return the weights (layers, H, T, T) of the decoder's self-attention on the example of the mask."""
    import torch

    from regard.inference.translator import load
    from regard.nn.attention_recorder import record_attention

    translator = load(checkpoint, device="cpu")
    model = translator.model
    tokens, inputs, _ = _tensors(translator, *MASKED_EXAMPLE)
    with torch.inference_mode():
        memory = model.encode(tokens)
        with ablate(part), record_attention() as recorder:
            model.decoder(inputs, memory)
    return [
        [[[round(w, 3) for w in row] for row in head] for head in layer[0].tolist()]
        for layer in recorder.self_attention
    ]


def _tensors(translator: Any, source: str, target: str) -> tuple[Any, Any, Any]:
    """Return the source (1, S), the target as the decoder reads it (1, T), and what it should write (T,)."""
    import torch

    from regard.special_tokens import BOS, EOS

    tokenizers = translator.tokenizers
    ids = tokenizers.target.encode(target)
    return (
        torch.tensor([[*tokenizers.source.encode(source), EOS]]),
        torch.tensor([[BOS, *ids]]),
        torch.tensor([*ids, EOS]),
    )


def _share(values: Any, expected: Any) -> float:
    equal = [value == right for value, right in zip(values, expected, strict=True)]
    return float(np.mean(equal))
