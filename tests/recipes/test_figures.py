"""The figures of recipes/RESULTS.md, reproduced: half an hour to 45 minutes each, on two cores."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "multi30k"
ENVIRONMENT = {**os.environ, "REGARD_DATA": str(DATA.parent)}
RAW = ("test_2016_flickr.en.gz", "test_2016_flickr.de.gz")
TOKENISED = ("tok/test_2016_flickr.lc.norm.tok.en.gz", "tok/test_2016_flickr.lc.norm.tok.de.gz")


def regard(*arguments: object) -> str:
    command = [sys.executable, "-m", "regard", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT).stdout


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/multi30k")
@pytest.mark.parametrize(
    ("recipe", "test", "options", "least"),
    [
        ("multi30k-en-de", RAW, (), 37.0),
        ("multi30k-modern-en-de", RAW, (), 38.5),
        ("multi30k-en-de-bahdanau2014", RAW, (), 30.0),
        ("multi30k-tok-en-de", TOKENISED, ("--tokenized",), 39.0),
    ],
)
def test_a_recipe_reaches_its_mark(
    recipe: str, test: tuple[str, str], options: tuple[str, ...], least: float, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    regard("train", ROOT / "recipes" / f"{recipe}.toml", "--out", run)
    source, reference = (DATA / name for name in test)
    scores = json.loads(regard("evaluate", run, "--source", source, "--reference", reference, "--json", *options))
    assert scores["bleu"] >= least
