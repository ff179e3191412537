import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from tests.unit.reports.fake_reports import report, report_on_three, system

from regard.errors import DataError
from regard.evaluation.bootstrap import BootstrapInterval
from regard.reports.compare.page import write_page
from regard.reports.compare.results import DevPoint

VOID = {"meta", "link", "img", "source"}
NO_FIGURES: dict[str, Any] = {"curve": (), "lengths": (), "step_times": (), "attended": (None, None)}
FETCHING = {"src", "href", "srcset", "action", "data", "poster", "background"}


class Reader(HTMLParser):
    """Collect the content of a page, and assert that elements are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("report") / "new"
    assert write_page(report_on_three(), folder) == folder / "index.html"
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Reader:
    read = Reader((folder / "index.html").read_text(encoding="utf-8"))
    assert read.open == []
    return read


def test_the_head_describes_the_comparison(page: Reader) -> None:
    for text in (
        "numbers, <en> to de",
        "2026-11-22",
        "2 cores & no GPU",
        "10 minutes for each system",
        "test <2016>, 1,234 pairs",
    ):
        assert text in page.text


def test_the_table_holds_the_numbers(page: Reader) -> None:
    head, cho, bahdanau, transformer = page.rows[:4]
    assert [len(row) for row in (head, cho, bahdanau, transformer)] == [11] * 4
    assert cho[1:] == [
        "no", "6.6 M", "4,321", "9.5", "2,004", "20.0",
        "20.018.5 – 21.2 · p < 0.001 ▼", "40.039.0 – 41.0 · p < 0.001 ▼", "12.5%11.5 – 14.5 · p < 0.001 ▼", "87.6",
    ]  # fmt: skip
    assert "Author of cho2014 2014, arXiv 1400.0001" in cho[0]
    assert bahdanau[7] == "30.028.5 – 31.2 · p 0.210 ≈"
    assert transformer[7] == "33.331.8 – 34.5"


def test_only_the_best_is_shaded(folder: Path) -> None:
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<td class="?best"?>([\d.]+)', text) == ["33.3", "53.3", "12.5"]


def test_a_score_near_zero_is_not_the_best(tmp_path: Path) -> None:
    zero = BootstrapInterval(value=0.1, low=0.0, high=0.2)
    scores: dict[str, Any] = {"chrf": zero, "exact": 0.001}
    best, second = system("cho2014", **scores, **NO_FIGURES), system("modern", p=0.5, **scores, **NO_FIGURES)
    write_page(report(best, second), tmp_path / "page")
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<td class="?best"?>([\d.]+)', page) == ["30.0"]  # not 0.1 of chrF and exact match


def test_exact_match_comes_first_if_it_suits_the_task(tmp_path: Path) -> None:
    curve = tuple(DevPoint(step=k, minutes=k, bleu=9, chrf=9, loss=2.0, exact=10.0 * k) for k in (1, 2))
    best, second = BootstrapInterval(0.25, 0.21, 0.3), BootstrapInterval(0.125, 0.1, 0.15, p=0.2)
    systems = (
        system("cho2014", exact=0.25, bleu=9.0, p=0.01, exact_interval=best, **NO_FIGURES | {"curve": curve}),
        system("modern", exact=0.125, exact_interval=second, **NO_FIGURES | {"curve": curve[:1]}),
    )
    write_page(report(*systems, metric="exact match"), tmp_path / "page")
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<td class=\"?best\"?>([\d.]+)", page) == ["25.0", "30.0", "50.0"]  # exact match, BLEU, chrF
    assert "cho2014 ends highest, at 20.0 dev exact match after 2.0 minutes" in page
    reader = Reader(page)
    (head,) = (row for row in reader.rows if row[0] == "system" and "BLEU" in row)
    assert head[6:10] == ["dev exact match", "exact match", "BLEU", "chrF"]
    scores = [row[7] for row in reader.rows if len(row) == len(head) and row != head]
    assert scores == ["25.0%21.0 – 30.0", "12.5%10.0 – 15.0 · p 0.200 ≈"]


def test_theory_is_shown_with_measurements(page: Reader) -> None:
    rows = {row[0]: row[1:] for row in page.rows if len(row) == 8}
    assert rows["cho2014"] == ["recurrent", "O(n·d²)", "O(n)", "O(n)", "O(n)", "n1.00", "128 mswith 64 tokens"]
    assert rows["bahdanau2014"][4] == "O(1)"
    assert rows["transformer2017"][:4] == ["self-attention", "O(n²·d)", "O(1)", "O(1)"]


def test_figures_are_described(page: Reader) -> None:
    assert "without attention, cho2014 −15.0 (to 5.0); with attention, bahdanau2014 −2.0 (to 28.0)" in page.text
    assert "transformer2017 ends highest, at 33.3 dev BLEU" in page.text


def test_the_method_gives_signatures_and_beam(page: Reader) -> None:
    for text in ("nrefs:1|tok:13a", "nrefs:1|nc:6", "beam size is 5", "Koehn 2004"):
        assert text in page.text


def test_samples_are_shown_as_text_for_every_system(page: Reader) -> None:
    translations = [row[1:] for row in page.rows if len(row) == 3 and row[0].strip() in ("cho2014", "transformer2017")]
    nasty = "<script>alert(\"1\")</script> & 'so' � 日本 $\\frac$"
    assert translations == [[nasty, ""], [nasty, ""], ["ein Test", "✓"], ["ein Test", "✓"]]


def test_the_page_has_no_scripts_and_fetches_nothing(page: Reader, folder: Path) -> None:
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "iframe", "object", "embed", "base", "form", "en"})
    assert "<script" not in (folder / "index.html").read_text(encoding="utf-8").lower()
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    fetched = [value for _, attributes in page.elements for name, value in attributes.items() if name in FETCHING]
    assert len(fetched) > 10
    assert [value[:40] for value in fetched if not value.startswith(("data:", "#"))] == []
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert "@import" not in text
    assert "url(" not in text
    assert "default-src 'none'" in text


def test_links_have_targets(page: Reader) -> None:
    targets = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = {attributes["href"][1:] for tag, attributes in page.elements if tag == "a"}
    assert links
    assert links <= targets


def test_pictures_have_light_and_dark_versions_and_alternative_texts(page: Reader) -> None:
    pictures = [attributes for tag, attributes in page.elements if tag == "img"]
    sources = [attributes for tag, attributes in page.elements if tag == "source"]
    assert len(pictures) == len(sources) == 5
    assert all(len(picture["alt"]) > 60 for picture in pictures)
    assert all(dark["srcset"] != light["src"] for dark, light in zip(sources, pictures, strict=True))
    assert {source["media"] for source in sources} == {"(prefers-color-scheme: dark)"}


def test_figures_are_also_written_as_png(folder: Path) -> None:
    names = {"quality-by-time", "quality-by-length", "step-time", "alignment-1", "alignment-2"}
    assert {path.stem for path in folder.glob("*.png")} == names
    for name in names:
        picture = imread(folder / f"{name}.png")
        assert picture.shape[1] > 500
        assert np.asarray(picture).std() > 0.02


def test_a_single_system_with_few_results(tmp_path: Path) -> None:
    bare = system(
        "<b>lstm</b>", attends=False, bleu=0.0, curve=(), lengths=(), step_times=(), translations=(), attended=()
    )
    text = write_page(report(bare, samples=(), minutes=None, signatures={}), tmp_path).read_text(encoding="utf-8")
    read = Reader(text)
    assert read.open == []
    assert "finished runs" in read.text
    assert read.text.count("Not measured.") == 3
    assert "No system has attention" in read.text
    assert "<b>" not in text
    assert list(tmp_path.glob("*.png")) == []


def test_of_two_equal_scores_only_one_is_the_best(tmp_path: Path) -> None:
    twins = system("modern", **NO_FIGURES), system("gnmt2016", p=0.5, **NO_FIGURES)
    text = write_page(report(*twins), tmp_path).read_text(encoding="utf-8")
    assert len(re.findall(r'<td class="?best"?>30.0', text)) == 1


def test_every_system_must_have_all_samples(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="modern has 1 translations and 2 attention maps for 2 samples"):
        write_page(report(system("modern", translations=("a",))), tmp_path)
    assert not (tmp_path / "index.html").exists()
