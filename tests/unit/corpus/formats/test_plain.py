import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regard.corpus.formats import unsupported
from regard.corpus.formats.plain import read_lines
from regard.errors import DataError

BOM = b"\xef\xbb\xbf"


def write_and_read(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    return list(read_lines(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"a\r\nb\r\r\n", ["a", "b\r"]),
        (b"a\rb\n", ["a\rb"]),
        (b"last\r", ["last"]),
        (b"a\rb\r", ["a\rb"]),
        (b"a\r\rb\rc", ["a", "", "b", "c"]),  # classic Mac OS
        (BOM + b"a\rb\rc\r", ["a", "b", "c"]),
        (b"a\rb\rc\rd\n", ["a\rb\rc\rd"]),
        (BOM, []),
        (BOM + b"\n", [""]),
        (BOM + b"a\n" + BOM + b"b", ["a", "\ufeffb"]),
        ("a\u2028b\x85c\fd\ve\n".encode(), ["a\u2028b\x85c\fd\ve"]),
    ],
)
def test_lines_end_only_at_newlines(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    assert write_and_read(tmp_path / "text", content) == expected


def test_gzip_reads_as_plain(tmp_path: Path) -> None:
    content = BOM + "Zwei Männer\r\n\nEnde".encode()
    assert write_and_read(tmp_path / "text.gz", gzip.compress(content)) == ["Zwei Männer", "", "Ende"]


def test_invalid_utf8_names_its_line_after_the_lines_before_it(tmp_path: Path) -> None:
    path = tmp_path / "latin1"
    path.write_bytes(b"eins\nzwei\nM\xe4nner\nvier\n")
    lines = read_lines(path)
    assert [next(lines), next(lines)] == ["eins", "zwei"]
    with pytest.raises(DataError, match=r"not UTF-8.*0xE4") as caught:
        next(lines)
    assert caught.value.where == f"{path}:3"


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        list(read_lines(tmp_path / "missing"))
    with pytest.raises(DataError, match="folder"):
        list(read_lines(tmp_path))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_lines(tmp_path / ("long" * 100)))


def test_corrupt_gzip(tmp_path: Path) -> None:
    data = gzip.compress(b"a line of text\n" * 1000)
    flipped = data[:20] + bytes([data[20] ^ 0xFF]) + data[21:]
    for content in (b"plain text\n", data[:-4], data[:30], flipped, data + b"junk"):
        with pytest.raises(DataError, match="gzip"):
            write_and_read(tmp_path / "broken.gz", content)


def has_plain_lines(content: bytes) -> bool:
    """Return whether no file format begins like this, and it is not a file of classic Mac OS."""
    return not content.startswith(tuple(unsupported._MAGIC)) and (b"\n" in content or content.count(b"\r") < 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    content=st.binary(max_size=60).filter(has_plain_lines),
    name=st.sampled_from(["text", "text.gz"]),
    packed=st.booleans(),
)
def test_any_bytes_give_lines_or_a_data_error(tmp_path: Path, content: bytes, name: str, packed: bool) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if packed else content)
    *lines_before, last = content.removeprefix(BOM).split(b"\n")
    expected = [line.removesuffix(b"\r") for line in ([*lines_before, last] if last else lines_before)]
    try:
        lines = list(read_lines(path))
    except DataError as error:
        assert str(path) in str(error)
        assert packed != (name == "text.gz") or any(not is_utf8(line) for line in expected)
    else:
        assert packed == (name == "text.gz") or content == b""
        assert [line.encode() for line in lines] == expected


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lines=st.lists(st.text(st.characters(exclude_characters="\n\r\ufeff", exclude_categories=["Cs"]))))
def test_written_lines_come_back(tmp_path: Path, lines: list[str]) -> None:
    for end in ("\n", "\r\n"):
        assert write_and_read(tmp_path / "text", "".join(line + end for line in lines).encode()) == lines
