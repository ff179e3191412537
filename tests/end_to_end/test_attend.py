"""`regard attend` shows and writes the maps of regard.attention.maps."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.end_to_end.helpers import call

from regard.attention.maps import compute_attention_maps
from regard.inference.translator import Translator

SOURCE = "12345678"


def test_the_terminal_shows_a_row_for_each_target_token(run: Path, translator: Translator) -> None:
    best = translator.translate(SOURCE)
    finished = call("attend", run, SOURCE)
    assert finished.code == 0, finished.err
    lines = finished.out.decode().splitlines()
    assert lines[0] == best.text
    rows = lines[3 : 4 + len(best.text)]
    assert [row.split()[0] for row in rows] == [*best.text, "</s>"]
    maps = compute_attention_maps(translator, SOURCE, best.ids)
    for row, shares in zip(rows, maps.mean, strict=True):
        most = int(shares.argmax())
        assert f"{maps.source.words[most]} {shares[most]:.0%}" in row


def test_pharaoh_links_each_target_word_to_the_highest_weight(run: Path, translator: Translator) -> None:
    source, target = " ".join(SOURCE), " ".join(SOURCE[::-1])
    finished = call("attend", run, source, "--target", target, "--pharaoh", "--head", "2")
    maps = compute_attention_maps(translator, source, translator.tokenizers.target.encode(target))
    links = maps.word_alignment(maps.weights("source", None, 2))
    assert len(links) == len(SOURCE)
    assert finished.out.decode().split() == [f"{first}-{second}" for first, second in links]


def test_json_has_every_layer_and_head(run: Path, translator: Translator) -> None:
    finished = call("attend", run, "--target", "87", "--json", SOURCE)
    table = json.loads(finished.out)
    maps = compute_attention_maps(translator, SOURCE, translator.tokenizers.target.encode("87"))
    assert table["source_text"] == SOURCE and table["target_text"] == "87"
    assert not table["gradient"]
    assert set(table["layers"]) == {"source", "encoder", "decoder"}
    np.testing.assert_allclose(table["layers"]["encoder"][0], maps.layers["encoder"][0], atol=1e-4)
    np.testing.assert_allclose(table["mean"], maps.mean, atol=1e-4)
    assert table["alignment"] == [list(link) for link in maps.word_alignment()]


def test_the_suffix_selects_the_format_of_a_file(run: Path, tmp_path: Path) -> None:
    names = ("a.png", "a.svg", "a.html", "a.json", "a.pharaoh")
    options = [part for name in names for part in ("--output", tmp_path / name)]
    finished = call("attend", run, *options, stdin="12\n\n猫34\n".encode())
    assert finished.code == 0, finished.err
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    picture = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert picture.tag.endswith("svg")
    page = (tmp_path / "a.html").read_text()
    assert page.count('<div class="explorer"') == 2 and "猫34" in page
    assert len((tmp_path / "a.json").read_text().splitlines()) == 2
    assert len((tmp_path / "a.pharaoh").read_text().splitlines()) == 2


def test_every_head_has_a_map(run: Path, tmp_path: Path) -> None:
    finished = call("attend", run, "123", "--every", "--kind", "encoder", "--output", tmp_path / "a.svg")
    assert finished.code == 0, finished.err
    drawn = (tmp_path / "a.svg").read_text()
    assert all(f"layer 1, head {head}" in drawn for head in (1, 2))


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["12", "--layer", "2"], b"", "there is no layer 2"),
        (["12", "--head", "3"], b"", "there is no head 3"),
        (["12", "--kind", "encoder", "--pharaoh"], b"", "word alignments link target and source"),
        (["12", "--json", "--pharaoh"], b"", "only one of them"),
        (["12", "--output", "a.gif"], b"", "the format of a file `.gif` is unknown"),
        ([""], b"", "there is no source"),
        (["--target", "21"], b"12\n", "there is a target, but no sentence"),
        ([], b"\n", "there is no sentence"),
        ([], b"1\n" * 101, "more than 100 lines"),
    ],
)
def test_invalid_requests_are_rejected(run: Path, arguments: list[str], stdin: bytes, message: str) -> None:
    finished = call("attend", run, *arguments, stdin=stdin)
    assert (finished.code, finished.out) == (1, b"")
    assert message in finished.err and "what to do" in finished.err
    assert "Traceback" not in finished.err
