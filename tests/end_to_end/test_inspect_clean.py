"""The commands `regard inspect` and `regard clean`."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end.helpers import call
from tests.unit.corpus_checks.synthetic import sentences

from regard.cli.clean import chosen_faults, clean
from regard.cli.inspect import inspect
from regard.corpus_checks.findings import DROPPED_BY_DEFAULT, FaultKind
from regard.errors import ConfigError, DataError, RegardError

Files = dict[str, Any]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    texts = sentences(300)
    texts[9] = (texts[9][0], "")
    texts[19] = texts[4]
    texts[29] = (texts[29][0], texts[29][0])
    texts[39] = (texts[39][0], texts[39][1] + "\u2028ende")
    texts[49] = (texts[49][0], "fÃ¼r " + texts[49][1])
    paths: Files = {"source": tmp_path / "train.aa", "target": tmp_path / "train.bb.gz"}
    paths["source"].write_text("".join(f"{source}\n" for source, _ in texts), encoding="utf-8")
    with gzip.open(paths["target"], "wt", encoding="utf-8") as file:
        file.writelines(f"{target}\n" for _, target in texts)
    return paths


def _table(folder: Path) -> Path:
    (path := folder / "table.tsv").write_text("a\tb\tc\n")
    return path


def _unblock(fifo: Path) -> None:
    """End a process that waits for data of a FIFO."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:  # no process waits
        return


def read_json(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


def test_inspect(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inspect(**files, json_=tmp_path / "found.json", html=tmp_path / "found.html")
    printed = capsys.readouterr().out
    assert "300 pairs, 299 of them with text on both sides" in printed
    assert "duplicates: 1 (0.33%)" in printed and "20: same as line 5" in printed
    assert "\\u2028" in printed and "\u2028" not in printed
    report = read_json(tmp_path / "found.json")
    lines = {kind: finding["lines"] for kind, finding in report["findings"].items()}
    assert lines == {"blank": [10], "encoding": [50], "control": [40], "copies": [30], "duplicates": [20]}
    assert report["read"] == 300 and report["pairs"] == 299
    page = (tmp_path / "found.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and "<script" not in page and 'src="http' not in page
    assert page.count("<picture>") == 3 and 'id="copies"' in page


def test_clean(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out: Files = {"output_source": tmp_path / "clean.aa", "output_target": tmp_path / "clean.bb"}
    clean(**files, **out, removed=tmp_path / "removed.jsonl", report=tmp_path / "report.txt")
    removed = [json.loads(line) for line in (tmp_path / "removed.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(entry["line"], list(entry["reasons"])) for entry in removed] == [
        (10, ["blank"]), (20, ["duplicates"]), (30, ["copies"]), (50, ["encoding"])
    ]  # fmt: skip
    targets = gzip.decompress(files["target"].read_bytes()).decode().split("\n")[:-1]
    before = zip(files["source"].read_text().splitlines(), targets, strict=True)
    expected = [pair for line, pair in enumerate(before, start=1) if line not in (10, 20, 30, 50)]
    assert (tmp_path / "clean.aa").read_text() == "".join(f"{source}\n" for source, _ in expected)
    assert (tmp_path / "clean.bb").read_text() == "".join(f"{target}\n" for _, target in expected)
    assert "300 read = 296 kept + 4 removed + 0 skipped" in (tmp_path / "report.txt").read_text()
    assert "300 read = 296 kept + 4 removed" in capsys.readouterr().err


def test_clean_repairs_and_drops_the_requested_kinds(files: Files, tmp_path: Path) -> None:
    clean(**files, output=tmp_path / "c.tsv", drop="copies,blank", repair=True, report=tmp_path / "r")
    lines = (tmp_path / "c.tsv").read_text(encoding="utf-8").split("\n")[:-1]
    assert len(lines) == 298 and all(line.count("\t") == 1 for line in lines)
    assert "\u2028" not in "".join(lines) and lines[37].endswith(" ende")
    assert "1 of the kept pairs repaired: control" in (tmp_path / "r").read_text()


def test_mend_is_the_old_name_of_repair(files: Files, tmp_path: Path) -> None:
    corpus = ("--source", files["source"], "--target", files["target"])
    outputs = {}
    for option in ("--repair", "--mend"):
        outputs[option] = call("clean", *corpus, option, "-o", out := tmp_path / f"{option}.tsv")
        assert "1 of the kept pairs repaired: control" in outputs[option].err
        assert "\u2028" not in out.read_text(encoding="utf-8")
    warning = "--mend is the old name of --repair"
    assert warning in outputs["--mend"].err and warning not in outputs["--repair"].err
    assert "--mend" not in call("clean", "--help").out.decode()


def test_a_table_with_rows_that_are_not_pairs(tmp_path: Path) -> None:
    rows = [*(f"{source}\t{target}" for source, target in sentences(60)), "alone", "tab in\t a row \t more"]
    (tmp_path / "text.tsv").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    inspect(data=tmp_path / "text.tsv", json_=tmp_path / "found.json")
    report = read_json(tmp_path / "found.json")
    assert (report["read"], report["left_aside"]) == (61, ["1 pair skipped: there is no column 2 (line 61)"])
    clean(data=tmp_path / "text.tsv", output=tmp_path / "out.tsv", drop="", report=tmp_path / "report")
    assert "62 read = 61 kept + 0 removed + 1 skipped" in (tmp_path / "report").read_text()


def test_line_breaks_inside_a_text_are_not_a_fault(tmp_path: Path) -> None:
    records = ({"source": source.replace(" ", "\n", 1), "target": target} for source, target in sentences(60))
    (tmp_path / "text.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in records), encoding="utf-8")
    inspect(data=tmp_path / "text.jsonl", json_=tmp_path / "found.json")
    assert "control" not in read_json(tmp_path / "found.json")["findings"]
    clean(data=tmp_path / "text.jsonl", output_source=tmp_path / "a", output_target=tmp_path / "b")
    assert (tmp_path / "a").read_text() == "".join(f"{source}\n" for source, _ in sentences(60))


def test_leakage(files: Files, tmp_path: Path) -> None:
    pair = sentences(300)[100]
    (tmp_path / "dev.tsv").write_text("\t".join(pair) + "\n", encoding="utf-8")
    inspect(**files, dev_data=tmp_path / "dev.tsv", json_=tmp_path / "found.json")
    assert read_json(tmp_path / "found.json")["findings"]["leakage"]["lines"] == [101]


def test_files_of_unequal_length_are_inspected_and_not_cleaned(tmp_path: Path) -> None:
    texts = sentences(400)
    (tmp_path / "a").write_text("".join(f"{source}\n" for source, _ in texts))
    (tmp_path / "b").write_text("".join(f"{target}\n" for index, (_, target) in enumerate(texts) if index != 200))
    files: Files = {"source": tmp_path / "a", "target": tmp_path / "b"}
    inspect(**files, json_=tmp_path / "found.json")
    report = read_json(tmp_path / "found.json")
    remark_part = (
        f"400 in {tmp_path / 'a'}, 399 in {tmp_path / 'b'}; they seem to drift apart near line 201; the findings"
    )
    assert any(remark_part in remark for remark in report["remarks"])
    assert report["left_aside"] == ["1 pair skipped: b has no such line (line 400)"]
    with pytest.raises(DataError, match=r"unequal numbers of lines.*\n.*compare the files around that line"):
        clean(**files, output=tmp_path / "c.tsv")
    assert not (tmp_path / "c.tsv").exists()


ENGLISH_GERMAN = [
    ("The weather is nice today and we are going to the beach.", "Das Wetter ist heute schön, und wir gehen baden."),
    ("My brother has bought a new car for his family.", "Mein Bruder hat ein neues Auto für seine Familie gekauft."),
    ("She reads a long book about the history of France.", "Sie liest ein langes Buch über die Geschichte von Paris."),
    ("The children are playing in the garden.", "Die Kinder spielen im Garten hinter dem Haus."),
]


def tmx(srclang: str, *, third: bool = False) -> str:
    units = "".join(
        f'<tu><tuv xml:lang="de"><seg>{german}</seg></tuv><tuv xml:lang="en"><seg>{english}</seg></tuv>'
        + ('<tuv xml:lang="fr"><seg>Bonjour.</seg></tuv></tu>' if third else "</tu>")
        for english, german in ENGLISH_GERMAN
    )
    return f'<tmx version="1.4"><header srclang="{srclang}"/><body>{units}</body></tmx>'


FILES_WITH_LANGUAGES = {
    "swapped.en-de.tmx": tmx("de"),
    "three.en-de.tmx": tmx("en", third=True),
    "all.en-de.tmx": tmx("*all*"),
    "table.en-de.tsv": "id\ten\tde\n" + "".join(f"1\t{english}\t{german}\n" for english, german in ENGLISH_GERMAN),
    "swapped.en-de.tsv": "de\ten\n" + "".join(f"{german}\t{english}\n" for english, german in ENGLISH_GERMAN),
}


@pytest.mark.parametrize("name", FILES_WITH_LANGUAGES)
def test_languages_of_a_file_name_say_how_to_read_the_file(name: str, tmp_path: Path) -> None:
    (path := tmp_path / name).write_text(FILES_WITH_LANGUAGES[name], encoding="utf-8")
    clean(data=path, output=tmp_path / "out.tsv")
    expected = "".join(f"{english}\t{german}\n" for english, german in ENGLISH_GERMAN)
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8") == expected
    clean(data=path, source_language="de", output=tmp_path / "reverse.tsv")
    expected = "".join(f"{german}\t{english}\n" for english, german in ENGLISH_GERMAN)
    assert (tmp_path / "reverse.tsv").read_text(encoding="utf-8") == expected


def test_languages_of_the_corpus_say_how_to_read_a_test_set(tmp_path: Path) -> None:
    for name, texts in zip(("train.en", "train.de"), zip(*ENGLISH_GERMAN, strict=True), strict=True):
        (tmp_path / name).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    (tmp_path / "test.tmx").write_text(tmx("de"), encoding="utf-8")
    files: Files = {"source": tmp_path / "train.en", "target": tmp_path / "train.de"}
    inspect(**files, test_data=tmp_path / "test.tmx", json_=tmp_path / "found.json")
    assert read_json(tmp_path / "found.json")["findings"]["leakage"]["lines"] == [1, 2, 3, 4]


def test_an_input_in_the_folder_of_corpora_is_not_overwritten(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGARD_DATA", str(tmp_path))
    for output in ({"output_source": files["source"], "output_target": tmp_path / "x"}, {"report": files["source"]}):
        rest: Files = {} if "output_source" in output else {"output": tmp_path / "x.tsv"}
        with pytest.raises(ConfigError, match="would be overwritten"):
            clean(source=Path("data/train.aa"), target=Path("data/train.bb.gz"), **output, **rest)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
@pytest.mark.parametrize("command", [inspect, clean])
@pytest.mark.parametrize("kind", ["pipe", "fifo"])
def test_a_pipe_is_refused(command: Callable[..., None], kind: str, files: Files, tmp_path: Path) -> None:
    reads, writes = os.pipe()
    os.write(writes, files["source"].read_bytes()[:1000])
    os.close(writes)
    os.mkfifo(tmp_path / "fifo")
    source = tmp_path / "fifo" if kind == "fifo" else Path(f"/dev/fd/{reads}")
    outputs: Files = {"output": tmp_path / "x.tsv"} if command is clean else {}
    timer = threading.Timer(5, _unblock, [tmp_path / "fifo"])  # a command that opens the FIFO fails, and does not hang
    timer.start()
    try:
        with pytest.raises(DataError, match=r"not a regular file.*\n.*write it to a file first") as error:
            command(source=source, target=files["target"], **outputs)
        assert error.value.where == str(source)
    finally:
        timer.cancel()
        os.close(reads)


def test_pairs_that_the_repair_makes_blank_are_removed(tmp_path: Path) -> None:
    rows = [*("\t".join(pair) for pair in sentences(60)), "\ufeff\u00ad\tx y z", "\u200bgood\tgut"]
    (tmp_path / "text.tsv").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    outputs: Files = {"removed": tmp_path / "removed", "report": tmp_path / "report", "repair": True}
    clean(data=tmp_path / "text.tsv", output=tmp_path / "out.tsv", drop="blank", **outputs)
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8").splitlines() == [*rows[:60], "good\tgut"]
    (removed,) = (tmp_path / "removed").read_text(encoding="utf-8").splitlines()
    assert json.loads(removed)["reasons"] == {"blank": "the source is blank after the repair"}
    report = (tmp_path / "report").read_text(encoding="utf-8")
    assert "62 read = 61 kept + 1 removed + 0 skipped" in report and "1 removed: blank" in report
    assert "1 of the kept pairs repaired" in report
    clean(data=tmp_path / "text.tsv", output=tmp_path / "out.tsv", drop="", repair=True)
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8").count("\n") == 62


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda f, p: inspect(), "no corpus is given"),
        (lambda f, p: inspect(source=f["source"]), "not clear which files"),
        (lambda f, p: inspect(**f, dev_source=f["source"]), "--dev-source"),
        (lambda f, p: inspect(data=p / "x.foo"), "not that of a known format"),
        (lambda f, p: inspect(source=p / "no", target=p / "no"), "no such file"),
        (lambda f, p: inspect(**f, json_=f["source"]), "would be overwritten"),
        (lambda f, p: inspect(data=_table(p), source_column="1,,2", target_column="3"), "name is missing .*'1,,2'"),
        (
            lambda f, p: clean(data=_table(p), source_column="1,", target_column="3", output=p / "x.tsv"),
            "name is missing .*'1,'",
        ),
        (lambda f, p: clean(**f), "not clear where to write the clean corpus"),
        (lambda f, p: clean(**f, output_source=p / "x"), "not clear where to write the clean corpus"),
        (lambda f, p: clean(**f, output=p / "x.csv"), "the only format is TSV"),
        (
            lambda f, p: clean(**f, output_source=f["target"], output_target=p / "x"),
            "would be overwritten",
        ),
        (lambda f, p: clean(**f, output=p / "x.tsv", drop="copy"), "did you mean copies"),
        (lambda f, p: clean(**f, output=p / "x.tsv", keep="nonsense"), "choose from blank"),
    ],
)
def test_wrong_options_are_refused(
    files: Files, tmp_path: Path, call: Callable[[Files, Path], None], message: str
) -> None:
    with pytest.raises(RegardError, match=message) as error:
        call(files, tmp_path)
    assert isinstance(error.value, ConfigError | DataError) and error.value.fix


def test_an_empty_corpus_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("\n\n")
    with pytest.raises(DataError, match="no pair has text"):
        inspect(source=tmp_path / "a", target=tmp_path / "b")


def test_certain_faults_are_removed_by_default() -> None:
    not_removed = {
        FaultKind.CONTROL,
        FaultKind.NEAR_DUPLICATE,
        FaultKind.MANY_SOURCES,
        FaultKind.MANY_TARGETS,
        FaultKind.DOUBTFUL,
        FaultKind.NUMBERS,
    }
    assert set(DROPPED_BY_DEFAULT) == set(FaultKind) - not_removed


def test_doubtful_pairs_are_removed_only_on_request() -> None:
    assert FaultKind.DOUBTFUL not in chosen_faults(None, None, None, repair=False).drop
    also_doubtful = chosen_faults(None, "perhaps-unrelated", None, repair=False)
    assert also_doubtful.drop == {*DROPPED_BY_DEFAULT, FaultKind.DOUBTFUL}
    assert chosen_faults("copies", "perhaps-unrelated", "copies", repair=False).drop == {FaultKind.DOUBTFUL}
