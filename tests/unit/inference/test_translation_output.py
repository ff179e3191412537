"""Translations in a notebook."""

from __future__ import annotations

import re

import numpy as np

from regard.html.notebook import render_output_explorers, render_output_table
from regard.inference.translation import Translation, join

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'</div>"


def attacked() -> Translation:
    weights = np.array([[0.9, 0.1], [0.2, 0.8]])
    best = Translation(ATTACK, -1.5, -1.5, (ATTACK,), (ATTACK, "</s>"), weights, finished=True)
    rival = Translation(ATTACK, -2.0, -2.0)
    return Translation(**{**vars(best), "alternatives": (rival,), "marks": (ATTACK,)})


def test_no_text_becomes_markup() -> None:
    html = attacked()._repr_html_()
    assert html.count("<script") == html.count("</script>") == 1  # its own
    assert "<img" not in html and "alert(1)" in html
    before = html.split("<script>")[0]
    assert not re.search(r"<(?!/?(p|strong|table|thead|tbody|tr|th|td|div)\b)", before)


def test_each_segment_of_a_divided_text_has_its_attention() -> None:
    weights = np.array([[1.0, 0.0]])
    segments = [[Translation(text, -1.0, -1.0, (), ("a", "</s>"), weights)] for text in ("A.", "B.")]
    (joined,) = join("a. b.", [(0, 2), (3, 5)], segments, 1)
    assert joined.text == "A. B." and joined._repr_html_().count("<div id=") == 2


def test_outputs_have_ids_of_their_own_and_need_no_network() -> None:
    outputs = [attacked()._repr_html_() for _ in range(2)]
    ids = [re.findall(r'id="(regard-\w+)"', output) for output in outputs]
    assert [len(names) for names in ids] == [1, 1] and ids[0] != ids[1]
    assert not re.search(r"\b(src|href)=", outputs[0].replace("img src", ""))
    assert "http://www.w3.org/2000/svg" in outputs[0] and outputs[0].count("http") == 2  # names of SVG


def test_weights_are_a_table_where_no_scripts_run() -> None:
    html = attacked()._repr_html_()
    assert ">90</td>" in html and ">80</td>" in html and "rgba(58, 130, 210, 0.68)" in html
    long = {"tokens": ["a"] * 50}
    assert "Attention of 50 tokens to 50" in render_output_explorers([{"source": long, "target": long, "mean": []}])
    assert render_output_explorers([]) == ""


def test_a_table_of_texts() -> None:
    assert render_output_table([("a<", "b")], ("x", "y")) == (
        '<table><thead><tr><th scope="col">x</th><th scope="col">y</th></tr></thead>'
        '<tbody><tr><th scope="row">a&lt;</th><td dir=auto>b</td></tr></tbody></table>'
    )
