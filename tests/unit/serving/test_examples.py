"""Examples of a run's dev set."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.serving.clients import ask

from regard.corpus.tagged import add_tags
from regard.serving.api_keys import ApiKeys
from regard.serving.examples import read_examples
from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.service import Service

KEY = "a-key-of-the-tests"
SOURCES = [f"This is sentence number {number}." for number in range(12)]


def write_dev(run: Path, sources: list[str]) -> None:
    (run / "data").mkdir(exist_ok=True)
    table = {"dev": [[source, "geheim"] for source in sources]}
    (run / "data" / "prepared.json").write_text(json.dumps(table))


def test_examples_are_sources_of_the_dev_set(run: Path, models: Models) -> None:
    assert read_examples(models) == []
    try:
        write_dev(run, ["short", "", "x" * 200, "a line\nbreak in a sentence", add_tags(SOURCES[0], ["de"]), *SOURCES])
        (examples,) = read_examples(models)
        assert (examples.model, examples.source, examples.target) == ("small", "en", "de")
        assert examples.texts == SOURCES[::3]
        write_dev(run, ["short", "short", "two"])
        assert read_examples(models)[0].texts == ["short", "two"]
        (run / "data" / "prepared.json").write_text('{"dev": [1, 2]}')
        assert read_examples(models) == []
        write_dev(run, SOURCES)
        service = Service(models, Limits(), ApiKeys([KEY]))
        assert ask(service, "GET", "/examples").status_code == 403
        answer = ask(service, "GET", "/examples", headers={"authorization": f"Bearer {KEY}"})
        assert answer.json()[0]["texts"] == SOURCES[::3]
        assert "geheim" not in answer.text
        service.close()
        service = Service(models, show_examples=False)
        assert ask(service, "GET", "/examples").json() == []
        service.close()
    finally:
        (run / "data" / "prepared.json").unlink()
