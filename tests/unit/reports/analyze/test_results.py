"""The analysis report: what is measured, the page and the JSON."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.reports.made_up import NASTY
from tests.unit.reports.small import run_with_data, translator

from regard.evaluation.alignment_error import GoldAlignment
from regard.evaluation.metrics import chrf, measure
from regard.reports.analyze import alignments
from regard.reports.analyze import page as report_page
from regard.reports.analyze import run as assess_module
from regard.reports.analyze.page import document
from regard.reports.analyze.progress import unwatched
from regard.reports.analyze.results import HeldOut, Report, as_table
from regard.reports.analyze.run import Depth, Subject, assess

SOURCES = ("one two three", NASTY, "three and a half", "عربي 日本", "and a half one two", "two")
REFERENCES = ("ein kleiner Satz", "drei und <halb>", "日本 عربي", "Satz", "ein Satz", "kleiner")


def of(folder: Path, *names: str) -> Report:
    gold = (GoldAlignment(frozenset({(0, 0)}), frozenset({(0, 0), (1, 1)})), None, None, None, None, None)
    test = HeldOut("source <a> | reference", (1, 2, 4, 5, 6, 9), SOURCES, REFERENCES, 9, gold)
    run = run_with_data(folder / "run", ["ein Satz", "ein Satz und ein"])
    subjects = [Subject(name, run, translator(seed)) for seed, name in enumerate(names, start=1)]
    return assess(subjects, test, Depth(batch_size=2, exact=2), unwatched)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return of(tmp_path_factory.mktemp("two"), "the <first>", "日本 second")


def test_scores_are_those_of_the_translations(report: Report) -> None:
    for one in report.findings:
        quality = measure(one.hypotheses, REFERENCES)
        for name in ("chrf", "ter"):
            assert one.scores[name].value == pytest.approx(getattr(quality, name))
        assert one.chrf == tuple(chrf([said], [text]) for said, text in zip(one.hypotheses, REFERENCES, strict=True))
    assert {one.scores["ter"].p is None for one in report.findings} == {True, False}


def test_all_is_measured_of_every_run(report: Report) -> None:
    for one in report.findings:
        assert sum(each.sentences for each in one.lengths) == len(SOURCES)
        assert one.frequency[0].min_count == 0 and one.frequency[0].in_references > 0
        assert one.calibration is not None and one.own is not None and one.search is not None
        characters = sum(len(text) + 1 for text in REFERENCES)
        assert one.calibration.tokens == characters  # each is a token, and EOS
        assert one.search.sentences == 2
        assert one.alignment is not None and one.alignment["mean"].pairs == 1
        assert one.alignment["mean"].sure == 1 and one.alignment["mean"].possible == 2
    assert report.counted == "the training data of the <first>, 2 pairs"
    assert report.notes == ()


def test_the_worst_and_the_most_different_are_shown(report: Report) -> None:
    first, second = report.findings
    for one, examples in zip(report.findings, report.worst, strict=True):
        assert [one.chrf[example.place] for example in examples] == sorted(one.chrf)[:5]
    for example in report.differing[0]:
        assert first.chrf[example.place] > second.chrf[example.place]
    for example in report.differing[1]:
        assert first.chrf[example.place] < second.chrf[example.place]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)

    def handle_endtag(self, tag: str) -> None:
        while self.open.pop() != tag:
            pass


def read(text: str) -> _Page:
    page = _Page()
    page.feed(text)
    return page


def test_the_page_runs_its_own_script_alone_and_fetches_nothing(report: Report) -> None:
    text = document(report)
    page = read(text)
    code = page.scripts[-1]
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    (policy,) = [attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes]
    assert policy is not None and f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    kinds = [attributes.get("type") for tag, attributes in page.tags if tag == "script"]
    assert kinds.count(None) == 1 and set(kinds) == {None, "application/json"}
    assert not re.search(r"""(?:src|href|srcset)="(?!data:|#)""", text)
    assert "<script>alert" not in text and "the <first>" not in text and "the &lt;first&gt;" in text
    looks = [json.loads(one) for one in page.scripts[:-1]]
    assert looks and all("mean" in one for one in looks)
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))


def test_the_page_has_every_section_and_no_word_of_a_second_run_where_there_is_one(tmp_path: Path) -> None:
    text = document(of(tmp_path, "alone"))
    for key in ("scores", "lengths", "frequency", "faults", "search", "calibration", "alignment", "sentences"):
        assert f'<section id="{key}">' in text
    assert "paired bootstrap)" not in text and "better than" not in text


def test_a_page_keeps_the_layers_that_it_can_bear(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    (looks, *_) = report.worst[0][0].looks
    assert looks is not None and report_page._bounded(looks).layers.keys() == looks.layers.keys()
    monkeypatch.setattr(report_page, "MOST_WEIGHTS", 0)
    assert report_page._bounded(looks).layers == {}
    assert report_page._bounded(looks).mean is looks.mean


def test_json_has_every_sentence_and_every_number(report: Report) -> None:
    table = json.loads(json.dumps(as_table(report), ensure_ascii=False))
    assert [one["line"] for one in table["sentences"]] == [1, 2, 4, 5, 6, 9]
    assert table["test"] == {"name": "source <a> | reference", "read": 9, "pairs": 6}
    for one, found in zip(table["runs"], report.findings, strict=True):
        assert one["scores"]["bleu"]["value"] == found.scores["bleu"].value
        assert one["calibration"]["error"] == found.calibration.error if found.calibration else False
        assert one["alignment"]["mean"]["aer"] == found.alignment["mean"].aer if found.alignment else False
        assert len(one["frequency"]) == 7 and one["search"]["sentences"] == 2
    assert table["sentences"][1]["source"] == NASTY


def test_what_cannot_be_measured_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assess_module, "LONGEST", 12)
    test = HeldOut("a | b", (1, 2), SOURCES[:1] + SOURCES[5:], REFERENCES[:1] + REFERENCES[5:], 2)
    found = assess([Subject("bare", tmp_path, translator())], test, Depth(exact=0), unwatched)
    told = " ".join(found.notes)
    assert "Words by frequency are not those of bare: the training data of the run is not there" in told
    assert "Left out of the calibration of bare: 2 of 2 pairs, of over 12 tokens." in told
    assert found.findings[0].calibration is None and found.findings[0].own is None
    text = document(found)
    assert "no training data is there" in text and "--exact 0" in text
    assert found.findings[0].alignment is None and found.findings[0].search is None


def test_pairs_too_long_to_be_aligned_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignments, "LONGEST", 3)
    found = of(tmp_path, "short")
    assert found.findings[0].alignment is None
    assert found.notes == ("Left out of the alignments of short: 1 of 1 pairs, too long to be aligned.",)
