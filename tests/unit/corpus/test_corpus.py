from collections.abc import Iterator
from pathlib import Path

import pytest

from regard.corpus import parallel_text
from regard.corpus.corpus import Corpus, Pair, PairList, SkipReport
from regard.corpus.formats.plain import read_lines
from regard.corpus.parallel_text import ParallelText
from regard.errors import DataError

MULTI30K = Path(__file__).parents[3] / "../shared/data/multi30k"


def parallel(folder: Path, source: str | bytes, target: str | bytes) -> ParallelText:
    for name, content in (("text.de", source), ("text.en", target)):
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return ParallelText(folder / "text.de", folder / "text.en")


def test_a_skip_report_keeps_the_count_and_the_first_lines() -> None:
    skipped = SkipReport()
    assert (skipped.count, skipped.reasons(), skipped.sentences()) == (0, {}, [])
    for line in (4, 9, 12):
        skipped.add("the source is blank", line)
    skipped.add("the target is blank", 5)
    for line in range(20, 28):
        skipped.add("too long", line)
    assert skipped.count == 12
    assert skipped.reasons()["too long"] == [20, 21, 22, 23, 24]
    assert skipped.sentences() == [
        "3 pairs skipped: the source is blank (lines 4, 9, 12)",
        "1 pair skipped: the target is blank (line 5)",
        "8 pairs skipped: too long (lines 20, 21, 22, 23, 24 and 3 more)",
    ]


def test_pairs_with_a_blank_side_are_skipped_and_the_rest_stays_aligned(tmp_path: Path) -> None:
    text = parallel(tmp_path, "eins\n\ndrei\n  \nfünf\n\t\n", "one\ntwo\n\u3000\n\nfive\nsix\n")
    expected = [Pair("eins", "one", 1), Pair("fünf", "five", 5)]
    for _ in range(2):  # the report starts over with each iteration
        assert list(text) == expected
        assert text.skipped.reasons() == {
            "the source is blank": [2, 6],
            "the target is blank": [3],
            "both sides are blank": [4],
        }


def test_windows_ends_bom_and_separators_inside_lines_keep_the_sides_aligned(tmp_path: Path) -> None:
    text = parallel(tmp_path, b"\xef\xbb\xbfeins\r\nzwei\r\n", "one\u2028uno\ntwo\x85dos\n")
    assert list(text) == [Pair("eins", "one\u2028uno", 1), Pair("zwei", "two\x85dos", 2)]


def test_empty_files_and_files_without_a_pair_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty") as caught:
        list(parallel(tmp_path, "eins\n", ""))
    assert caught.value.where == str(tmp_path / "text.en")
    with pytest.raises(DataError, match="no line has text on both sides"):
        list(parallel(tmp_path, "eins\n\n", "\ntwo\n"))


def test_unequal_numbers_of_lines_are_reported_by_a_check_and_by_reading(tmp_path: Path) -> None:
    text = parallel(tmp_path, "eins\nzwei\ndrei\n", "one\ntwo\n")
    for read in (text.check, lambda: list(text)):
        with pytest.raises(DataError, match=r"unequal numbers of lines: 3 in .*text\.de, 2 in .*text\.en"):
            read()


def test_a_wrong_encoding_late_in_a_file_is_found_by_a_check_and_by_reading(tmp_path: Path) -> None:
    text = parallel(tmp_path, b"eins\nzwei\nM\xe4nner\n", "one\ntwo\nmen\n")
    for read in (text.check, lambda: list(text)):
        with pytest.raises(DataError, match=r"text\.de:3"):
            read()


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def counted(path: Path) -> Iterator[str]:
        opened.append(path)
        return read_lines(path)

    monkeypatch.setattr(parallel_text, "read_lines", counted)
    text = parallel(tmp_path, "eins\nzwei\n", "one\ntwo\n")
    assert len(list(text)) == 2
    assert opened == [text.source, text.target]


def sentences(count: int) -> tuple[list[str], list[str]]:
    """Made sentences of uneven lengths, and `translations` of about the same lengths."""
    lengths = [5 + (number * 7919) % 83 for number in range(count)]
    return ["s" * length for length in lengths], ["t" * (length + length % 3) for length in lengths]


@pytest.mark.parametrize(("lost", "says"), [(30, "drift apart near line 3[0-3]"), (99, "lacks lines 100 to 100")])
def test_unequal_files_name_the_place(tmp_path: Path, lost: int, says: str) -> None:
    source, target = sentences(100)
    del target[lost]
    with pytest.raises(DataError, match=says) as caught:
        list(parallel(tmp_path, "\n".join(source), "\n".join(target)))
    assert "100 in" in caught.value.message and "99 in" in caught.value.message
    assert str(caught.value.where).startswith(str(tmp_path / ("text.de" if lost < 99 else "text.en")))


def test_a_multi30k_line_lost_is_found(tmp_path: Path) -> None:
    if not (MULTI30K / "val.de.gz").exists():
        pytest.skip("needs multi30k in ../shared/data")
    target = list(read_lines(MULTI30K / "val.en.gz"))
    del target[611]
    (tmp_path / "val.en").write_text("\n".join(target), encoding="utf-8")
    text = ParallelText(MULTI30K / "val.de.gz", tmp_path / "val.en")
    with pytest.raises(DataError, match=r"1014 in .*1013 in .*near line 6(0[7-9]|1[0-7])"):
        list(text)


def test_every_reader_is_a_corpus(tmp_path: Path) -> None:
    listed = PairList("listed", [Pair("eins", "one", 1)])
    corpora: list[Corpus] = [listed, parallel(tmp_path, "eins\n", "one\n")]
    assert [list(corpus) for corpus in corpora] == [list(listed.pairs)] * 2
    assert [corpus.name for corpus in corpora] == ["listed", "text.de | text.en"]
    assert [corpus.skipped.count for corpus in corpora] == [0, 0]


def test_a_line_added_between_two_iterations_is_noticed(tmp_path: Path) -> None:
    text = parallel(tmp_path, "eins\nzwei\n", "one\ntwo\n")
    assert [len(list(text)) for _ in range(2)] == [2, 2]
    with (tmp_path / "text.en").open("a") as file:
        file.write("three\n")
    with pytest.raises(DataError, match="unequal numbers of lines"):
        list(text)
