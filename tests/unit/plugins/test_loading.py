"""Plugins from files and packages: what is loaded, and how every error names its line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import regard
from regard.errors import ConfigError, PluginError
from regard.plugins import Plugin
from regard.plugins.names import BUILT_IN
from regard.plugins.registry import (
    LOADED,
    WithPlugins,
    find_plugin,
    plugin_options,
    plugin_sources,
    plugin_values,
    valid_names,
)

pytestmark = pytest.mark.usefixtures("no_plugins")
METRIC = """
from regard.plugins import Plugin

def {name}(hypotheses, references):
    return 1.0

plugin = Plugin(metrics={{"{name}": {name}}})
"""

COUNT = """
import sys

runs = [*getattr(sys.modules.get("regard_plugin_mine"), "runs", []), 1]
"""


def write(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(source: str | Path) -> PluginError:
    modules = {name for name in sys.modules if name.startswith("regard_plugin_")}
    with pytest.raises(PluginError) as caught:
        regard.load_plugin(source)
    assert not LOADED and modules >= {name for name in sys.modules if name.startswith("regard_plugin_")}
    return caught.value


def test_a_file_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, METRIC.format(name="ones") + COUNT)
    plugin = regard.load_plugin(path)
    monkeypatch.chdir(tmp_path)
    assert regard.load_plugin("mine.py") is regard.load_plugin("./mine.py") is plugin
    assert sys.modules["regard_plugin_mine"].runs == [1]
    assert not (tmp_path / "__pycache__").exists()
    assert valid_names("metrics") == (*BUILT_IN["metrics"], "ones")
    assert find_plugin("metrics", "ones") == "mine"
    assert find_plugin("metrics", "bleu") is None and find_plugin("searches", "ones") is None
    assert plugin_sources() == (str(path),)
    assert plugin_options() == f" --plugin {path}"


def test_a_table_has_the_values_of_plugins_after_regards_own(tmp_path: Path) -> None:
    table: WithPlugins[object] = WithPlugins("metrics", {"bleu": 1, "chrf": 2})
    assert list(table) == ["bleu", "chrf"] and "ones" not in table
    plugin = regard.load_plugin(write(tmp_path, METRIC.format(name="ones")))
    assert list(table) == ["bleu", "chrf", "ones"] and len(table) == 3
    assert table["ones"] is plugin.metrics["ones"] is plugin_values("metrics")["ones"]
    assert table["bleu"] == 1
    with pytest.raises(KeyError):
        table["twos"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = 1\ndef f(:\n", 2, "SyntaxError"),
        ("import regard\nimport no_such_module\n", 2, "No module named 'no_such_module', in `import no_such_module`"),
        ("def fail():\n    return 1 / 0\n\nfail()\n", 2, "ZeroDivisionError"),
        ("import json\njson.loads('')\n", 2, "JSONDecodeError"),
        ("raise SystemExit(3)\n", 1, "SystemExit: 3"),
        ("from regard.plugins import Plugin\nplugin = Plugin(metric={})\n", 2, "unexpected keyword argument 'metric'"),
        ("from regard.plugins import Plugin\n\nplugin = Plugin(metrics=[1])\n", 3, "`metrics` is not a table"),
        (
            "from regard.plugins import Plugin\nplugin = Plugin(metrics={'a b': max})\n",
            2,
            "'a b' is not the name of a m",
        ),
        (
            "from regard.plugins import Plugin\nplugin = Plugin(metrics={'bleu': max})\n",
            2,
            "has a metric `bleu` already",
        ),
        ("from regard.plugins import Plugin\nplugin = Plugin(metrics={'ter': max})\n", 2, "cannot be called `ter`"),
        ("from regard.plugins import Plugin\nplugin = Plugin(formats={'csv': max})\n", 2, "'csv' is not a suffix"),
        ("from regard.plugins import Plugin\nplugin = Plugin(formats={'.csv': max})\n", 2, "`.csv` already"),
        ("from regard.plugins import Plugin\nplugin = Plugin(metrics={'mine': 3})\n", 2, "is not a function, but 3"),
        (
            "from regard.plugins import Plugin\nplugin = Plugin(searches={'mine': max})\n",
            2,
            "decoding.strategies.Strategy",
        ),
        ("from regard.plugins import Plugin\nplugin = Plugin(architectures={'mine': max})\n", 2, "models.Architecture"),
        ("from regard.plugins import Plugin\nplugin = Plugin(tokenizers={'mine': max})\n", 2, "is not a class"),
        ("from regard.plugins import Plugin\nplugin = Plugin(tokenizers={'mine': int})\n", 2, "has no `train`, `load`"),
    ],
)
def test_an_error_in_a_file_names_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = write(tmp_path, text)
    error = refusal(path)
    assert error.where == f"{path}:{line}"
    assert message in error.message
    assert "\n" not in error.message


def test_a_file_that_is_not_a_plugin_is_refused(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path / "none.py").message
    assert "it has no variable `plugin`" in refusal(write(tmp_path, "x = 1\n")).message
    assert "`plugin` is 3" in refusal(write(tmp_path, "plugin = 3\n")).message
    (tmp_path / "folder.py").mkdir()
    assert "the file cannot be read: it is a folder" in refusal(tmp_path / "folder.py").message
    for name in ("mine.txt", "a.b.py", "1.py"):
        assert "a plugin is a Python file" in refusal(write(tmp_path, "", name)).message
    assert "no such plugin is installed" in refusal("nowhere").message
    assert isinstance(refusal("nowhere"), ConfigError)


def test_names_are_unique_among_plugins(tmp_path: Path) -> None:
    (folder := tmp_path / "folder").mkdir()
    first = write(tmp_path, METRIC.format(name="ones"))
    regard.load_plugin(first)
    with pytest.raises(PluginError, match=f"a plugin of that name is loaded from {first}"):
        regard.load_plugin(write(folder, METRIC.format(name="twos")))
    with pytest.raises(PluginError, match="the metric `ones` is in the plugin `mine` too"):
        regard.load_plugin(write(tmp_path, METRIC.format(name="ones"), "yours.py"))
    assert list(LOADED) == ["mine"]


def test_a_plugin_cannot_be_changed() -> None:
    values = {"ones": max}
    plugin = Plugin(metrics=values)  # type: ignore[arg-type]
    values["twos"] = min
    assert list(plugin.metrics) == ["ones"]
    with pytest.raises(TypeError):
        plugin.metrics["twos"] = min  # type: ignore[index]


def test_a_plugin_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_package"
    package.mkdir()
    write(package, METRIC.format(name="ones"), "__init__.py")
    write(package, "import no_such_module\n", "broken.py")
    information = tmp_path / "some_package-1.0.dist-info"
    information.mkdir()
    write(information, "Metadata-Version: 2.1\nName: some-package\nVersion: 1.0\n", "METADATA")
    points = (
        "mine = some_package\nobject = some_package:plugin\nbroken = some_package.broken\nwrong = some_package:ones\n"
    )
    write(information, f"[regard.plugins]\n{points}", "entry_points.txt")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        broken = refusal("broken")
        assert broken.where == f"{package / 'broken.py'}:1"
        assert "No module named 'no_such_module'" in broken.message
        assert "`plugin` is <function ones" in refusal("wrong").message
        plugin = regard.load_plugin("mine")
        assert regard.load_plugin("mine") is plugin
        assert plugin_sources() == ("mine",)
        with pytest.raises(PluginError, match="the metric `ones` is in the plugin `mine` too"):
            regard.load_plugin("object")
    finally:
        for name in [name for name in sys.modules if name.startswith("some_package")]:
            del sys.modules[name]
