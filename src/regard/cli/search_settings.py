"""Settings of a search that are given on the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from regard.errors import ConfigError

if TYPE_CHECKING:
    from regard.inference.translator import SearchOptions


def search_settings(
    settings: Sequence[str] | None,
    search: Sequence[str] | None = None,
    *,
    option: str = "--set",
    **values: int | float | None,
) -> SearchOptions:
    """Return the keys of [search] that the command line overrides.

    Args:
        settings: Texts `search.KEY=VALUE`, or `KEY=VALUE`.
        search: More of them, from the option `--search`.
        option: The option that `settings` come from, for messages.
        values: Keys that have an option, such as `beam_size`; None if it is not given.

    Raises:
        ConfigError: A text has another form, names no key of [search], or has a value of a wrong type or out of range.
    """
    overrides: dict[str, Any] = {key: value for key, value in values.items() if value is not None}
    for name, texts in ((option, settings), ("--search", search)):
        for text in texts or ():
            key, value = _parse(text, name)
            overrides[key] = value
            _check(key, value, name)
    return cast("SearchOptions", overrides)


def _parse(text: str, option: str) -> tuple[str, Any]:
    from regard.config.schema import SearchConfig

    key, equals, value = (part.strip() for part in text.partition("="))
    section, dot, name = key.rpartition(".")
    if not equals or (dot and section != "search"):
        raise ConfigError(
            f"`{text}` is not of the form search.KEY=VALUE", where=option, fix="for example search.beam_size=8"
        )
    if name not in SearchConfig.model_fields:
        raise ConfigError(
            f"there is no key `{name}` in [search]",
            where=option,
            fix=f"the keys are {', '.join(SearchConfig.model_fields)}",
        )
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        return name, value  # a bare word is a string


def _check(key: str, value: object, option: str) -> None:
    """Raise ConfigError for a value of a wrong type or out of range, before PyTorch is imported."""
    from pydantic import ValidationError

    from regard.config.schema import SearchConfig

    try:
        SearchConfig.model_validate({key: value})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["loc"]:  # otherwise it contradicts another key, which the run's recipe may override
            raise ConfigError(
                f"`search.{key}`: {first['msg']} (it is {value!r})", where=option, fix="give a valid value"
            ) from None
