"""docs/extending.md: its files are run as they are written there."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end.helpers import call, digits, write_lines
from tests.unit.serving.clients import ask

import regard
from regard.config.recipe import read_config
from regard.models import ARCHITECTURES
from regard.plugins.registry import LOADED, plugin_sources
from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.service import Service

pytestmark = pytest.mark.usefixtures("no_plugins")
PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
FILE = re.compile(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
FILES = dict(FILE.findall(PAGE))
REMAINING = ("my_score.py", "my_tokenizer.py", "my_search.py", "my_format.py", "my_metric.py")
SIZES = ("hidden_size", "embedding_size", "attention_size", "maxout_size")
RECIPE = """
[data]
file = "{0}/train.arrows"
dev_file = "{0}/dev.arrows"
source_language = "en"
target_language = "de"

[tokenizer]
kind = "lower_case"

[model]
architecture = "luong2015"
preset = "small"
num_layers = 1
hidden_size = 12
embedding_size = 12
score = "distance"

[train]
max_steps = 2
tokens_per_batch = 256
metric = "same_length"
device = "cpu"
precision = "float32"

[search]
strategy = "shortest"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of the page, and a corpus."""
    folder = tmp_path_factory.mktemp("extending")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    lines = [f"{source} -> {source[::-1]}" for source in digits(60, 1)]
    write_lines(folder / "train.arrows", [*lines[:50], "no arrow"])
    write_lines(folder / "dev.arrows", lines[50:])
    write_lines(folder / "train.tsv", [line.replace(" -> ", "\t") for line in lines])
    return folder


def test_every_block_of_python_and_toml_is_a_file_that_the_tests_run() -> None:
    used = ["my_model.py", "test_my_model.py", *REMAINING, "recipe.toml", "pyproject.toml"]
    assert list(FILES) == used
    assert len(re.findall(r"^```(?:python|toml)$", PAGE, flags=re.MULTILINE)) == len(used)


def test_the_architecture_has_25_lines_of_code_and_obeys_all_laws(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sum(map(bool, FILES["my_model.py"].splitlines())) <= 25
    monkeypatch.chdir(folder)
    namespace: dict[str, Any] = {}
    exec(compile(FILES["test_my_model.py"], "test_my_model.py", "exec"), namespace)
    namespace["test_laws"]()


def test_the_architecture_trains_translates_compares_and_serves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    plugin = ("--plugin", "my_model.py")
    sizes = [text for size in SIZES for text in ("--set", f"model.{size}=8")]
    options = ("--set", "tokenizer.kind=character", "--set", "train.max_steps=2", *sizes, "-o", "run")
    languages = ("--source-language", "en", "--target-language", "de")
    corpus = ("--data", "train.tsv", "--source-column", "1", "--target-column", "2", *languages)
    trained = call("train", *plugin, *corpus, "--architecture", "convolutional", *options)
    assert trained.code == 0 and "encoder_layers=4; the small preset" in trained.err, trained.err
    translated = call("translate", "run", *plugin, stdin=b"12\n")
    assert translated.code == 0, translated.err
    regard.load_plugin("my_model.py")
    (row,) = regard.compare(runs=["run"], quiet=True).rows
    assert row["name"] == "convolutional"
    service = Service(Models([Path("run")], "cpu"), Limits(gather=0.001))
    try:
        answer = ask(service, "POST", "/translate", json={"q": "12", "source": "en", "target": "de"})
        assert answer.json()["translatedText"] == translated.out.decode().rstrip("\n")
    finally:
        service.close()


def test_the_other_plugins_work_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    plugins = [text for name in REMAINING for text in ("--plugin", name)]
    (folder / "others.toml").write_text(RECIPE.format(folder), encoding="utf-8")
    trained = call("train", "others.toml", *plugins, "-o", "others")
    assert trained.code == 0 and "same_length" in trained.err and "there is no arrow" in trained.err, trained.err
    assert call("inspect", *plugins, "--data", "dev.arrows").code == 0
    without = [text for name in REMAINING[:3] for text in ("--plugin", name)]
    LOADED.clear()
    three = call("translate", "others", *without, "--top-beams", "3", stdin=b"12\n")
    assert three.code == 0, three.err
    model = regard.load("others", "cpu")
    shortest = [len(translation.ids) for translation in model.translate("12", top_beams=3).n_best]
    assert shortest == sorted(shortest)


def test_a_recipe_and_a_package_name_the_plugin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = folder / "site" / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "my_model.py").write_text(FILES["my_model.py"], encoding="utf-8")
    ((_, points),) = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"].items()
    information = folder / "site" / "my_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    text = "".join(f"{name} = {value}\n" for name, value in points.items())
    (information / "entry_points.txt").write_text(f"[regard.plugins]\n{text}")
    monkeypatch.syspath_prepend(str(folder / "site"))
    try:
        config = read_config(folder / "recipe.toml", ARCHITECTURES)
        assert config.plugins == ("my_model",) and config.model.architecture == "convolutional"
        assert plugin_sources() == ("my_model",)
    finally:
        for name in [name for name in sys.modules if name.startswith("my_package")]:
            del sys.modules[name]
