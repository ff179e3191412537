"""Training from one file with both sides, by an option and by a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.end_to_end.helpers import Files, call, recipe, refused
from tests.shared_data import shared

TMX = '<tmx version="1.4"><header srclang="en"/><body>\n{}</body></tmx>'
UNIT = '<tu><tuv xml:lang="en-GB"><seg>{}</seg></tuv><tuv xml:lang="de"><seg>{}</seg></tuv></tu>\n'


def test_a_memory_to_train_on_and_a_catalogue_for_dev(tmp_path: Path) -> None:
    units = "".join(UNIT.format(f"house {number}", f"Haus {number}") for number in range(60))
    (tmp_path / "memory.tmx").write_text(TMX.format(units + UNIT.format("tree", "")), encoding="utf-8")
    (tmp_path / "dev.po").write_text('msgid "house"\nmsgstr "Haus"\n\n#~ msgid "x"\n#~ msgstr "y"\n', encoding="utf-8")
    finished = call("train", "--data", tmp_path / "memory.tmx", "--dev-data", tmp_path / "dev.po", "--dry-run")
    assert finished.code == 0, finished.err
    assert "languages: en to de, as memory.tmx says" in finished.err
    assert "train: 60 pairs from memory.tmx" in finished.err
    assert "train: 1 pair skipped: the target is blank (line 62)" in finished.err
    assert "dev: 1 pairs from dev.po" in finished.err
    assert "dev: 1 pair skipped: it is obsolete (line 4)" in finished.err


@pytest.mark.parametrize("data", ["hf:pairs", "mtdata:a-b-c-deu-eng"])
def test_one_origin_only(files: Files, data: str) -> None:
    refused(call("train", "--data", data, "--source", "x.en", "--target", "x.de"), "not clear what to train on")
    refused(call("train", "--data", "x.tmx", "--dev-data", "mtdata:a-b-c-d-e", "--dev-source", "x"), "has two sides")


@pytest.mark.slow
@pytest.mark.parametrize("path", ["gnome-photos.en-de.tmx", "cpio.de.po", "cpio.en-de.xlf", "all.en-de.tsv"])
def test_real_files(path: str) -> None:
    columns = ("--source-column", "2", "--target-column", "3") if path.endswith(".tsv") else ()
    finished = call("train", "--data", shared("formats") / path, *columns, "--dry-run")
    assert finished.code == 0, finished.err
    assert f"pairs from {path}" in finished.err


def test_a_recipe_names_a_file_beside_it(files: Files, tmp_path: Path) -> None:
    recipe(files)
    text = (files.folder / "tiny.toml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith(("source =", "target =", "dev_"))]
    changed = "\n".join(lines).replace("[data]", '[data]\nfile = "gone.tmx"')
    (files.folder / "gone.toml").write_text(changed, encoding="utf-8")
    refused(
        call("train", files.folder / "gone.toml", "--dry-run"), f"{files.folder / 'gone.tmx'}: there is no such file"
    )
