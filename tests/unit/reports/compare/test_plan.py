"""What is refused before the systems of a comparison are trained."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from regard.errors import ConfigError
from regard.reports.compare.plan import ComparisonRequest, make_plan


@pytest.mark.parametrize("name", ["t.en", "t.en/jump"])
def test_an_output_that_is_a_file_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "t.en"
    file.write_text("A dog.\n")
    request = ComparisonRequest(corpus="dates", architectures="cho2014")
    with pytest.raises(ConfigError, match="must be a folder") as caught:
        make_plan(request, tmp_path / name, Console(file=io.StringIO()))
    assert caught.value.where == str(file)
    assert file.read_text() == "A dog.\n"
