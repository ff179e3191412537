"""`regard translate`, `evaluate` and `score` say what the Python functions say."""

from __future__ import annotations

import fcntl
import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from tests.end_to_end.helpers import Files, call, start, write_lines

from regard.errors import DataError, DecodingError
from regard.inference.translator import Constraints, Translator


def as_input(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def translated(run: Path, lines: bytes, *options: str | Path) -> bytes:
    finished = call("translate", run, *options, stdin=lines)
    assert finished.code == 0, finished.err
    assert finished.err == ""
    return finished.out


def test_a_line_of_output_for_a_line_of_input(run: Path, translator: Translator, files: Files) -> None:
    expected = [best.text for best in translator.translate(files.test)]
    assert sum(text == source[::-1] for text, source in zip(expected, files.test, strict=True)) > 60
    assert translated(run, as_input(files.test)) == as_input(expected)


def test_a_process_of_its_own_gives_the_same(run: Path, translator: Translator, files: Files) -> None:
    process = start("translate", run, "--input", files / "test.src", "--device", "cpu")
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out == as_input([best.text for best in translator.translate(files.test)])


@pytest.mark.parametrize("beam_size", ["1", "4"])
def test_neither_batches_nor_order_change_anything(run: Path, files: Files, beam_size: str) -> None:
    lines = [*files.test, "", "12 34", " 56 ", "987 654 321 0" * 3]
    options = ("--beam-size", beam_size, "--scores")
    all_lines = translated(run, as_input(lines), *options).splitlines()
    for batch_size in ("1", "7"):
        second = translated(run, as_input(lines), *options, "--batch-size", batch_size).splitlines()
        assert_alike(all_lines, second)
    order = random.Random(3).sample(range(len(lines)), len(lines))
    shuffled = translated(run, as_input([lines[place] for place in order]), *options).splitlines()
    assert_alike([all_lines[place] for place in order], shuffled)


def assert_alike(first: list[bytes], second: list[bytes]) -> None:
    """The same texts; scores that differ by no more than the order of a sum."""
    assert [line.split(b"\t")[1] for line in first] == [line.split(b"\t")[1] for line in second]
    pairs = zip(first, second, strict=True)
    assert all(abs(float(a.split(b"\t")[0]) - float(b.split(b"\t")[0])) < 1e-4 for a, b in pairs)


def test_scores_and_several_beams(run: Path, translator: Translator, files: Files) -> None:
    lines = [*files.test[:5], "", "7"]
    out = translated(run, as_input(lines), "--scores", "--top-beams", "3").decode().split("\n")
    assert len(out) == 3 * len(lines) + 1
    for place, best in enumerate(translator.translate(lines, top_beams=3)):
        results = best.n_best
        block = out[3 * place : 3 * place + 3]
        assert block[: len(results)] == [f"{translation.score:.6f}\t{translation.text}" for translation in results]
        assert block[len(results) :] == [""] * (3 - len(results))
        assert [translation.score for translation in results] == sorted(
            (translation.score for translation in results), reverse=True
        )
    assert len(translator.translate(files.test[0], top_beams=3).n_best) == 3
    assert out[15:18] == ["0.000000\t", "", ""]  # a line without text has one translation


def test_files_in_and_out_plain_and_gzip(run: Path, files: Files, tmp_path: Path) -> None:
    expected = translated(run, as_input(files.test))
    (tmp_path / "in.gz").write_bytes(gzip.compress(as_input(files.test)))
    assert translated(run, b"", "--input", tmp_path / "in.gz", "--output", tmp_path / "new" / "out.gz") == b""
    assert gzip.decompress((tmp_path / "new" / "out.gz").read_bytes()) == expected
    assert translated(run, b"", "--input", files / "test.src", "--output", tmp_path / "out") == b""
    assert (tmp_path / "out").read_bytes() == expected


def test_lines_are_those_that_wc_counts(run: Path) -> None:
    expected = translated(run, b"123\n\n45\n")
    assert expected.count(b"\n") == 3
    assert expected.split(b"\n")[1] == b""
    assert translated(run, b"123\r\n\r\n45\r\n") == expected
    assert translated(run, b"\xef\xbb\xbf123\n  \n45") == expected
    assert translated(run, "12\u20283\n4\x0b5\n6\x857\n\u2028\n".encode()).count(b"\n") == 4
    assert translated(run, b"") == b""


def test_alignments_lie_within_the_words(run: Path, translator: Translator, tmp_path: Path) -> None:
    lines = ["12 345", "", "  9  87 6 ", "1234", "x\u3000y z"]
    options = ("--top-beams", "2", "--alignments", tmp_path / "align")
    out = translated(run, as_input(lines), *options).decode().split("\n")[:-1]
    aligned = (tmp_path / "align").read_text().split("\n")[:-1]
    assert len(aligned) == len(out) == 2 * len(lines)
    assert sum(map(bool, aligned)) > 4
    for place, (text, pharaoh) in enumerate(zip(out, aligned, strict=True)):
        source_words = len(lines[place // 2].split())
        pairs = [tuple(map(int, pair.split("-"))) for pair in pharaoh.split()]
        assert all(0 <= source < source_words and 0 <= target < len(text.split()) for source, target in pairs), place
        assert [target for _, target in pairs] == list(range(len(text.split()))), place
    with_attention = translator.translate(lines, top_beams=2, with_attention=True)
    flat = [translation for results in with_attention for translation in [*results.n_best, None][:2]]
    assert aligned == [
        "" if translation is None else " ".join(f"{source}-{target}" for source, target in translation.alignment)
        for translation in flat
    ]


def test_attention_is_a_distribution_over_the_source(translator: Translator) -> None:
    best = translator.translate("314 15", with_attention=True)
    assert best.attention is not None
    assert best.attention.shape == (len(best.tokens) + best.finished, len(best.source_tokens))
    assert best.attention.sum(1) == pytest.approx(1, abs=1e-5)
    assert best.source_tokens == ("3", "1", "4", "▁", "1", "5", "</s>")


def test_evaluate_is_sacrebleu(run: Path, translator: Translator, files: Files, tmp_path: Path) -> None:
    rng = random.Random(1)
    sources = rng.sample(files.test, 20)
    references = [source[::-1] for source in sources]
    paths = write_lines(tmp_path / "source", sources), write_lines(tmp_path / "reference", references)
    hypotheses = [best.text for best in translator.translate(sources)]
    finished = call("evaluate", run, "--source", paths[0], "--reference", paths[1], "--json")
    assert (finished.code, finished.err) == (0, "")
    report = json.loads(finished.out)
    metrics = {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}
    for name, metric in metrics.items():
        assert report[name] == pytest.approx(metric.corpus_score(hypotheses, [references]).score, abs=1e-9), name
        assert report["signatures"][name] == str(metric.get_signature())
    assert report["exact"] == sum(a == b for a, b in zip(hypotheses, references, strict=True)) / 20
    assert report["lines"] == 20
    text = call("evaluate", run, "--source", paths[0], "--reference", paths[1]).out.decode()
    assert [line.split()[0] for line in text.splitlines()] == ["bleu", "chrf", "ter", "wer", "exact"]
    assert all(f"{report[name]:.2f}" in text and report["signatures"][name] in text for name in metrics)


def test_score_is_the_log_probability_that_translate_found(
    run: Path, translator: Translator, files: Files, tmp_path: Path
) -> None:
    sources = files.test[:40]
    results = list(translator.translate(sources))
    target = write_lines(tmp_path / "target", [best.text for best in results])
    source = write_lines(tmp_path / "source", sources)
    finished = call("score", run, "--source", source, "--target", target, "--batch-size", "7")
    assert (finished.code, finished.err) == (0, "")
    scores = [float(line) for line in finished.out.decode().splitlines()]
    pairs = [(translation, best.text) for translation, best in zip(sources, results, strict=True)]
    assert scores == pytest.approx(list(translator.score(pairs)), abs=1e-5)
    for best, score in zip(results, scores, strict=True):
        if best.finished and "<unk>" not in best.tokens:
            assert score == pytest.approx(best.log_probability, abs=1e-3)
    unpenalised = translated(run, as_input(sources), "--scores", "--length-penalty", "0").decode().splitlines()
    assert float(unpenalised[0].split("\t")[0]) == pytest.approx(scores[0], abs=1e-3)


def test_a_closed_pipe_is_no_error_to_speak_of(run: Path, files: Files, tmp_path: Path) -> None:
    resizable = hasattr(fcntl, "F_SETPIPE_SZ")
    long_file = write_lines(tmp_path / "many", files.train * (2 if resizable else 25))  # more output than a pipe holds
    process = start("translate", run, "--input", long_file, "--beam-size", "1", "--batch-size", "1000")
    assert process.stdout is not None and process.stderr is not None
    if resizable:
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    first = process.stdout.readline()
    process.stdout.close()  # as `| head -1` does
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait() != 0
    assert first.strip()
    assert err == b""


def test_windows_and_token_limits_change_nothing(
    translator: Translator, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [*files.test[:30], "", *files.test[30:50]]
    pairs = [(line, line[::-1]) for line in files.test[:30]]
    texts = [
        [translation.text for translation in results.n_best] for results in translator.translate(lines, top_beams=2)
    ]
    scores = list(translator.score(pairs))
    monkeypatch.setattr("regard.inference.translator.WINDOW", 8)
    monkeypatch.setattr("regard.inference.lines.BATCH_TOKENS", 20)
    assert [
        [translation.text for translation in results.n_best] for results in translator.translate(lines, top_beams=2)
    ] == texts
    assert list(translator.score(pairs)) == pytest.approx(scores, abs=1e-4)


def test_lines_are_read_no_further_ahead_than_a_window(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.inference.translator.WINDOW", 3)
    read: list[int] = []

    def lines() -> Iterator[str]:
        for number in range(100):
            read.append(number)
            yield str(number)

    next(translator.stream(lines()))
    assert read == [0, 1, 2]


def test_options_are_checked_before_any_line_is_read(translator: Translator) -> None:
    for options in ({"beam_size": 0}, {"batch_size": 0}, {"top_beams": 0}, {"beam_size": 2, "top_beams": 3}):
        with pytest.raises(DecodingError):
            translator.stream([], **options)  # type: ignore[arg-type]


def test_a_pair_without_a_source_has_no_score(translator: Translator) -> None:
    with pytest.raises(DataError, match="pair 3"):
        list(translator.score([("1", "1"), ("2", ""), (" ", "3")]))


def test_emoji_come_through_at_their_places(run: Path, translator: Translator, tmp_path: Path) -> None:
    lines = ["12 😀 345", "😀", "12 345 👩🏾‍⚕️", "🇩🇪 12 345", "12 345"]
    plain = translator.translate("12 345").text.split()
    assert len(plain) == 2
    out = translated(run, as_input(lines), "--alignments", tmp_path / "align").decode().splitlines()
    assert out[0].split() in ([plain[0], "😀", plain[1]], [*plain, "😀"])
    assert out[1:] == ["😀", f"{' '.join(plain)} 👩🏾‍⚕️", f"🇩🇪 {' '.join(plain)}", " ".join(plain)]
    aligned = (tmp_path / "align").read_text().splitlines()
    assert f"1-{out[0].split().index('😀')}" in aligned[0].split()
    assert "2-2" in aligned[2].split() and "0-0" in aligned[3].split()
    best = translator.translate("12 345 😀", constraints=[Constraints(forbid=("😀",))], beam_size=1)
    assert "😀" not in best.text  # what is said of emoji counts
    assert best.source_tokens[-2:] != ("5", "</s>")
    bare = [translation.score for translation in translator.translate(lines[0], top_beams=3).n_best]
    assert bare == pytest.approx(
        [translation.score for translation in translator.translate("12 345", top_beams=3).n_best]
    )
