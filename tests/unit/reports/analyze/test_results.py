"""The analysis report: what is measured, the page and the JSON."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.reports.fake_reports import NASTY
from tests.unit.reports.untrained import run_with_data, translator

from regard.cli.analysis_output import summary
from regard.evaluation.alignment_error import GoldAlignment
from regard.evaluation.metrics import chrf, measure
from regard.evaluation.test_set import TestSet
from regard.reports.analyze import alignments
from regard.reports.analyze import page as page_module
from regard.reports.analyze import run as run_module
from regard.reports.analyze.page import render_report
from regard.reports.analyze.perturbed import PERTURBATIONS
from regard.reports.analyze.progress import no_progress
from regard.reports.analyze.results import AnalysisReport, report_to_json
from regard.reports.analyze.run import AnalysisOptions, LoadedRun, analyze_runs

SOURCES = ("one two three", NASTY, "three and a half", "عربي 日本", "and a half one two", "two")
REFERENCES = ("ein kleiner Satz", "drei und <halb>", "日本 عربي", "Satz", "ein Satz", "kleiner")


def analyze(folder: Path, *names: str) -> AnalysisReport:
    gold = (GoldAlignment(frozenset({(0, 0)}), frozenset({(0, 0), (1, 1)})), None, None, None, None, None)
    test = TestSet("source <a> | reference", SOURCES, REFERENCES, (1, 2, 4, 5, 6, 9), 9, gold)
    run = run_with_data(folder / "run", ["ein Satz", "ein Satz und ein"])
    runs = [LoadedRun(name, run, translator(seed)) for seed, name in enumerate(names, start=1)]
    return analyze_runs(runs, test, AnalysisOptions(batch_size=2, exact_sentences=2, perturb=True), no_progress)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> AnalysisReport:
    return analyze(tmp_path_factory.mktemp("two"), "the <first>", "日本 second")


def test_scores_agree_with_the_translations(report: AnalysisReport) -> None:
    for run in report.runs:
        quality = measure(run.hypotheses, REFERENCES)
        for name in ("chrf", "ter"):
            assert run.scores[name].value == pytest.approx(getattr(quality, name))
        assert run.chrf == tuple(
            chrf([hypothesis], [text]) for hypothesis, text in zip(run.hypotheses, REFERENCES, strict=True)
        )
        assert run.exact_at[1].value == quality.exact == 0
    assert {run.scores["ter"].p is None for run in report.runs} == {True, False}


def test_perturbed_copies_are_scored_by_references_with_the_same_change(report: AnalysisReport) -> None:
    table = report_to_json(report)["runs"][0]["perturbed"]
    assert [row["name"] for row in table] == list(PERTURBATIONS)
    upper, title, typo, *_, spaces = report.runs[0].perturbed
    assert upper.pairs_changed == len(SOURCES)
    assert typo.pairs_changed == len(SOURCES)
    assert spaces.pairs_changed == len(SOURCES) - 1  # of which one has a single word
    assert upper.chrf_lost == pytest.approx(1 - upper.chrf / report.runs[0].scores["chrf"].value)
    assert any(line.startswith("the <first>, title case") for line in summary(report))
    page = render_report(report)
    assert f"{title.chrf:.2f}<small>" in page and "Robustness" in page


def test_everything_is_measured_for_every_run(report: AnalysisReport) -> None:
    for run in report.runs:
        assert sum(length_bin.sentences for length_bin in run.lengths) == len(SOURCES)
        assert run.frequency[0].min_count == 0 and run.frequency[0].in_references > 0
        assert run.calibration is not None and run.own_calibration is not None and run.search is not None
        characters = sum(len(text) + 1 for text in REFERENCES)
        assert run.calibration.tokens == characters  # each is a token, and EOS
        assert run.search.sentences == 2
        assert run.alignment is not None and run.alignment["mean"].pairs == 1
        assert run.alignment["mean"].sure == 1 and run.alignment["mean"].possible == 2
    assert report.counted_in == "the training data of the <first>, 2 pairs"
    assert report.notes == ()


def test_the_worst_and_the_most_different_sentences_are_shown(report: AnalysisReport) -> None:
    first, second = report.runs
    for run, examples in zip(report.runs, report.worst, strict=True):
        assert [run.chrf[example.index] for example in examples] == sorted(run.chrf)[:5]
    for example in report.differing[0]:
        assert first.chrf[example.index] > second.chrf[example.index]
    for example in report.differing[1]:
        assert first.chrf[example.index] < second.chrf[example.index]


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


def test_the_page_runs_only_its_own_script_and_fetches_nothing(report: AnalysisReport) -> None:
    text = render_report(report)
    page = read(text)
    code = page.scripts[-1]
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    (policy,) = [attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes]
    assert policy is not None and f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    kinds = [attributes.get("type") for tag, attributes in page.tags if tag == "script"]
    assert kinds.count(None) == 1 and set(kinds) == {None, "application/json"}
    assert not re.search(r"""(?:src|href|srcset)="(?!data:|#)""", text)
    assert "<script>alert" not in text and "the <first>" not in text and "the &lt;first&gt;" in text
    maps = [json.loads(script) for script in page.scripts[:-1]]
    assert maps and all("mean" in data for data in maps)
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))


def test_a_page_on_one_run_has_every_section_and_no_comparison(tmp_path: Path) -> None:
    text = render_report(analyze(tmp_path, "alone"))
    for key in ("scores", "lengths", "frequency", "errors", "search", "calibration", "alignment", "sentences"):
        assert f'<section id="{key}">' in text
    assert "paired bootstrap;" not in text and "better than" not in text


def test_large_attention_maps_are_reduced(report: AnalysisReport, monkeypatch: pytest.MonkeyPatch) -> None:
    (maps, *_) = report.worst[0][0].maps
    assert maps is not None and page_module._limit_size(maps).layers.keys() == maps.layers.keys()
    monkeypatch.setattr(page_module, "MAX_WEIGHTS", 0)
    assert page_module._limit_size(maps).layers == {}
    assert page_module._limit_size(maps).mean is maps.mean


def test_json_has_every_sentence_and_every_number(report: AnalysisReport) -> None:
    table = json.loads(json.dumps(report_to_json(report), ensure_ascii=False))
    assert [sentence["line"] for sentence in table["sentences"]] == [1, 2, 4, 5, 6, 9]
    assert table["test"] == {"name": "source <a> | reference", "read": 9, "pairs": 6}
    for row, run in zip(table["runs"], report.runs, strict=True):
        assert row["scores"]["bleu"]["value"] == run.scores["bleu"].value
        assert row["calibration"]["error"] == run.calibration.error if run.calibration else False
        assert row["alignment"]["mean"]["aer"] == run.alignment["mean"].aer if run.alignment else False
        assert len(row["frequency"]) == 7 and row["search"]["sentences"] == 2
    assert table["sentences"][1]["source"] == NASTY


def test_what_cannot_be_measured_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "MAX_TOKENS", 12)
    test = TestSet("a | b", SOURCES[:1] + SOURCES[5:], REFERENCES[:1] + REFERENCES[5:], (1, 2), 2)
    report_ = analyze_runs(
        [LoadedRun("bare", tmp_path, translator())], test, AnalysisOptions(exact_sentences=0), no_progress
    )
    notes = " ".join(report_.notes)
    assert "Words are not counted in the training data of bare: the run has no training data" in notes
    assert "The calibration of bare leaves out 2 of 2 pairs with more than 12 tokens." in notes
    assert report_.runs[0].calibration is None and report_.runs[0].own_calibration is None
    text = render_report(report_)
    assert "there is no training data" in text and "no sentences were searched exactly" in text
    assert report_.runs[0].alignment is None and report_.runs[0].search is None


def test_pairs_too_long_to_be_aligned_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignments, "MAX_TOKENS", 3)
    report_ = analyze(tmp_path, "short")
    assert report_.runs[0].alignment is None
    assert report_.notes == ("The alignments of short leave out 1 of 1 pairs, which are too long.",)


@pytest.mark.parametrize(("source", "reference"), [("🙂 two three", "kleiner 🙂 Satz"), ("TWO THREE", "kleiner Satz")])
def test_calibration_reads_the_source_as_in_translation(tmp_path: Path, source: str, reference: str) -> None:
    run = run_with_data(tmp_path / "run", ["ein Satz"])
    reports = [
        analyze_runs(
            [LoadedRun("run", run, translator(1))],
            TestSet("pairs", (texts[0],), (texts[1],), (1,), 1),
            AnalysisOptions(exact_sentences=0),
            no_progress,
        )
        for texts in (("two three", "kleiner Satz"), (source, reference))
    ]
    plain, changed = (report.runs[0].calibration for report in reports)
    assert plain is not None and changed is not None
    assert changed.error == pytest.approx(plain.error, rel=1e-4)
