from __future__ import annotations

from regard.errors import ConfigError


def test_the_message_can_be_read_by_its_former_name() -> None:
    error = ConfigError("the key is unknown", where="recipe.toml", fix="remove it")
    assert error.what == error.message == "the key is unknown"
    assert str(error) == "recipe.toml: the key is unknown\n  what to do: remove it"
