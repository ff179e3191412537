"""Write the reference of all recipe keys as Markdown: `python -m regard.runs.recipe_reference docs/reference.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from regard.config.names import NameOf
from regard.config.optimization import OptimizationConfig, SecondStageConfig
from regard.config.schema import ColumnTokenizerConfig, CorpusConfig, RunConfig, StartConfig
from regard.models import ARCHITECTURES

INTRODUCTION = """\
# Recipe keys

A recipe is a TOML file with one table per section:

```toml
[data]
source = "train.en"
target = "train.de"

[model]
architecture = "transformer2017"
preset = "small"

[train]
max_steps = 20000
```

```sh
regard train recipe.toml -o runs/mine --set train.max_steps=5000
```

`--set section.key=value` overrides a key. Relative paths are resolved against the folder of the recipe. Only `[data]`
and `[model]` are required. In the tables `(0, 1]` is the range of values greater than 0 and at most 1.

`{name}` in a text of the recipe is a placeholder, such as `file = "{language}.tsv"`: `--with name=value` fills it
in, for [one corpus](training.md#recipes) or for [several](compare.md#one-recipe-for-several-corpora).

`plugins = ["my_model"]`, above all tables, names the [plugins](extending.md) that a recipe needs. regard writes it into
the recipe of a run and into its checkpoints. Unless the plugin is installed, give its file to the commands that read
them: `--plugin my_model.py`. Plugins add values of `tokenizer.kind`, `model.architecture`, `train.metric` and
`search.strategy`, and of `model.score` of `luong2015`; the tables here list regard's own.

This page is generated from the schema by `make reference`.
"""

PRESET = "Presets: {}."


def make_reference() -> str:
    """Return the reference page: a table of keys for each section, and for the [model] section of each architecture."""
    sections = [INTRODUCTION]
    for name, field in RunConfig.model_fields.items():
        if name == "model":
            sections += _model_sections()
            continue
        section = StartConfig if name == "start" else field.annotation
        assert isinstance(section, type) and issubclass(section, BaseModel)
        sections.append(f"## [{name}]\n\n{_summary(section)}\n\n{_table(section)}")
        if name == "tokenizer":
            columns = ColumnTokenizerConfig
            sections.append(f"### [[tokenizer.source_columns]]\n\n{_summary(columns)}\n\n{_table(columns)}")
        if name == "train":
            sections.append(_second_stage())
        if name == "data":
            sections.append(f"### [[data.corpora]]\n\n{_summary(CorpusConfig)}\n\n{_corpus_keys()}")
    return "\n".join(sections)


def _model_sections() -> Iterator[str]:
    names = ", ".join(f"`{name}`" for name in ARCHITECTURES)
    yield (
        f"## [model]\n\n`architecture` is required, and one of {names}. Each architecture has its own keys; the "
        "defaults are the sizes of its paper. `preset` names a set of sizes, and keys next to it override single "
        "sizes.\n"
    )
    for name, architecture in ARCHITECTURES.items():
        presets = PRESET.format(", ".join(f"`{preset}`" for preset in architecture.presets))
        table = _table(architecture.config, skip={"architecture"})
        yield f"### {name}\n\n{architecture.paper} ([page](papers/{name}.md)). {presets}\n\n{table}"


def _summary(section: type[BaseModel]) -> str:
    """Return the first line of a docstring without the name of the section."""
    first = (section.__doc__ or "").strip().splitlines()[0]
    text = first.partition(": ")[2] if first.startswith("[") else first
    return text[0].upper() + text[1:]


def _second_stage() -> str:
    shared = OptimizationConfig.model_fields
    inherited = [key for key in shared if SecondStageConfig.model_fields[key].default == shared[key].default]
    keys = ", ".join(f"`{key}`" for key in inherited)
    table = _table(SecondStageConfig, skip=set(inherited))
    introduction = f"{_summary(SecondStageConfig)} It also takes these keys of `[train]`: {keys}."
    return f"### [train.second_stage]\n\n{introduction}\n\n{table}"


def _corpus_keys() -> str:
    keys = ", ".join(f"`{key}`" for key in CorpusConfig.model_fields)
    return f"Each table takes these keys of `[data]`: {keys}.\n"


def _table(section: type[BaseModel], skip: set[str] = frozenset()) -> str:  # type: ignore[assignment]
    rows = ["| key | type | default | range | description |", "| --- | --- | --- | --- | --- |"]
    for key, field in section.model_fields.items():
        if key not in skip:
            cells = f"`{key}`", _field_type(field), _default(field), _range(field), field.description or ""
            rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _field_type(field: FieldInfo) -> str:
    names = next((annotation.built_in for annotation in field.metadata if isinstance(annotation, NameOf)), None)
    return _type(field.annotation) if names is None else ", ".join(f"`{name}`" for name in names)


def _type(annotation: Any) -> str:
    """Return a type as users of TOML know it: `one of`, string, integer, number, boolean, list or tables."""
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "tables" if _is_section(arguments[0]) else f"list of {_plural(_type(arguments[0]))}"
    if arguments and _is_section(arguments[0]):
        return "table"
    if arguments and type(None) in get_args(annotation):
        return _type(arguments[0])
    if arguments and hasattr(annotation, "__metadata__"):
        return _type(annotation.__origin__)
    return {str: "string", int: "integer", float: "number", bool: "boolean"}.get(annotation, "list")


def _plural(type_name: str) -> str:
    return f"lists of {type_name.removeprefix('list of ')}" if type_name.startswith("list of ") else f"{type_name}s"


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "see description"
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return ""
    if isinstance(field.default, tuple) and len(field.default) > 1:
        groups = ((json.dumps(item), len(list(group))) for item, group in groupby(field.default))
        return ", ".join(f"{count}\N{NO-BREAK SPACE}x\N{NO-BREAK SPACE}`{item}`" for item, count in groups)
    return f"`{json.dumps(field.default)}`"


def _range(field: FieldInfo) -> str:
    """Return the range of a number as an interval, for example `[1, 1000]` or `> 0`."""
    limits = {
        name: value
        for limit in field.metadata
        for name in ("ge", "gt", "le", "lt", "multiple_of")
        if (value := getattr(limit, name, None)) is not None
    }
    low = f"[{_number(limits['ge'])}" if "ge" in limits else f"({_number(limits['gt'])}" if "gt" in limits else "(-∞"
    high = f"{_number(limits['le'])}]" if "le" in limits else f"{_number(limits['lt'])})" if "lt" in limits else "∞)"
    interval = "" if low == "(-∞" and high == "∞)" else f"{low},\N{NO-BREAK SPACE}{high}"
    multiple = f"multiple of {limits['multiple_of']}" if "multiple_of" in limits else ""
    return ", ".join(filter(None, (interval, multiple)))


def _number(value: float) -> str:
    """Return a number as a reader writes it; large limits as powers, `10^9` and `2^63`."""
    if value >= 10**8:
        powers = {base**exponent: f"{base}^{exponent}" for base in (2, 10) for exponent in range(8, 65)}
        return powers.get(int(value), f"{value:,.0f}")
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(make_reference(), encoding="utf-8")
