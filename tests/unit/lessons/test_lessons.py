"""The lessons: what each has, that their notebooks run, and the checker of their exercises."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from queue import Queue
from typing import Any
from unittest import mock

import matplotlib as mpl
import numpy as np
import pytest
import torch
from tests.end_to_end.helpers import call

import regard.lessons
from regard.corpus.builtin import wordings
from regard.errors import ConfigError
from regard.lessons.exercises import EXERCISES
from regard.lessons.export import STEERED, check_tokenizers
from regard.lessons.film import FILM_MODELS, FRAMES, PARTS, SENTENCES, FilmModel, film_training, part_spans
from regard.lessons.models import LESSON_MODELS
from regard.lessons.pages import FOLDER, Lesson, expand_sources, lessons
from regard.lessons.phrases import best_translation, log_probability, phrases
from regard.lessons.render import render_lesson
from regard.lessons.server import LessonServer
from regard.lessons.tasks import TASKS
from regard.tokenizers.base import Tokenizers
from regard.tokenizers.simple import CharacterTokenizer

LESSONS = lessons()
STATIC = FOLDER / "static"
MEGABYTE = 1_000_000


def notebook_code(lesson: Lesson) -> list[str]:
    notebook = json.loads(lesson.notebook.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


@pytest.fixture(params=LESSONS, ids=lambda lesson: lesson.name)
def lesson(request: pytest.FixtureRequest) -> Lesson:
    lesson: Lesson = request.param
    return lesson


def test_a_lesson_has_code_formulas_figures_and_three_exercises_with_answers(lesson: Lesson) -> None:
    page = render_lesson(lesson, LESSONS)
    assert "<h1>" in page
    assert "source=" not in page
    assert 'class="nf"' in page or 'class="nc"' in page  # code of the models
    assert "<math" in page
    assert "$" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)
    exercises = re.findall(rf"<h3>({lesson.number}\.\d)", page)
    assert exercises == [f"{lesson.number}.{place}" for place in (1, 2, 3)]
    assert set(exercises) <= set(EXERCISES)
    assert page.count("<details><summary>Answer</summary>") == 3
    for name in re.findall(r'data-figure="(\w+)"', page):
        assert (STATIC / f"figure_{name}.js").is_file()


def test_code_in_lessons_is_that_of_the_models() -> None:
    shown = expand_sources("```python source=regard.nn.attention:masked_softmax\n```\n")
    assert "`masked_softmax` in `src/regard/nn/attention.py`" in shown
    assert "return scores.masked_fill(~mask, -math.inf).softmax(-1)" in shown
    assert '"""' not in shown
    assert "lambda" not in shown
    with pytest.raises(ConfigError, match=r"there is no `hard_softmax` in regard\.nn\.attention"):
        expand_sources("```python source=regard.nn.attention:hard_softmax\n```\n")


def test_a_notebook_answers_all_exercises(
    lesson: Lesson, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mpl.use("Agg")
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    namespace: dict[str, Any] = {}
    for cell in notebook_code(lesson):
        exec(cell, namespace)
    output = capsys.readouterr().out
    for place in (1, 2, 3):
        assert f"{lesson.number}.{place}: right" in output
    assert "not yet" not in output


@pytest.mark.slow
def test_a_notebook_runs_in_jupyter(lesson: Lesson) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook: Any = nbformat.read(lesson.notebook, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=300).execute()


def test_the_command_serves_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[str] = []
    opened: Queue[str] = Queue()

    def serve(server: LessonServer) -> None:
        served.append(server.address)

    def open_page(address: str) -> bool:
        opened.put(address)
        return False  # as on a machine without a browser

    monkeypatch.setattr(LessonServer, "serve_forever", serve)
    monkeypatch.setattr("webbrowser.open", open_page)
    result = call("lesson")
    assert result.code == 0, result.err
    assert opened.get(timeout=10) == served[0]
    assert served[0] in result.err
    assert call("lesson", "--no-browser").code == 0
    assert opened.empty()


def test_what_hinders_the_command_is_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing = call("lesson", "runs/missing")
    assert missing.code == 1
    assert missing.err.startswith("error: runs/missing: there is no such folder\n")
    tmp_path.joinpath("config.json").write_text("{")
    damaged = call("lesson", str(tmp_path))
    assert damaged.code == 1
    assert "config.json: the file cannot be read" in damaged.err
    with LessonServer(0, {}) as server:
        busy = call("lesson", "--port", str(server.server_address[1]), "--no-browser")
        assert busy.code == 1
        assert "Address already in use\n  what to do: choose another port, or 0" in busy.err
    monkeypatch.setattr(LessonServer, "serve_forever", mock.Mock(side_effect=KeyboardInterrupt))
    stopped = call("lesson", "--no-browser")
    assert (stopped.code, len(stopped.err.splitlines())) == (130, 1)


def test_only_tokenizers_of_the_page_are_accepted(tmp_path: Path) -> None:
    class LowerCase(CharacterTokenizer):
        kind = "lower_case"

    characters, plugin = (kind.train(["a b"], 10) for kind in (CharacterTokenizer, LowerCase))
    check_tokenizers(Tokenizers(characters, characters, joint=True).with_tags(["de"]), tmp_path)
    with pytest.raises(ConfigError, match="the target side's tokenizer, `lower_case`, is a plugin's and does not run"):
        check_tokenizers(Tokenizers(characters, plugin, joint=False), tmp_path)


def test_the_checker_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert not regard.lessons.check("1.1", (64, 1536))
    assert not regard.lessons.check("1.1", 64)
    assert not regard.lessons.check("1.3", lambda weights, states: states.mean(0))
    assert not regard.lessons.check("2.3", lambda weights: -(weights * np.log(weights.clip(1e-9))).sum(1))
    assert not regard.lessons.check("3.2", 3.0)
    assert not regard.lessons.check("3.3", lambda weights: weights)
    assert not regard.lessons.check("3.3", lambda weights: weights.missing)
    messages = capsys.readouterr().out.splitlines()
    expected = [
        "number 2 is not right",
        "has 2 numbers",
        "largest error",
        "largest error",
        "a function",
        "shape",
        "your function fails in line ",
    ]
    for message, part in zip(messages, expected, strict=True):
        assert part in message
    with pytest.raises(ConfigError, match="no figure `bottle`"):
        regard.lessons.figure("bottle")


NOT_NUMBERS = [
    ("abc", "the exercise asks for 2 numbers; write it without quotation marks"),
    ("64", "without quotation marks"),
    (["64", 1664], "without quotation marks"),
    (np.array(["a", "b"]), "without quotation marks"),
    (None, "the exercise asks for 2 numbers, and the answer is None"),
    ((64, None), "and the answer is None"),
    (math.nan, "the answer has 2 numbers, and yours has 1"),
    ((64, math.nan), "number 2 is infinite, or the result of an undefined operation"),
    ((math.inf, 1664), "number 1 is infinite"),
    (lambda: (64, 1664), "asks for 2 numbers, and you gave a function"),
    (len, "you gave a function"),
    ({64: 1664}, "something else"),
    (object(), "something else"),
    (64 + 1j, "something else"),
    ([[64], [1, 2]], "yours has 3"),
    ([], "yours has 0"),
    (b"64", "something else"),
]
NOT_FUNCTIONS = [
    (None, "give the function itself"),
    ("context", "give the function itself"),
    (np.float64(3), "give the function itself"),
    (torch.ones(3), "give the function itself"),
    (lambda weights: weights, "called with 2 arguments, and does not accept that many"),
    (lambda: 1, "does not accept that many"),
    (lambda weights, states, more: weights, "does not accept that many"),
    (lambda weights, states: 1 / 0, "(the shape (6,), the shape (6, 4)): call it with such values to see the error"),
    (lambda weights, states: states[99], "your function fails in line "),
    (len, "does not accept that many"),
    (lambda weights, states: None, "the function returns None; does it have a `return`?"),
    (lambda weights, states: "text", "something other than an array of numbers"),
    (lambda weights, states: [[1], [1, 2]], "something other than an array of numbers"),
    (lambda weights, states: (value for value in weights), "something other than an array of numbers"),
    (lambda weights, states: {"a": 1}, "something other than an array of numbers"),
    (lambda weights, states: 3.0, "the result has a number, and should have the shape (4,)"),
    (lambda weights, states: weights @ states * math.nan, "infinite, or results of an undefined operation"),
]
PYTHON = re.compile(r"Error|Exception|Traceback|array\(|<function|<lambda|object at|could not|positional")


def test_an_answer_of_another_kind_gets_a_plain_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for exercise, cases in (("1.1", NOT_NUMBERS), ("1.3", NOT_FUNCTIONS)):
        for answer, reply in cases:
            assert not regard.lessons.check(exercise, answer)
            (message,) = capsys.readouterr().out.splitlines()
            assert message.startswith(f"{exercise}: not yet: ")
            assert reply in message
            assert not PYTHON.search(message), message
    for exercise in EXERCISES:
        for answer in ("abc", None, math.nan, lambda: 1, len, object()):
            assert not regard.lessons.check(exercise, answer)
    assert not PYTHON.search(capsys.readouterr().out)
    assert not regard.lessons.check("9.9", 1)
    assert capsys.readouterr().out.startswith("9.9: there is no such exercise; valid: 1.1, 1.2")


def test_answers_of_numpy_and_torch_are_right() -> None:
    values = [64, 1664]
    tensors = [torch.tensor(value, dtype=torch.bfloat16, requires_grad=True) for value in values]
    for answer in (values, np.array(values), np.int8(64) + np.array([0, 1600]), torch.tensor(values), tensors):
        assert regard.lessons.check("1.1", answer)
    assert regard.lessons.check("1.2", np.float32(15))
    assert regard.lessons.check("1.2", torch.tensor([15.0], requires_grad=True))
    as_tensor = torch.as_tensor
    assert regard.lessons.check("1.3", lambda weights, states: as_tensor(weights) @ as_tensor(states))
    assert regard.lessons.check("1.3", lambda weights, states: list(as_tensor(weights) @ as_tensor(states)))
    assert regard.lessons.check("1.3", lambda *arrays: arrays[0] @ arrays[1])


def test_the_figures_show_what_the_lessons_say() -> None:
    measured = regard.lessons.figure("bottleneck")
    for name, trained_to in (("digits", 16), ("dates", 4)):
        task = measured[name]
        last = task["sizes"].index(trained_to)
        plain, attending = task["exact"]["cho2014"], task["exact"]["bahdanau2014"]
        assert plain[0] > 0.9
        assert plain[last] < 0.5
        assert min(attending[: last + 1]) > 0.95
        assert attending[-1] < 0.6  # longer than in training
    assert regard.lessons.figure("bottleneck")["digits"]["exact"]["cho2014"][11] > 0.8  # "to about 12"


def test_the_film_shows_what_lesson_2_says() -> None:
    measured = regard.lessons.figure("alignment")
    for name, film in measured["films"].items():
        assert len(film["step"]) == FRAMES + 1
        if FILM_MODELS[name].has_maps:
            for maps in film["maps"]:
                for rows, sentence in zip(maps, measured["sentences"], strict=True):
                    assert np.allclose(np.sum(rows, axis=1), 1000, atol=14)  # rounded
                    assert np.shape(rows) == (len(sentence["target"]), len(sentence["source"]))
    film, uniform = measured["films"]["bahdanau2014"], measured["films"]["uniform"]
    assert film["share"][0] == pytest.approx(film["even_share"][0], abs=1e-4)  # uniform at the first step
    assert np.allclose(uniform["entropy"], uniform["even_entropy"], atol=1e-3)  # and always
    assert film["exact"][-1] > 0.99
    assert film["share"][-1] > 0.85
    assert film["entropy"][-1] < 0.35 * film["even_entropy"][-1]
    steps = [next(at for at, shares in enumerate(film["part_share"]) if shares[part] > 0.5) for part in PARTS]
    assert steps[0] < min(steps[1:])  # the year comes first
    assert uniform["loss"][6] == pytest.approx(film["loss"][6], rel=0.02)  # step 60: attention has no part in it
    assert uniform["loss"][13] > 3 * film["loss"][13]
    assert film["exact"][16] - uniform["exact"][16] > 0.5


def test_the_right_source_words_of_a_date_are_known() -> None:
    days = [date(1900 + 9 * number, number % 12 + 1, 1 + number * 2 % 28) for number in range(12)]
    for wording in wordings():
        for day in days:
            source = wording(day)
            spans = part_spans(source, day.isoformat())
            words = {part: source[start:end] for part, (start, end) in spans.items()}
            assert (int(words["year"]), int(words["day"])) == (day.year, day.day), source
            assert len(words["month"].rstrip(".")) >= 3, source
            assert not source[spans["month"][1] :][:1].isalpha(), source
    spans = part_spans("mar 3 mar 2020", "2020-03-03")
    assert (spans["month"], spans["day"], spans["year"]) == ((6, 9), (4, 5), (10, 14))


@pytest.mark.slow
def test_a_training_is_filmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.lessons.film.FRAMES", 2)
    monkeypatch.setattr("regard.lessons.film.TEST_PAIRS", 5)
    monkeypatch.setattr("regard.lessons.models.TRAINING_PAIRS", 500)
    model = replace(FILM_MODELS["bahdanau2014"].model, max_steps=4)
    film = film_training(FilmModel(model), tmp_path / "film")
    frozen = film_training(FilmModel(model, ("decoder.score",)), tmp_path / "frozen")
    assert film["step"] == [0, 2, 4]
    assert film["loss"][-1] < film["loss"][0]
    assert film["loss"][0] == frozen["loss"][0]
    assert frozen["entropy"] == pytest.approx(frozen["even_entropy"], abs=1e-5)
    assert film["entropy"][-1] < frozen["entropy"][-1]
    assert [len(rows) for rows in film["maps"][-1]] == [11] * len(SENTENCES)


def test_the_search_figure_shows_that_the_model_prefers_silence() -> None:
    measured = regard.lessons.figure("search")
    smoothed, unsmoothed = (measured["models"][name] for name in ("phrases", "phrases-unsmoothed"))
    plain, average = smoothed["beams"]["plain"], smoothed["beams"]["average"]
    four = measured["beam_sizes"].index(4)
    assert plain[0]["best"] < plain[four]["best"]  # a beam finds what greedy search misses
    assert plain[four]["empty"] == 0
    assert plain[-1]["empty"] > 0.3
    assert plain[-1]["right"] < plain[four]["right"]
    assert average[-1]["empty"] == 0
    assert average[-1]["right"] > 0.95
    for clauses in smoothed["silence"]:
        assert clauses["greedy"]["log_probability"] < clauses["beam"]["log_probability"]
        assert clauses["proved"] == 1
    assert smoothed["silence"][0]["exact"]["empty"] == 0
    assert smoothed["silence"][-1]["exact"]["empty"] > 0.5
    assert smoothed["silence"][-1]["empty"] > smoothed["silence"][-1]["beam"]["log_probability"]
    assert all(clauses["exact"]["empty"] == 0 for clauses in unsmoothed["silence"])


def test_phrases_are_translations_of_their_grammar() -> None:
    for source, target in phrases("test", 2, 20):
        best = best_translation(source)
        assert -10 < log_probability(source, target) <= best.log_probability <= 0
        assert log_probability(source, best.text) == pytest.approx(best.log_probability)
        assert log_probability(source, f"{target} und") == log_probability(source, "") == -math.inf
    assert best_translation("the old dog seeks the big place").text == "der alte Hund sucht die große Stelle"
    assert math.exp(log_probability("the dog seeks the new car", "der Hund sucht den neuen PKW")) == pytest.approx(0.28)


def test_weights_of_the_scores_figure_are_those_of_its_parameters() -> None:
    dot = regard.lessons.figure("scores")["dot"]["sentences"][0]
    scores = np.array(dot["queries"]) @ np.array(dot["keys"]).T
    weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert np.allclose(weights, dot["weights"], atol=1e-4)
    assert dot["output"][:-1] == dot["source"][-2::-1]


def test_models_in_the_page_are_small() -> None:
    live = {model.name for model in LESSON_MODELS if model.is_live}
    folders = {path.name: path for path in (STATIC / "models").iterdir()}
    assert folders.keys() == live
    steered = {model.name for model in LESSON_MODELS if model.is_steered}
    assert {path.parent.name for path in (STATIC / "models").glob(f"*/{STEERED}")} == steered
    folders |= {f"{name}/{STEERED}": folders[name] / STEERED for name in steered}  # a page loads one or the other
    sizes = {
        name: sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        for name, folder in folders.items()
    }
    assert max(sizes.values()) < 2 * MEGABYTE
    assert sum(sizes.values()) < 11 * MEGABYTE


def test_tasks_are_the_same_each_time_and_splits_do_not_overlap() -> None:
    digits = TASKS["digits"]
    assert digits.make("test", 6, 3) == digits.make("test", 6, 3)
    train, test = ({source for source, _ in digits.make(split, 6, 200)} for split in ("train", "test"))
    assert not train & test


def test_paths_of_the_runtime_are_recorded_with_their_hash() -> None:
    import gzip
    import hashlib

    readme = (STATIC / "ort" / "README.md").read_text(encoding="utf-8")
    wasm = gzip.decompress((STATIC / "ort" / "ort-wasm-simd-threaded.wasm.gz").read_bytes())
    assert hashlib.sha256(wasm).hexdigest() in readme
    assert Path(STATIC / "ort" / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
