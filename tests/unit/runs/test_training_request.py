"""What a request to train may contain."""

from __future__ import annotations

from typing import Any

import pytest

from regard.config.schema import MAX_VOCABULARY
from regard.errors import ConfigError
from regard.runs.training_request import start_config


@pytest.mark.parametrize("new_tokens", [-5, "5", 2.5, True, MAX_VOCABULARY + 1])
def test_a_vocabulary_is_extended_by_a_valid_number_of_tokens(new_tokens: Any) -> None:
    with pytest.raises(ConfigError, match=f"cannot be extended by {new_tokens!r} tokens") as caught:
        start_config("run", new_tokens, lambda option: f"--{option}")
    assert caught.value.where == "--extend_vocabulary"


def test_a_start_may_extend_the_vocabulary() -> None:
    assert start_config(None, None) is None
    start = start_config("run", 5)
    assert start is not None and start.new_tokens == 5
    with pytest.raises(ConfigError, match="no vocabulary to extend"):
        start_config(None, 5)
