"""An output file is replaced only when the new one is complete; partial results are kept next to it, and named."""

from __future__ import annotations

import errno
import gzip
import io
import lzma
import os
import random
import signal
import stat
import threading
import time
from pathlib import Path
from typing import IO

import pytest
from tests.end_to_end.helpers import Files, call, refused, start, write_lines

from regard.cli import streams, translate_lines
from regard.corpus.formats.compressed import zstd
from regard.corpus_checks.cleaning import Keep, Remove
from regard.errors import DataError

PRECIOUS = b"PRECIOUS\n"
LINES = 40
GREEDY = ("--beam-size", "1", "--workers", "1")


@pytest.fixture
def few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small windows, so that a short file is translated in several."""
    monkeypatch.setattr("regard.inference.translator.WINDOW", 8)
    monkeypatch.setattr(translate_lines, "PARALLEL_LINES", 8)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (path := tmp_path / "out").write_bytes(PRECIOUS)
    return path


def bad_at_the_end(path: Path, lines: int = LINES) -> Path:
    """Lines of digits, and then one that is not UTF-8."""
    path.write_bytes(b"".join(b"%d\n" % number for number in range(lines)) + b"\xff\n")
    return path


@pytest.mark.usefixtures("few_at_a_time")
def test_a_late_bad_byte_leaves_the_output_and_keeps_what_is_done(run: Path, tmp_path: Path, out: Path) -> None:
    source = bad_at_the_end(tmp_path / "in")
    align = tmp_path / "align"
    options = (*GREEDY, "--output", out, "--alignments", align, "--report", tmp_path / "report")
    failed = call("translate", run, "--input", source, *options)
    refused(failed, f"{source}:{LINES + 1}", "not UTF-8")
    assert out.read_bytes() == PRECIOUS
    assert not align.exists()
    part = tmp_path / "out.part"
    finished = part.read_bytes().count(b"\n")
    assert 8 <= finished <= LINES
    assert (tmp_path / "align.part").read_bytes().count(b"\n") == finished
    assert f"its first {finished} lines are in {part}" in " ".join(failed.err.split())
    head = write_lines(tmp_path / "head", source.read_bytes().decode("latin-1").split("\n")[:finished])
    assert call("translate", run, "--input", head, "--beam-size", "1").out == part.read_bytes()
    again = call("translate", run, "--input", source, *GREEDY, "--output", out)
    assert f"are in {tmp_path / 'out.part2'}" in " ".join(again.err.split())  # the first one is not written over
    assert part.read_bytes() == (tmp_path / "out.part2").read_bytes()


@pytest.mark.usefixtures("few_at_a_time")
@pytest.mark.parametrize("ending", [".gz", ".xz", ".zst"])
def test_half_a_compressed_output_does_not_pass_as_whole(run: Path, tmp_path: Path, ending: str) -> None:
    (out := tmp_path / f"out{ending}").write_bytes(PRECIOUS)
    source = bad_at_the_end(tmp_path / "in")
    refused(call("translate", run, "--input", source, *GREEDY, "--output", out), "not UTF-8")
    assert out.read_bytes() == PRECIOUS
    packed = (tmp_path / f"out{ending}.part").read_bytes()
    unpack = {".gz": gzip.decompress, ".xz": lzma.decompress, ".zst": zstd.decompress}[ending]
    assert unpack(packed).count(b"\n") >= 8
    good = write_lines(tmp_path / "good", ["12", "345"])
    assert call("translate", run, "--input", good, *GREEDY, "--output", out).code == 0
    assert unpack(out.read_bytes()) == call("translate", run, "--input", good, "--beam-size", "1").out


@pytest.mark.usefixtures("few_at_a_time")
def test_a_gzip_input_that_is_cut_short(run: Path, tmp_path: Path, out: Path) -> None:
    spaces = random.Random(1).choices(" \t", k=500_000)  # more than is unpacked at a time, and nothing to translate
    lines = ["12"] * 8 + ["".join(spaces[at : at + 500]) for at in range(0, len(spaces), 500)]
    packed_whole = gzip.compress("\n".join(lines).encode())
    (source := tmp_path / "in.gz").write_bytes(packed_whole[: len(packed_whole) * 9 // 10])
    refused(call("translate", run, "--input", source, *GREEDY, "--output", out), "gzip file is corrupt")
    assert out.read_bytes() == PRECIOUS
    assert (tmp_path / "out.part").read_bytes().count(b"\n") >= 8


def test_a_worker_that_is_killed(run: Path, tmp_path: Path, out: Path) -> None:
    """With two processes: what came before the loss is kept."""
    os.mkfifo(fifo := tmp_path / "in")
    options = ("--beam-size", "1", "--output", out, "--workers", "2", "--device", "cpu")
    process = start("translate", run, "--input", fifo, *options)
    with fifo.open("wb") as source:
        source.write(b"12\n34\n" * 512 * 3)  # six chunks, of which some are given back before more are wanted
        source.flush()
        part = tmp_path / "out.part"
        deadline = time.monotonic() + 600  # a hang, not a slow machine
        while not part.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        for worker in _workers(process.pid):
            os.kill(worker, signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == 1, err
    stderr = " ".join(err.decode().split())
    assert "a worker process ended unexpectedly" in stderr and "Traceback" not in stderr
    assert out.read_bytes() == PRECIOUS
    finished = part.read_bytes().count(b"\n")
    assert finished % 512 == 0
    assert f"its first {finished:,} lines are in {part}" in stderr


def _workers(parent: int) -> list[int]:
    """The processes that translate for it."""
    processes = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            of = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if of == parent and b"spawn_main" in (folder / "cmdline").read_bytes():
                processes.append(int(folder.name))
        except OSError:  # it has ended
            continue
    return processes


class FullDisk(io.RawIOBase):
    """Accepts a number of bytes, and then reports a full disk."""

    def __init__(self, file: IO[bytes], room: int) -> None:
        self.file, self.room = file, room

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.file.fileno()

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self.file.write(view[: self.room])
        self.room -= written
        return written

    def close(self) -> None:
        super().close()
        self.file.close()


@pytest.mark.usefixtures("few_at_a_time")
@pytest.mark.parametrize("room", [0, 50])
def test_a_full_disk(run: Path, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    opened = os.fdopen

    def full(descriptor: int, mode: str) -> io.BufferedWriter:
        return io.BufferedWriter(FullDisk(opened(descriptor, mode, buffering=0), room), 16)

    monkeypatch.setattr("regard.files.os.fdopen", full)
    source = write_lines(tmp_path / "in", [str(number) for number in range(1000, 1040)])
    failed = call("translate", run, "--input", source, *GREEDY, "--output", out)
    refused(failed, f"{out}: it cannot be written: No space left")
    assert out.read_bytes() == PRECIOUS
    part = tmp_path / "out.part"
    assert (part.read_bytes() if part.exists() else b"")[room:] == b""
    assert part.exists() == (room > 0)
    assert (str(part) in failed.err) == (room > 0)


def test_what_is_written_at_once_leaves_nothing_half(tmp_path: Path, out: Path) -> None:
    with pytest.raises(ZeroDivisionError), streams.output(out) as write:
        write("half a report")
        raise ZeroDivisionError
    assert out.read_bytes() == PRECIOUS
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_file_keeps_its_mode_and_a_link_its_target(run: Path, tmp_path: Path, out: Path, mode: int) -> None:
    out.chmod(mode)
    (tmp_path / "link").symlink_to(out)
    assert call("translate", run, "--output", tmp_path / "link", stdin=b"12\n").code == 0
    assert (tmp_path / "link").is_symlink()
    assert out.read_bytes() == call("translate", run, stdin=b"12\n").out
    assert stat.S_IMODE(out.stat().st_mode) == mode
    document = tmp_path / "a.po"
    document.write_bytes(b'msgid "%s"\nmsgstr ""\n')
    (filled := tmp_path / "b.po").write_bytes(PRECIOUS)
    filled.chmod(mode)
    (tmp_path / "link.po").symlink_to("b.po")
    assert call("translate", run, "--input", document, "--output", tmp_path / "link.po").code == 0
    assert (tmp_path / "link.po").is_symlink()
    assert b'msgstr "%s"' in filled.read_bytes()
    assert stat.S_IMODE(filled.stat().st_mode) == mode


def test_a_new_file_has_the_mode_that_the_umask_gives(run: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        assert call("translate", run, "--output", tmp_path / "new", stdin=b"12\n").code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_pipes_and_standard_output_are_written_to_as_they_are(run: Path, tmp_path: Path) -> None:
    expected = call("translate", run, stdin=b"12\n34\n").out
    os.mkfifo(fifo := tmp_path / "fifo")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    assert call("translate", run, "--output", fifo, stdin=b"12\n34\n").code == 0
    reader.join()
    assert read == [expected]
    (log := tmp_path / "log").write_bytes(PRECIOUS)
    with log.open("ab") as file:  # as standard output is after `>> log`
        assert call("translate", run, "--output", f"/dev/fd/{file.fileno()}", stdin=b"12\n34\n").code == 0
    assert log.read_bytes() == PRECIOUS + expected
    reads, writes = os.pipe()
    assert call("translate", run, "--output", f"/dev/fd/{writes}", stdin=b"12\n34\n").code == 0
    os.close(writes)
    with os.fdopen(reads, "rb") as end:
        assert end.read() == expected
    assert {path.name for path in tmp_path.iterdir()} == {"fifo", "log"}


def test_scores_that_fail_late_are_kept(run: Path, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_self: object, pairs: object, batch_size: int) -> object:
        yield -1.0
        raise DataError("it breaks", fix="mend it")

    monkeypatch.setattr("regard.inference.translator.Translator.score", breaks)
    two = write_lines(tmp_path / "two", ["1", "2"])
    refused(call("score", run, "--source", two, "--target", two, "--output", out), "it breaks")
    assert out.read_bytes() == PRECIOUS
    assert (tmp_path / "out.part").read_bytes() == b"-1.000000\n"


def test_pictures_and_pages_are_whole_or_not_there(
    run: Path, tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    (picture := tmp_path / "a.png").write_bytes(PRECIOUS)

    def breaks(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", breaks)
    refused(call("attend", run, "12", "--output", picture), "cannot be written")
    assert picture.read_bytes() == PRECIOUS
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_clean_that_fails_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sides = [write_lines(tmp_path / name, [f"word {number}" for number in range(20)]) for name in ("a.en", "a.de")]
    outs = [tmp_path / "b.en", tmp_path / "b.de"]
    for path in outs:
        path.write_bytes(PRECIOUS)

    def breaks(_inspector: object, _options: object, keep: Keep, remove: Remove) -> None:
        keep("one", "eins")
        remove("{}")
        raise DataError("it breaks", fix="mend it")

    monkeypatch.setattr("regard.corpus_checks.cleaning.clean", breaks)
    options = ("--source", sides[0], "--target", sides[1], "--out-source", outs[0], "--out-target", outs[1])
    failed = call("clean", *options, "--removed", tmp_path / "removed")
    refused(failed, "it breaks")
    assert [path.read_bytes() for path in outs] == [PRECIOUS, PRECIOUS]
    parts = [tmp_path / name for name in ("b.en.part", "b.de.part", "removed.part")]
    assert [path.read_bytes() for path in parts] == [b"one\n", b"eins\n", b"{}\n"]
    assert all(f"its first 1 lines are in {part}" in " ".join(failed.err.split()) for part in parts)


def test_what_ctrl_c_stops_is_kept(tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), streams.output(out, keep_partial=True) as write:
        write("one\ntwo\n")
        raise KeyboardInterrupt
    assert out.read_bytes() == PRECIOUS
    assert (tmp_path / "out.part").read_bytes() == b"one\ntwo\n"
    assert f"its first 2 lines are in {tmp_path / 'out.part'}" in " ".join(capsys.readouterr().err.split())
