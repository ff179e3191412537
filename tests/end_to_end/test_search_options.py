"""`regard translate` with what bends, marks and repeats a search."""

from __future__ import annotations

import json
import math
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from tests.end_to_end.helpers import Files, call, recipe, refused, write_lines

import regard
from regard.config.recipe import override_config
from regard.config.schema import SearchConfig
from regard.errors import DecodingError
from regard.evaluation.mbr import mbr_select
from regard.inference import workers
from regard.inference.mbr import select_translation
from regard.inference.translator import Constraints, SearchOptions, Translation, Translator
from regard.models import ARCHITECTURES
from regard.nn import int8


def lines_of(out: bytes) -> list[str]:
    return out.decode().split("\n")[:-1]


def translate_lines(run: Path, lines: list[str], *options: str | Path) -> list[str]:
    finished = call("translate", run, *options, stdin="".join(f"{line}\n" for line in lines).encode())
    assert finished.code == 0, finished.err
    return lines_of(finished.out)


def test_keys_of_search_are_those_of_python(run: Path, translator: Translator, files: Files) -> None:
    lines = files.test[:12]
    for options in (
        {"strategy": "lookahead", "lookahead_depth": 2, "lookahead_width": 2},
        {"strategy": "diverse", "groups": 2, "diversity": 1.5},
        {"strategy": "sample", "temperature": 0.7, "top_k": 5, "seed": 3},
        {"strategy": "mbr", "samples": 4},
        {"strategy": "mbr", "candidates": "beam", "beam_size": 6, "no_repeat": 2},
        {"strategy": "exact", "beam_size": 1, "length_penalty": 0.0, "exact_steps": 50},
        {"no_repeat": 2, "coverage_penalty": 0.2},
    ):
        flags = [part for key, value in options.items() for part in ("--search", f"{key}={value}")]
        expected = [best.text for best in translator.translate(lines, **options)]
        assert translate_lines(run, lines, *flags) == expected
        assert len(expected) == len(lines)


@pytest.fixture(scope="module")
def hard(translator: Translator, files: Files) -> list[str]:
    """30 lines, of which those that greedy search errs on come first."""
    lines = list(dict.fromkeys(files.test))
    options: dict[str, Any] = {"length_penalty": 0.0}
    greedy, wide = ([best.text for best in translator.translate(lines, beam_size=n, **options)] for n in (1, 20))
    missed = [line for line, first, second in zip(lines, greedy, wide, strict=True) if first != second]
    assert missed, "the model has learned so well that greedy search errs on no line"
    return [*missed, *(line for line in lines if line not in missed)][:30]


def test_exact_search_tells_what_the_beam_has_missed(
    run: Path, translator: Translator, hard: list[str], tmp_path: Path
) -> None:
    lines = [*hard, ""]
    plain: dict[str, Any] = {"beam_size": 1, "length_penalty": 0.0}
    beam = list(translator.translate(lines, **plain))
    best = list(translator.translate(lines, strategy="exact", exact_steps=10_000, **plain))
    assert [translation.proved for translation in best] == [True] * 30 + [None]
    assert {translation.proved for translation in beam} == {None}
    for exact, first in zip(best, beam, strict=True):
        assert exact.text == first.text or exact.score > first.score
    missed = [number for number, (exact, first) in enumerate(zip(best, beam, strict=True)) if exact.text != first.text]
    assert missed  # greedy search errs on one of them at least
    wide = list(translator.translate(lines, beam_size=40, length_penalty=0.0))
    assert [translation.text for translation in best] == [translation.text for translation in wide]

    report = tmp_path / "report"
    flags = ["--search", "strategy=exact", "--search", "exact_steps=1", "--beam-size", "1", "--length-penalty", "0"]
    finished = call("translate", run, *flags, "--report", report, stdin="".join(f"{line}\n" for line in lines).encode())
    assert finished.code == 0, finished.err
    assert lines_of(finished.out) == [translation.text for translation in beam]  # a step is too little to find anything
    short = [json.loads(line) for line in report.read_text().splitlines()]
    unproved = [entry["line"] for entry in short if "unproved" in entry["marks"]]
    assert unproved
    proved = 30 - len(unproved)
    stderr = " ".join(finished.err.split())
    assert f"proved the best translation of {proved} of 30 lines" in stderr
    assert f"; {len(unproved)} not within exact_steps" in stderr


def test_of_a_beam_the_one_is_taken_that_the_probable_others_agree_with(translator: Translator, files: Files) -> None:
    lines = files.test[:40]
    listed = translator.translate(lines, beam_size=8, top_beams=8)
    results = list(translator.translate(lines, strategy="mbr", candidates="beam", beam_size=8))
    unweighted = 0
    for translation, most_probable in zip(results, listed, strict=True):
        ended = [candidate for candidate in most_probable.n_best if candidate.finished]
        texts, weights = (
            [candidate.text for candidate in ended],
            [math.exp(candidate.log_probability) for candidate in ended],
        )
        assert translation == replace(ended[mbr_select(texts, weights)], alternatives=())
        unweighted += texts[mbr_select(texts)] != translation.text
    assert unweighted  # it matters how probable they are


def test_of_a_beam_under_constraints_too(translator: Translator) -> None:
    wishes = [Constraints(require=("77",)), Constraints(prefix="6", forbid=("6",)), Constraints()]
    results = translator.translate(["1234", "567", ""], strategy="mbr", candidates="beam", constraints=wishes)
    assert "77" in results[0].text
    assert (results[1].text, results[1].marks) == ("", ("cut", "empty"))
    assert results[2].text == ""


def test_what_the_limit_cut_is_no_candidate_of_a_beam() -> None:
    cut = [Translation("la la la", -0.1, -0.1, finished=False), Translation("la la la la", -0.2, -0.2, finished=False)]
    ended = Translation("done", -9.0, -900.0)  # whose probability is 0 as a float
    search = SearchConfig(strategy="mbr", candidates="beam")
    assert select_translation([ended, *cut], search) is ended
    assert select_translation([ended, replace(ended, text="do"), *cut], search) is ended
    assert select_translation(cut, search) in cut


def test_exact_search_aligns_what_it_finds(translator: Translator, hard: list[str]) -> None:
    options: dict[str, Any] = {"beam_size": 1, "length_penalty": 0.0, "with_attention": True}
    beam = translator.translate(hard, **options)
    results = translator.translate(hard, strategy="exact", **options)
    new = [exact for exact, first in zip(results, beam, strict=True) if exact.text != first.text]
    assert new
    for translation in new:
        assert translation.attention is not None
        assert translation.attention.shape == (len(translation.tokens) + 1, len(translation.source_tokens))
        assert translation.attention.sum(1) == pytest.approx(1)


def test_draws_depend_on_the_line_and_the_seed_alone(translator: Translator, files: Files) -> None:
    lines = files.test[:20]
    options: dict[str, Any] = {"strategy": "sample", "top_beams": 3, "temperature": 2.0}

    def drawn(**changes: Any) -> list[list[str]]:
        return [
            [first.text for first in results.n_best] for results in translator.translate(lines, **options, **changes)
        ]

    first = drawn()
    assert drawn(batch_size=1) == drawn(batch_size=7) == first
    assert drawn(seed=2) != first
    assert any(len({*texts}) > 1 for texts in first)


def test_constraints_hold_line_by_line(run: Path, tmp_path: Path) -> None:
    lines = ["1234", "", "567", "98 76", "4321"]
    wishes = [{"require": ["77"]}, None, {"forbid": ["6"]}, {"prefix": "6"}, {"require": ["9"], "forbid": ["1"]}]
    path = tmp_path / "wishes"
    path.write_text("".join("\n" if wish is None else json.dumps(wish) + "\n" for wish in wishes))
    free, results = translate_lines(run, lines), translate_lines(run, lines, "--constraints", path)
    assert results[1] == ""
    assert "77" in results[0]
    assert "6" not in results[2] and "6" in free[2]
    assert results[3].startswith("6")
    assert "9" in results[4] and "1" not in results[4]
    path.write_text("\n" * 5)
    assert translate_lines(run, lines, "--constraints", path) == free


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{\n", ":1: this is not JSON"),
        ("\n[]\n", ":2: this is not an object"),
        ('{"needs": ["a"]}\n', ":1: this is not an object with these keys"),
        ('{"require": "a"}\n', ":1: a phrase is not a string"),
        ('{"prefix": 3}\n', ":1: a phrase is not a string"),
        ("\n", "constraints for 1 lines"),
    ],
)
def test_constraints_that_cannot_be_read(run: Path, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "wishes"
    path.write_text(content)
    refused(call("translate", run, "--constraints", path, stdin=b"12\n34\n"), message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--search", "beam=3"], "there is no key `beam`"),
        (["--search", "no_repeat"], "is not of the form search.KEY=VALUE"),
        (["--search", "no_repeat=many"], "no_repeat"),
        (["--search", "strategy=astar"], "strategy"),
        (["--search", "strategy=diverse", "--search", "groups=3", "--beam-size", "4"], "must divide"),
        (["--search", "strategy=sample", "--search", "no_repeat=2"], "does not support constraints"),
        (["--search", "strategy=lookahead", "--top-beams", "2"], "top_beams is 2"),
        (["--search", "strategy=exact", "--top-beams", "2"], "top_beams is 2, but exact search finds 1"),
        (["--search", "strategy=exact", "--search", "coverage_penalty=0.2"], "'exact' does not support constraints"),
        (["--search", "strategy=exact", "--search", "exact_steps=0"], "exact_steps"),
        (["--search", "strategy=mbr", "--search", "candidates=draws"], "candidates"),
        (["--search", "strategy=mbr", "--search", "no_repeat=2"], "or candidates=beam"),
        (["--fallback", "beamsize=9"], "there is no key"),
    ],
)
def test_options_that_do_not_go(run: Path, options: list[str], message: str) -> None:
    refused(call("translate", run, *options, stdin=b"12\n"), message)


def test_a_precision_that_does_not_exist_is_refused(run: Path) -> None:
    refused(call("translate", run, "--precision", "int4", stdin=b"12\n"), "--precision", "int8", code=2)


def test_what_looks_degenerate_is_reported_and_searched_again(run: Path, tmp_path: Path) -> None:
    lines = ["1234", "5" * 30, "", "321", "12 " * 12]
    report = tmp_path / "report"
    finished = call("translate", run, "--report", report, stdin="".join(f"{line}\n" for line in lines).encode())
    assert finished.code == 0
    plain = lines_of(finished.out)
    marked = [json.loads(line) for line in report.read_text().splitlines()]
    assert 2 in [entry["line"] for entry in marked]  # the same digit again and again, as it should be
    for entry in marked:
        assert entry["marks"]
        assert entry["source"] == lines[entry["line"] - 1].strip()
        assert entry["translation"] == plain[entry["line"] - 1]
    assert f"{len(marked)} lines look degenerate" in finished.err
    again = translate_lines(run, lines, "--fallback", "no_repeat=2", "--fallback", "beam_size=3")
    unmarked = [place for place in range(len(lines)) if place + 1 not in [entry["line"] for entry in marked]]
    assert [again[place] for place in unmarked] == [plain[place] for place in unmarked]
    assert again[1] != plain[1]


@pytest.mark.skipif(not int8.available(), reason="no exact 8-bit products on this CPU")
def test_8_bits_say_nearly_the_same(run: Path, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.nn.inference.is_worthwhile", lambda weight: True)
    exact, rounded = translate_lines(run, files.test), translate_lines(run, files.test, "--precision", "int8")
    same = sum(first == second for first, second in zip(exact, rounded, strict=True))
    assert same > 0.8 * len(exact)


def test_an_ensemble_of_a_run_with_itself_is_the_run(run: Path, files: Files) -> None:
    assert translate_lines(run, files.test[:20], "--ensemble", run) == translate_lines(run, files.test[:20])


def test_an_ensemble_of_two_architectures(run: Path, files: Files, tmp_path: Path) -> None:
    second = tmp_path / "other"
    config = recipe(files, max_steps=2, checkpoint_every=1, metric="'loss'")
    sizes = [f"model.{name}=32" for name in ("hidden_size", "embedding_size", "maxout_size")]
    regard.train(override_config(config, ["model.architecture=cho2014", *sizes], ARCHITECTURES), second)
    both = regard.Translator.load_ensemble([run, second], "cpu")
    results = [best.text for best in both.translate(files.test[:30])]
    assert len(results) == 30
    write_lines(tmp_path / "test.src", files.test[:30])
    write_lines(tmp_path / "test.tgt", results)
    sides = ("--source", tmp_path / "test.src", "--reference", tmp_path / "test.tgt", "--json")
    together = json.loads(call("evaluate", run, *sides, "--ensemble", second).out)
    alone = json.loads(call("evaluate", second, *sides).out)
    assert together["exact"] == 1 > alone["exact"]


def test_an_ensemble_needs_one_vocabulary(run: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "a", ["ab " * number for number in range(1, 40)])
    write_lines(tmp_path / "b", ["xy " * number for number in range(1, 40)])
    sets = [
        "train.max_steps=1",
        "train.metric=loss",
        "tokenizer.kind=character",
        "model.preset=tiny",
        "train.tokens_per_batch=64",
    ]
    flags = [part for setting in sets for part in ("--set", setting)]
    finished = call("train", "--source", tmp_path / "a", "--target", tmp_path / "b", "--out", tmp_path / "run", *flags)
    assert finished.code == 0, finished.err
    refused(call("translate", run, "--ensemble", tmp_path / "run", stdin=b"12\n"), "its tokenizers differ")


def test_python_says_what_is_wrong_at_once(translator: Translator) -> None:
    with pytest.raises(DecodingError, match="beam_size"):
        translator.stream([], beam_size=0)
    with pytest.raises(DecodingError, match="but more lines"):
        translator.translate(["1", "2"], constraints=[Constraints()])


def test_several_workers_say_what_one_says(
    run: Path, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [*files.test, "", "1"] * 9  # more than a worker is given at a time
    wishes = tmp_path / "wishes"
    wishes.write_text("".join('{"forbid": ["1"]}\n' if number % 5 == 0 else "\n" for number in range(len(lines))))
    options = ("--search", "strategy=sample", "--search", "top_k=3")
    assert translate_lines(run, lines, "--workers", "2", *options) == translate_lines(
        run, lines, "--workers", "1", *options
    )

    def pool_of_one(_: int, *arguments: Any, **options: Any) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, *arguments, **options)

    # Here, one process gets the chunks of both: a process takes seconds to start.
    monkeypatch.setattr(workers, "ProcessPoolExecutor", pool_of_one)
    assert translate_lines(run, lines, "--workers", "2", "--constraints", wishes) == translate_lines(
        run, lines, "--constraints", wishes
    )


def test_a_worker_that_is_lost_is_told(run: Path) -> None:
    with pytest.raises(DecodingError, match="ended unexpectedly"):
        list(workers.stream(_die, ["1"], 2))


def _die() -> Translator:
    os._exit(3)


def test_the_options_are_the_keys_of_the_recipe() -> None:
    fields = {name: field.annotation for name, field in SearchConfig.model_fields.items()}
    assert get_type_hints(SearchOptions) == fields


@pytest.mark.parametrize(
    ("options", "said_of_it"),
    [
        (["--constraints", "no-such-file"], "no-such-file"),
        (["--workers", "2", "--top-beams", "9"], "top_beams"),
        (["--search", "strategy=mbr", "--search", "no_repeat=2"], "does not support constraints"),
    ],
)
def test_what_is_wrong_is_told_before_a_file_is_written_over(
    run: Path, tmp_path: Path, options: list[str], said_of_it: str
) -> None:
    old = tmp_path / "old"
    old.write_text("kept")
    refused(call("translate", run, "--output", old, *options, stdin=b"12\n"), said_of_it)
    assert old.read_text() == "kept"
