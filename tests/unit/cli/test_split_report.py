"""What `translate` says of lines that hold several sentences where the language is unknown."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from regard.cli import split_report

SEVERAL = "A dog runs. A cat sleeps."


@pytest.mark.parametrize(
    ("share", "is_reported"), [(None, True), (0.0, True), (0.005, True), (0.2, False), (1.0, False)]
)
def test_lines_of_several_sentences_are_reported_unless_training_had_such_lines(
    share: float | None, is_reported: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(split_report, "resolve_checkpoint", lambda run: run)
    config = SimpleNamespace(data=SimpleNamespace(source_language=""))
    monkeypatch.setattr(split_report, "load_config", lambda folder: config)
    monkeypatch.setattr(split_report, "load_several_sentences", lambda folder: share)
    lines = split_report.SplitReport(Path("run"), Path("in"), None)
    lines.count(1, "one", is_divided=False)
    lines.count(2, SEVERAL, is_divided=False)
    lines.print()
    assert ("1 line was translated as one segment, in:2: several sentences" in capsys.readouterr().err) == is_reported
