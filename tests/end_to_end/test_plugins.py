"""One plugin with something of every kind, through every command that uses a model."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
from tests.end_to_end.helpers import call, digits, refused, write_lines
from tests.unit.serving.clients import ask

import regard
from regard.checkpoints.checkpoint import load_config
from regard.corpus.corpus import Pair
from regard.data import encoding
from regard.inference import workers
from regard.plugins.registry import LOADED
from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.service import Service

pytestmark = pytest.mark.usefixtures("no_plugins")
PLUGIN = Path(__file__).with_name("example_plugin.py")
NEEDED = ("the plugin `example_plugin` is needed, and is not loaded", "--plugin example_plugin.py")
RECIPE = """
[data]
file = "train.arrows"
dev_file = "dev.arrows"
source_language = "en"
target_language = "de"

[tokenizer]
kind = "digits"

[model]
architecture = "bag_of_words"

[train]
max_steps = 4
checkpoint_every = 2
tokens_per_batch = 256
metric = "same_length"
device = "cpu"
precision = "float32"

[search]
strategy = "wide"
beam_size = 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a corpus, a recipe, and a run of it."""
    folder = tmp_path_factory.mktemp("plugins")
    lines = [f"{source} -> {source[::-1]}" for source in digits(60, 1)]
    write_lines(folder / "train.arrows", [*lines[:50], "no arrow"])
    write_lines(folder / "dev.arrows", lines[50:])
    (folder / "recipe.toml").write_text(RECIPE)
    with mock.patch.dict(LOADED, clear=True):
        trained = call("train", folder / "recipe.toml", "--plugin", PLUGIN, "-o", folder / "run")
    assert trained.code == 0, trained.err
    assert f"regard translate {folder / 'run'} --plugin {PLUGIN} < input.txt" in trained.err
    return folder


def test_training_needs_the_plugin_and_names_it(folder: Path) -> None:
    refused(call("train", folder / "recipe.toml", "-o", folder / "refused"), "unknown architecture 'bag_of_words'")
    refused(call("train", "--resume", folder / "run", "--set", "train.max_steps=6"), *NEEDED)
    resumed = call("train", "--plugin", PLUGIN, "--resume", folder / "run", "--set", "train.max_steps=6")
    assert resumed.code == 0 and "same_length" in resumed.err, resumed.err
    assert json.loads((folder / "run/best/metrics.json").read_text())["same_length"] >= 0
    assert json.loads((folder / "run/best/config.json").read_text())["recipe"]["plugins"] == ["example_plugin"]
    assert (folder / "run/recipe.toml").read_text().startswith('plugins = [\n    "example_plugin",\n]\n')
    assert load_config(folder / "run/best").plugins == ("example_plugin",)


def test_commands_say_which_plugin_they_need(folder: Path) -> None:
    run, pairs = folder / "run", folder / "dev.arrows"
    commands = [
        ("translate", run),
        ("evaluate", run, "--data", pairs),
        ("score", run, "--data", pairs),
        ("attend", run, "12"),
        ("analyze", run, "--data", pairs, "-o", folder / "page.html"),
        ("compare", "--runs", run, "-o", folder / "report"),
        ("serve", run, "--port", "0"),
        ("export", run, folder / "exported", "--to", "ctranslate2"),
        ("shortlist", run),
    ]
    for command in commands:
        refused(call(*command, stdin=b"12\n"), *NEEDED)
    refused(call("inspect", "--data", pairs), "the suffix .arrows is not that of a known format")
    refused(call("translate", run, "--plugin", "nowhere.py"), "nowhere.py: there is no such file")


def test_the_plugin_translates_and_tests(folder: Path) -> None:
    run, pairs, plugin = folder / "run", folder / "dev.arrows", ("--plugin", PLUGIN)
    translated = call("translate", run, *plugin, stdin=b"12\n34\n")
    assert translated.code == 0 and len(translated.out.splitlines()) == 2, translated.err
    beam = call("translate", run, *plugin, "--set", "search.strategy=beam", "--beam-size", "4", stdin=b"12\n34\n")
    assert beam.out == translated.out
    scored = json.loads(call("evaluate", run, *plugin, "--data", pairs, "--json").out)
    assert scored["lines"] == 10 and 0 <= scored["same_length"] <= 100
    assert b"same_length " in call("evaluate", run, *plugin, "--data", pairs).out
    analyzed = call("analyze", run, *plugin, "--data", pairs, "-o", folder / "page.html", "--exact", "1")
    assert analyzed.code == 0 and b"same_length" in analyzed.out, analyzed.err
    assert call("inspect", *plugin, "--data", pairs).code == 0
    shortlist = call("shortlist", run, *plugin)
    assert f"regard translate {run} --set search.shortlist=true --plugin {PLUGIN} < " in shortlist.err, shortlist.err
    assert call("translate", run, *plugin, "--set", "search.shortlist=true", stdin=b"12\n").code == 0
    regard.load_plugin(PLUGIN)
    (row,) = regard.compare(runs=[run], output=folder / "report").rows
    assert row["same_length"] == scored["same_length"]
    (system,) = json.loads((folder / "report/report.json").read_text())["systems"]
    assert system["plugin_scores"] == {"same_length": scored["same_length"]}
    assert "same_length" in (folder / "report/index.html").read_text()


def test_other_processes_load_the_plugin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    regard.load_plugin(PLUGIN)
    load = partial(regard.Translator.load, folder / "run", "cpu")
    (translation,) = workers.stream(load, ["12"], 1)
    assert translation.text == load().translate("12").text
    monkeypatch.setattr(encoding, "SERIAL_PAIRS", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2))
    (chunk,) = encoding.encode([Pair("12", "21", 1)], folder / "run" / "data")
    expected = encoding.encode_in_process([Pair("12", "21", 1)], load().tokenizers)
    assert chunk.source.tolist() == expected.source.tolist()


def test_the_plugin_serves(folder: Path) -> None:
    regard.load_plugin(PLUGIN)
    expected = regard.Translator.load(folder / "run", "cpu").translate("12", split_sentences=False).text
    service = Service(Models([folder / "run"], "cpu"), Limits(gather=0.001))
    try:
        answer = ask(service, "POST", "/translate", json={"q": "12", "source": "en", "target": "de"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["translatedText"] == expected
    finally:
        service.close()
