from pathlib import Path

import pytest

from regard.corpus.corpus import Aside, Corpus, Pair, PairList, ParallelText
from regard.corpus.formats.plain import read_lines
from regard.errors import DataError

MULTI30K = Path(__file__).parents[3] / "../shared/data/multi30k"


def parallel(folder: Path, source: str | bytes, target: str | bytes) -> ParallelText:
    for name, content in (("text.de", source), ("text.en", target)):
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return ParallelText(folder / "text.de", folder / "text.en")


def test_aside_keeps_the_whole_count_and_the_first_lines() -> None:
    aside = Aside()
    assert (aside.count, aside.reasons(), aside.report()) == (0, {}, [])
    for line in (4, 9, 12):
        aside.add("the source is blank", line)
    aside.add("the target is blank", 5)
    for line in range(20, 28):
        aside.add("too long", line)
    assert aside.count == 12
    assert aside.reasons()["too long"] == [20, 21, 22, 23, 24]
    assert aside.report() == [
        "3 pairs left aside: the source is blank (lines 4, 9, 12)",
        "1 pair left aside: the target is blank (line 5)",
        "8 pairs left aside: too long (lines 20, 21, 22, 23, 24 and 3 more)",
    ]


def test_blank_lines_leave_their_pair_aside_and_the_rest_aligned(tmp_path: Path) -> None:
    text = parallel(tmp_path, "eins\n\ndrei\n  \nfünf\n\t\n", "one\ntwo\n\u3000\n\nfive\nsix\n")
    expected = [Pair("eins", "one", 1), Pair("fünf", "five", 5)]
    for _ in range(2):  # the account begins anew with each iteration
        assert list(text) == expected
        assert text.aside.reasons() == {
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


def test_unequal_counts_are_named_before_the_first_pair(tmp_path: Path) -> None:
    pairs = iter(parallel(tmp_path, "eins\nzwei\ndrei\n", "one\ntwo\n"))
    with pytest.raises(DataError, match=r"unequal numbers of lines: 3 in .*text\.de, 2 in .*text\.en"):
        next(pairs)


def test_a_fault_late_in_a_file_is_told_before_the_first_pair(tmp_path: Path) -> None:
    pairs = iter(parallel(tmp_path, b"eins\nzwei\nM\xe4nner\n", "one\ntwo\nmen\n"))
    with pytest.raises(DataError, match=r"text\.de:3"):
        next(pairs)


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
    assert [corpus.aside.count for corpus in corpora] == [0, 0]


def test_files_that_have_changed_are_read_through_again(tmp_path: Path) -> None:
    text = parallel(tmp_path, "eins\nzwei\n", "one\ntwo\n")
    assert [len(list(text)) for _ in range(2)] == [2, 2]
    with (tmp_path / "text.en").open("a") as file:
        file.write("three\n")
    with pytest.raises(DataError, match="unequal numbers of lines"):
        next(iter(text))
