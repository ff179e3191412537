"""What others may rely on; a change here is a change of regard's interface."""

from __future__ import annotations

import subprocess
import sys

import regard

PUBLIC = [
    "AttentionMaps",
    "Comparison",
    "Improvement",
    "Result",
    "Translation",
    "Translator",
    "__version__",
    "attend",
    "compare",
    "improve",
    "load",
    "load_plugin",
    "read_recipe",
    "resume",
    "train",
]


def test_public_names_are_frozen() -> None:
    assert sorted(regard.__all__) == PUBLIC


def test_dir_lists_the_public_names() -> None:
    assert dir(regard) == PUBLIC


def test_every_public_name_is_there() -> None:
    for name in PUBLIC:
        assert getattr(regard, name) is not None
    try:
        regard.nonsense  # noqa: B018
    except AttributeError as error:
        assert "nonsense" in str(error)
    else:
        raise AssertionError("a name that is not there was found")


def test_importing_regard_does_not_wait_for_torch() -> None:
    heavy = "{'torch', 'numpy', 'sentencepiece', 'matplotlib', 'pydantic', 'typer'} & set(sys.modules)"
    code = f"import sys, regard; print(regard.__version__, {heavy} or 'light')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == [regard.__version__, "light"]
