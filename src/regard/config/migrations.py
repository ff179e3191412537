"""Recipe keys that were renamed or added. A recipe or a checkpoint from before still loads.

`RENAMED` has the table. A key of it is a section of the recipe, as `train`, or for [model] an architecture. When you
rename a key, raise `FORMAT` in regard.checkpoints.checkpoint, so that older versions of regard report new checkpoints
as too new.

A checkpoint holds all keys that there were when it was written. Where the default of a key that was added later would
change its translations, `ADDED` has the value that it was trained and validated with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regard.errors import ConfigError

_TRANSFORMER = {"d_model": "hidden_size", "ff": "ffn_size", "heads": "num_heads"}
_RECURRENT = {"hidden": "hidden_size", "embedding": "embedding_size"}

RENAMED: Mapping[str, Mapping[str, str]] = {
    "bahdanau2014": {
        **_RECURRENT,
        "alignment": "attention_size",
        "maxout": "maxout_size",
        "weight_deviation": "init_std",
    },
    "bytenet2016": {
        "d": "hidden_size",
        "encoder_blocks": "encoder_layers",
        "decoder_blocks": "decoder_layers",
        "kernel": "kernel_size",
        "dilations": "num_dilations",
    },
    "cho2014": {**_RECURRENT, "maxout": "maxout_size", "weight_deviation": "init_std"},
    "convs2s2017": {
        "embedding": "embedding_size",
        "encoder": "encoder_convolutions",
        "decoder": "decoder_convolutions",
        "positions": "max_positions",
    },
    "gnmt2016": {**_RECURRENT, "alignment": "attention_size", "weight_bound": "init_bound"},
    "luong2015": {**_RECURRENT, "layers": "num_layers", "window": "window_size", "weight_bound": "init_bound"},
    "modern": {**_TRANSFORMER, "kv_heads": "num_kv_heads"},
    "sutskever2014": {**_RECURRENT, "layers": "num_layers", "weight_bound": "init_bound"},
    "transformer2017": _TRANSFORMER,
}
"""Section or architecture -> old key -> new key."""

ADDED: Mapping[str, Mapping[str, Any]] = {"search": {"patience": 0.0}}
"""Section -> key -> what regard did before there was this key."""


def current_key(section: str, key: str, architecture: object = None) -> str:
    """Return today's name of a recipe key.

    Args:
        section: The section, as `model`.
        key: The key, old or new.
        architecture: For `model`, the value of model.architecture.
    """
    name = architecture if section == "model" else section
    return RENAMED.get(name, {}).get(key, key) if isinstance(name, str) else key


def fill_added_keys(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe of a checkpoint with the keys of `ADDED` that it does not have; it is not changed."""
    filled = dict(recipe)
    for section, values in ADDED.items():
        table = filled.get(section, {})
        if isinstance(table, Mapping):
            filled[section] = {**values, **table}
    return filled


def migrate(recipe: Mapping[str, Any], where: str) -> tuple[dict[str, Any], list[str]]:
    """Return a recipe with today's keys, and a warning for each old key that it had.

    Args:
        recipe: Sections, as read from TOML or JSON; it is not changed.
        where: The name of its file, for errors.

    Raises:
        ConfigError: A key is there by its old name and by its new name.
    """
    warnings: list[str] = []
    migrated: dict[str, Any] = {}
    for section, table in dict(recipe).items():
        if not isinstance(table, Mapping):
            migrated[section] = table
            continue
        names = {key: current_key(section, key, table.get("architecture")) for key in table}
        for old, new in names.items():
            if old == new:
                continue
            if new in table:
                raise ConfigError(
                    f"`{section}.{old}` is the old name of `{section}.{new}`, and both are set",
                    where=where,
                    fix=f"remove `{old}`",
                )
            warnings.append(f"`{section}.{old}` is now called `{section}.{new}`")
        migrated[section] = {names[key]: value for key, value in table.items()}
    return migrated, warnings
