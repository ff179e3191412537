"""Freeze parts of a model, so that training does not change them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from torch import nn

from regard.errors import ConfigError
from regard.nn.output_layer import TiedLinear

WHERE = "train.freeze"


def freeze(model: nn.Module, names: Sequence[str]) -> list[str]:
    """Freeze the named parameters and return messages about what is frozen.

    Args:
        model: The model; a parameter with several names is frozen by any of them.
        names: Names of parameters, names of modules such as `decoder.embedding`, or patterns that match names of
            parameters, such as `*.bias`.

    Raises:
        ConfigError: If a name matches nothing, or no parameter is left to train.
    """
    if not names:
        return []
    parameters = dict(model.named_parameters(remove_duplicate=False))
    matches = {match for name in names for match in _matching(name, model, list(parameters))}
    for match in matches:
        parameters[match].requires_grad_(False)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    frozen = sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
    if not trained:
        raise ConfigError(
            "all parameters are frozen: nothing is left to train", where=WHERE, fix="freeze fewer of them"
        )
    messages = [f"frozen: {frozen:,} of {trained + frozen:,} parameters; {trained:,} are trained"]
    for alias, parameter in _all_names(model):
        if alias not in matches and not parameter.requires_grad:
            first = min(match for match in matches if parameters[match] is parameter)
            messages.append(f"frozen: {alias} too, which is the same matrix as {first}")
    return messages


def _all_names(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield every name of every parameter, including the weights of tied output layers."""
    yield from model.named_parameters(remove_duplicate=False)
    for name, module in model.named_modules():
        if isinstance(module, TiedLinear) and isinstance(module.weight, nn.Parameter):
            yield f"{name}.weight", module.weight


def _matching(name: str, model: nn.Module, parameters: list[str]) -> list[str]:
    """Return the names of the parameters that `name` matches. Raises ConfigError if there are none."""
    matches = [
        parameter
        for parameter in parameters
        if parameter == name or parameter.startswith(f"{name}.") or fnmatchcase(parameter, name)
    ]
    if matches:
        return matches
    tied = {
        f"{path}{end}"
        for path, module in model.named_modules()
        if isinstance(module, TiedLinear)
        for end in ("", ".weight")
    }
    if name in tied:
        raise ConfigError(
            f"{name} has no separate weights: it is tied to an embedding",
            where=WHERE,
            fix="freeze the embedding instead",
        )
    modules = [path for path, module in model.named_modules() if path and any(True for _ in module.parameters())]
    near = difflib.get_close_matches(name, [*modules, *parameters], n=3, cutoff=0.5)
    raise ConfigError(
        f"no part of the model is named {name!r}",
        where=WHERE,
        fix=f"did you mean {' or '.join(near)}?" if near else f"name a part such as {', '.join(modules[:4])}",
    )
