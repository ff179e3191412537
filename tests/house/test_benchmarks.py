"""A benchmark that is given a wrong path says so in one line, and ends with status 2; what one makes of its numbers."""

from __future__ import annotations

import gzip
import io
import json
import os
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest
from tests.shared_data import shared

ROOT = Path(__file__).parents[2]
TRAINING = ("processes_cpu.py", "time_to_quality.py", "train_cpu.py", "training_technique.py")
NO_FILES = ("common.py", "gpu.py", "kernels.py")  # which are given none
NO_TEXT = (
    "align_reactions.py",
    "doctor.py",
    "join_lines.py",
    "prepare_large.py",
    "prepare_reactions.py",
    "prepare_spelling.py",
    "score_reactions.py",
    "startup.py",
    "unseen_text.py",
)
SCRIPTS = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py") if path.name not in NO_FILES)


def call(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a benchmark as a program, but in this process: most of its time would be the import of torch."""
    folder = ROOT / "benchmarks"
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", [script, *map(str, arguments)]),
        mock.patch.object(sys, "path", [str(folder), *sys.path]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            runpy.run_path(str(folder / script), run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return subprocess.CompletedProcess([script], code, out.getvalue(), err.getvalue())


def test_as_a_program(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "pareto.py"), "--out", str(tmp_path / "nowhere")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1, result.stderr


def refused(script: str, *arguments: str | Path) -> str:
    result = call(script, *arguments)
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stderr


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text("eins\nzwei\n")
    return path


def arguments(script: str, run: Path, source: Path, reference: Path) -> list[str | Path]:
    if script == "join_lines.py":
        return ["captions", source]  # OUT; a folder is to be made there
    if script == "score_reactions.py":
        return [run, reference]
    if script in ("align_reactions.py", "prepare_reactions.py", "prepare_spelling.py", "unseen_text.py"):
        return [run, source.parent / "out"]
    if script == "prepare_large.py":
        return ["--source", run, "--target", reference]
    if script == "doctor.py":
        return ["--source", run, "--target", reference]
    if script in TRAINING:
        out: list[str | Path] = ["--out", source.parent / "out"] if script == "training_technique.py" else []
        return ["--data", run, *out]
    if script == "startup.py":
        return [run]
    if script == "improve.py":
        elsewhere = ("--elsewhere-source", source, "--elsewhere-reference", reference)
        return [run, "--source", source, "--target", reference, *elsewhere]
    if script == "confidence.py":
        return [run, "--test", f"test={source},{reference}"]
    alone = script in ("batch_composition.py", "copying.py", "serving.py", "serving_workers.py", "stream_memory.py")
    references: list[str | Path] = [] if alone else ["--reference", reference]
    out = ["--out", source.parent / "out"] if script == "pareto.py" else []
    return [run, "--source", source, *references, *out]


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_run(script: str, text: Path, tmp_path: Path) -> None:
    wrong = text if script == "join_lines.py" else tmp_path / "nowhere"
    assert f"error: {wrong}: " in refused(script, *arguments(script, wrong, text, text))


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name not in (*NO_TEXT, *TRAINING)])
def test_no_text(script: str, text: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "nowhere"
    (run := tmp_path / "run").mkdir()
    (run / "config.json").touch()  # that of a checkpoint
    assert f"error: {wrong}: there is no such file" in refused(script, *arguments(script, run, wrong, text))
    (wrong := tmp_path / "empty").touch()
    assert f"error: {wrong}: the file has no lines" in refused(script, *arguments(script, run, wrong, text))


def test_a_vocabulary_of_special_tokens_only() -> None:
    assert "give a larger number" in refused("copying.py", "--vocabulary", "3")


def test_sides_of_unequal_length(text: Path, tmp_path: Path) -> None:
    (longer := tmp_path / "longer").write_text("one\ntwo\nthree\n")
    message = refused("decode_cpu.py", *arguments("decode_cpu.py", tmp_path, text, longer))
    assert f"{longer}: the file has 3 lines, but the source has 2" in message


def test_a_corpus_of_unequal_sides(tmp_path: Path) -> None:
    for name, lines in {"train.en": 3, "train.de": 3, "val.en": 2, "val.de": 1}.items():
        with gzip.open(tmp_path / f"{name}.gz", "wt") as file:
            file.write("line\n" * lines)
    assert f"{tmp_path / 'val.de.gz'}: the file has 1 lines, but the source has 2" in refused(
        "train_cpu.py", "--data", tmp_path
    )
    (wrong := tmp_path / "train.de.gz").unlink()
    assert f"error: {wrong}: there is no such file" in refused("train_cpu.py", "--data", tmp_path)


def test_the_frontier_is_what_nothing_beats(tmp_path: Path) -> None:
    measured = [  # seconds of three rounds, and BLEU
        ("slow", "greedy", [10.0, 10.0, 10.0], 20.0),  # beaten by all
        ("good", "beam 5", [8.0, 5.0, 4.0], 30.0),
        ("same", "beam 5", [6.0, 6.0, 6.0], 30.0),  # as good, and slower
        ("fast", "greedy", [1.0, 1.0, 9.0], 25.0),
        ("even", "greedy", [1.0, 1.0, 1.0], 24.0),  # as fast, and worse
    ]
    rows = [
        {"run": name, "system": "regard int8", "mode": mode, "seconds": seconds, "bleu": bleu}
        for name, mode, seconds, bleu in measured
    ]
    file = tmp_path / "measurements.json"
    file.write_text(json.dumps({"lines": 2, "words": 100, "rows": rows}))
    result = call("pareto.py", "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in result.stdout.splitlines() if "int8" in line]
    assert [(name, speed, bleu, place) for name, _, _, speed, bleu, place in table] == [
        ("slow", "10", "20.00", ""),
        ("good", "20", "30.00", "1"),
        ("same", "17", "30.00", ""),
        ("fast", "100", "25.00", "2"),
        ("even", "100", "24.00", ""),
    ]
    assert (tmp_path / "pareto.png").read_bytes().startswith(b"\x89PNG")
    file.write_text("{}")
    assert f"error: {file}: this file does not contain measurements" in refused("pareto.py", "--out", tmp_path)
    file.unlink()
    assert f"error: {file}: " in refused("pareto.py", "--out", tmp_path)


def write_gzip(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode()))


def read_gzip(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def test_historical_spellings_are_prepared_as_published(tmp_path: Path) -> None:
    prepared = {
        "AN\tAn": "an\tan",
        "u\u0308ber ſich\tUnter sich": "über ſich\tunter sich",  # NFC; spaces stay
        "13.\t13.": "00.\t00.",
        "4ten\tvierten": "4ten\tvierten",  # differs: the digit stays
        "§1\t§1": "§0\t§0",
        "+\t+": "+\t+",  # a symbol, not punctuation
    }
    dropped = ["", "\t", "word\t", "\tword", "alone", "¶\t¶", "/\tund", "und\t--", ".\t.I.\tI."]
    lines = [line for pair in zip(dropped, [*prepared, "", "", ""], strict=True) for line in pair]
    for split in ("train", "dev", "test"):
        write_gzip(tmp_path / f"toy.{split}.tsv.gz", "".join(f"{line}\n" for line in lines))
    result = call("prepare_spelling.py", tmp_path, out := tmp_path / "out", "--tokens", "2")
    assert result.stdout == "toy: train 2, dev 6, test 6 words\n", result.stderr
    assert read_gzip(out / "toy.dev.tsv.gz") == list(prepared.values()) == read_gzip(out / "toy.test.tsv.gz")
    assert read_gzip(out / "toy.train.tsv.gz") == list(prepared.values())[:2]
    write_gzip(wrong := tmp_path / "toy.dev.tsv.gz", "a\tb\na\tb\tc\n")
    assert f"error: {wrong}:2: the line has 3 columns" in refused("prepare_spelling.py", tmp_path, out)
    wrong.unlink()
    assert f"error: {wrong}: there is no such file" in refused("prepare_spelling.py", tmp_path, out)
    assert "--tokens: 0 is not positive" in call("prepare_spelling.py", tmp_path, out, "--tokens", "0").stderr


def test_historical_spellings_have_the_published_sizes(tmp_path: Path) -> None:
    result = call("prepare_spelling.py", shared("historical-spelling"), tmp_path)
    assert result.stdout.splitlines() == [
        "german-ridges: train 25,000, dev 9,712, test 9,590 words",
        "icelandic-icepahc: train 25,000, dev 6,109, test 6,037 words",
        "slovene-goo300k-gaj: train 25,000, dev 20,919, test 21,526 words",
    ]


def test_reactions_are_written_without_spaces(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        write_gzip(tmp_path / f"{split}.product.gz", "<RX_10> C l / C = C\n<RX_1> [ n H ] C\n")
        write_gzip(tmp_path / f"{split}.reactants.gz", "C C . B r\nO\n")
    result = call("prepare_reactions.py", tmp_path, out := tmp_path / "out")
    assert result.returncode == 0, result.stderr
    for split in ("train", "dev", "test"):
        assert read_gzip(out / f"{split}.product.gz") == ["<RX_10> Cl/C=C", "<RX_1> [nH]C"]
        assert read_gzip(out / f"{split}.reactants.gz") == ["CC.Br", "O"]
    wrong = out / "train.product.gz"
    assert f"error: {wrong}:1: the line is not made of single characters" in refused(
        "prepare_reactions.py", out, tmp_path / "twice"
    )


def test_reactions_are_scored_as_molecules(tmp_path: Path) -> None:
    pytest.importorskip("rdkit", reason="needs rdkit: python -m pip install rdkit")
    (reference := tmp_path / "reference").write_text("CCO.Cl\nc1ccccc1\nCC\n")
    (proposals := tmp_path / "proposals").write_text("Cl.OCC\nC\n" + "C(\nC1=CC=CC=C1\n" + "C\nN\n")
    result = call("score_reactions.py", proposals, reference)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "reactions  3; 33.33% of first proposals are not molecules",
        "top 1      66.67",  # an invalid proposal has no rank
    ]
    proposals.write_text("C\n" * 4)
    assert f"error: {proposals}: the file has 4 lines" in refused("score_reactions.py", proposals, reference)
    reference.write_text("CCO\nC(\n")
    assert f"error: {reference}:2: 'C(' is not of molecules" in refused("score_reactions.py", proposals, reference)


def test_aligned_reactions_are_the_same_molecules(tmp_path: Path) -> None:
    pytest.importorskip("rdkit", reason="needs rdkit: python -m pip install rdkit rapidfuzz")
    pytest.importorskip("rapidfuzz", reason="needs rapidfuzz: python -m pip install rdkit rapidfuzz")
    for split in ("train", "dev"):
        write_gzip(tmp_path / f"{split}.product.gz", "<RX_6> Nc1nc2[nH]c(CCCc3csc(C(=O)O)c3)cc2c(=O)[nH]1\n")
        write_gzip(tmp_path / f"{split}.reactants.gz", "COC(=O)c1cc(CCCc2cc3c(=O)[nH]c(N)nc3[nH]2)cs1\n")
    result = call("align_reactions.py", tmp_path, out := tmp_path / "out")
    assert (result.returncode, result.stdout) == (0, "train: 2 pairs\ndev: 1 pairs\n"), result.stderr
    assert read_gzip(out / "train.reactants.gz")[0] == "Nc1nc2[nH]c(CCCc3csc(C(=O)OC)c3)cc2c(=O)[nH]1"
    (proposals := tmp_path / "proposals").write_text("\n".join(read_gzip(out / "dev.reactants.gz")) + "\n")
    assert "top 1      100.00" in call("score_reactions.py", proposals, tmp_path / "dev.reactants.gz").stdout
    write_gzip(tmp_path / "dev.reactants.gz", "C.\n")
    assert f"error: {tmp_path}/dev, line 1: '' is not a molecule" in refused("align_reactions.py", tmp_path, out)


def test_held_out_text_is_scored(tmp_path: Path) -> None:
    lines = {
        "train.en": "a dog\na cat\na cat\na bird\na man\n",
        "train.de": "ein Hund\neine Katze\neine Katze\nein Vogel\nein Mann\n",
        "val.en": "a man\n",
        "val.de": "ein Mann\n",
    }
    for name, text in lines.items():
        write_gzip(tmp_path / f"{name}.gz", text)
    (out := tmp_path / "out").mkdir()
    (out / "regard.val.de").write_text("ein Mann\n")
    (translations := out / "regard.held-out.de").write_text("ein Vogel\nein Hund\n")
    command = ("unseen_text.py", tmp_path, out, "--systems", "regard", "--held-out")
    result = call(*command, "2")
    assert read_gzip(out / "train.de.gz") == ["ein Hund", "eine Katze", "eine Katze"], result.stderr
    assert read_gzip(out / "held-out.de.gz") == ["ein Vogel", "ein Mann"]
    assert "| val | 100.00, 100.00, 100.0 |" in result.stdout
    (row,) = (line for line in result.stdout.splitlines() if line.startswith("| held-out |"))
    assert row.endswith(", 80.0 |")  # "ein" matches twice; "Hund" is the only other word that training has
    translations.write_text("ein Vogel\n")
    assert f"error: {translations}: the file has 1 lines, but the source has 2" in refused(*command, "2")
    assert "train.en.gz: --held-out 3 leaves none of the 3 pairs" in refused(*command, "3")
    (tmp_path / "val.de.gz").unlink()
    assert f"error: {tmp_path / 'val.de.gz'}: there is no such file" in refused(*command, "2")


def test_there_are_benchmarks() -> None:
    assert len(SCRIPTS) >= 4
