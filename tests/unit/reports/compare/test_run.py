from __future__ import annotations

import os

import pytest

from regard.reports.compare.run import describe_machine


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the number of cores is asked for in another way")
@pytest.mark.parametrize(("cores", "text"), [(1, "1 core ("), (2, "2 cores (")])
def test_cores_are_counted_in_words_that_agree(cores: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
    assert describe_machine("cpu").startswith(text)
