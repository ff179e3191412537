"""Parts of a model that training leaves as they are."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from torch import nn

from regard.errors import ConfigError
from regard.nn.output_layer import TiedLinear

WHERE = "train.freeze"


def freeze(model: nn.Module, names: Sequence[str]) -> list[str]:
    """Freeze the parameters of these names; gives sentences that say how many and what else that means.

    A name is a parameter's or a module's, `decoder.embedding`, or a pattern for parameters, `*.bias`. A matrix that has
    several names is frozen by any of them. Raises ConfigError where nothing has such a name, or nothing is left.
    """
    if not names:
        return []
    known = dict(model.named_parameters(remove_duplicate=False))
    meant = {found for name in names for found in _meant(name, model, list(known))}
    for name in meant:
        known[name].requires_grad_(False)
    trained, frozen = (
        sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad is wanted)
        for wanted in (True, False)
    )
    if not trained:
        raise ConfigError("everything is frozen: nothing is left to train", where=WHERE, fix="name less in it")
    told = [f"frozen: {frozen:,} of {trained + frozen:,} parameters; {trained:,} are trained"]
    for other, parameter in _names(model):
        if other not in meant and not parameter.requires_grad:
            first = min(name for name in meant if known[name] is parameter)
            told.append(f"frozen: {other} too, which is the same matrix as {first}")
    return told


def _names(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """All names of all parameters, those of tied output layers too."""
    yield from model.named_parameters(remove_duplicate=False)
    for name, module in model.named_modules():
        if isinstance(module, TiedLinear) and isinstance(module.weight, nn.Parameter):
            yield f"{name}.weight", module.weight


def _meant(name: str, model: nn.Module, known: list[str]) -> list[str]:
    found = [one for one in known if one == name or one.startswith(f"{name}.") or fnmatchcase(one, name)]
    if found:
        return found
    tied = {
        f"{path}{end}"
        for path, module in model.named_modules()
        if isinstance(module, TiedLinear)
        for end in ("", ".weight")
    }
    if name in tied:
        raise ConfigError(
            f"{name} has no weights of its own: it is tied to an embedding", where=WHERE, fix="name the embedding"
        )
    parts = [path for path, module in model.named_modules() if path and any(True for _ in module.parameters())]
    near = difflib.get_close_matches(name, [*parts, *known], n=3, cutoff=0.5)
    raise ConfigError(
        f"no part of the model is named {name!r}",
        where=WHERE,
        fix=f"did you mean {' or '.join(near)}?" if near else f"name a part such as {', '.join(parts[:4])}",
    )
