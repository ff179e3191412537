"""Messages: exactly as they are, and wrapped at words on a terminal if asked for."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from regard.console import say

PLAN = "schedule: at most 2,160 steps (40 epochs), Muon at a learning rate of 0.01, then a decay with 1/sqrt(step)"


@pytest.mark.parametrize(("is_terminal", "wrap"), [(True, False), (False, True)])
def test_a_message_is_one_line(is_terminal: bool, wrap: bool) -> None:
    file = io.StringIO()
    say(PLAN, Console(file=file, force_terminal=is_terminal, width=40, no_color=True), wrap=wrap)
    assert file.getvalue() == f"{PLAN}\n"


def test_a_terminal_shows_whole_words() -> None:
    file = io.StringIO()
    say(PLAN, Console(file=file, force_terminal=True, width=40, no_color=True), wrap=True)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    assert all(line.startswith("  ") for line in lines[1:])
    assert " ".join(line.strip() for line in lines) == PLAN
