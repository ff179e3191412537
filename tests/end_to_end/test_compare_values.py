"""`regard compare --with`: one recipe for several values, one training after another or several at a time."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
from rich.console import Console
from tests.end_to_end.helpers import ONE_THREAD, RECIPE, Finished, call, digits, refused, slow

import regard
from regard.checkpoints.run_folder import RunFolder
from regard.config.schema import RunConfig
from regard.errors import TrainingError
from regard.models import ARCHITECTURES, bahdanau2014
from regard.reports.compare import training, values
from regard.reports.compare.results import ComparisonReport
from regard.reports.compare.value_table import ValueTable
from regard.runs.train import Result, train

NAMES = ["bahdanau2014", "transformer2017"]
OWN = "transformer2017"
DATA = """
[data]
file = "{order}.train.tsv.gz"
source_column = "1"
target_column = "3"
held_out = 20
"""


def write_table(path: Path, order: str, lines: list[str]) -> None:
    targets = [line[::-1] if order == "reversed" else line for line in lines]
    text = "".join(f"{line}\tX\t{target}\n" for line, target in zip(lines, targets, strict=True))
    path.write_bytes(gzip.compress(text.encode()))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recipe with a placeholder and without a dev set, and two corpora for it."""
    folder = tmp_path_factory.mktemp("values")
    lines = digits(360, 5)
    for order in ("reversed", "same"):
        write_table(folder / f"{order}.train.tsv.gz", order, lines[:320])
        write_table(folder / f"{order}.test.tsv.gz", order, lines[320:])
    (folder / "digits.toml").write_text(DATA + RECIPE[RECIPE.index("[tokenizer]") :])
    return folder / "digits.toml"


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Make the other system as small as the recipe's own, and leave out what other tests test."""
    tiny = partial(bahdanau2014.Config, hidden_size=16, embedding_size=16, attention_size=16, maxout_size=16)
    with (
        mock.patch.dict(ARCHITECTURES["bahdanau2014"].presets, {"small": tiny}),
        mock.patch.object(training, "LENGTHS", ()),
    ):
        yield


def command(recipe: Path, out: Path, *more: str, names: str = OWN, steps: int = 6) -> list[str]:
    test = recipe.parent / "{order}.test.tsv.gz"
    settings = ["--set", f"train.max_steps={steps}", "--set", "train.checkpoint_every=1000"]
    options = ["--with", "order=reversed,same", "--architectures", names, "--test-data", str(test), "-o", str(out)]
    return ["compare", str(recipe), *options, *settings, *more]


def table_of(out: Path) -> ValueTable:
    return ValueTable.model_validate_json((out / "report.json").read_text())


@pytest.fixture(scope="module")
def compared(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """Return the folder of a comparison with two seeds, two trainings at a time, and how it ended."""
    out = tmp_path_factory.mktemp("compared") / "out"
    with mock.patch.dict(os.environ, ONE_THREAD):
        finished = call(*command(recipe, out, "--seeds", "2", "--jobs", "2"))
    assert finished.code == 0, finished.err
    return out, finished


def test_several_trainings_at_a_time_give_one_table(compared: tuple[Path, Finished], recipe: Path) -> None:
    out, finished = compared
    table = table_of(out)
    assert (table.title, table.placeholders, table.systems, table.seeds) == ("digits", ("order",), (OWN,), 2)
    assert (table.metric, table.budget, table.failures) == ("exact %", "at most 6 steps", {})
    assert [(row.value, row.test_pairs, row.systems[OWN].count) for row in table.rows] == [
        ("reversed", 40, 2),
        ("same", 40, 2),
    ]
    assert finished.out.decode() == f"{table}\n"
    assert "; 2 trainings at a time" in table.machine
    for order in ("reversed", "same"):
        own = ComparisonReport.model_validate_json((out / order / "report.json").read_text())
        scores = [system.chrf.value for system in own.systems]
        row = next(row for row in table.rows if row.value == order)
        assert row.systems[OWN].scores["chrF"].mean == pytest.approx(sum(scores) / 2)
        assert scores[0] != scores[1]
        assert (out / order / "index.html").is_file()
        assert f'href="{order}/index.html"' in (out / "index.html").read_text()
        for seed in (1, 2):
            name = f"{OWN}-seed{seed}"
            config = regard.read_recipe(out / order / "runs" / name / "recipe.toml")
            assert config.data.file == str(recipe.parent / f"{order}.train.tsv.gz")
            assert config.train.seed == seed and config.train.max_minutes is None
            assert "dev: 20 pairs" in (out / order / "logs" / f"{name}.log").read_text()
            assert f"{order}, {name}: " in finished.err
    assert "finished all steps" not in finished.err


def test_the_same_command_trains_nothing_again(compared: tuple[Path, Finished], recipe: Path) -> None:
    out, first = compared
    before = table_of(out)
    for jobs in ("1", "2"):
        with mock.patch.object(training, "train", None), mock.patch.object(training, "measure_run", None):
            finished = call(*command(recipe, out, "--seeds", "2", "--jobs", jobs))
        assert finished.code == 0, finished.err
        assert finished.out == first.out
    assert "4 of 4 systems are trained and measured already" in finished.err
    assert table_of(out) == before


def test_a_system_that_fails_is_left_out_and_the_others_go_on(recipe: Path, tmp_path: Path) -> None:
    def train_most(config: RunConfig, folder: Path, console: Console) -> Result:
        if folder.parts[-3:] == ("same", "runs", "bahdanau2014"):
            raise TrainingError("the loss is not finite")
        return train(config, folder, console=console)

    with mock.patch.object(training, "train", train_most), mock.patch.object(values, "write_report"):
        finished = call(*command(recipe, tmp_path, names=",".join(NAMES)))
    assert finished.code == 1
    assert "same, bahdanau2014 is left out: the loss is not finite" in finished.err
    table = table_of(tmp_path)
    assert table.failures == {"same, bahdanau2014": "the loss is not finite"}
    assert [list(row.systems) for row in table.rows] == [NAMES, [OWN]]
    assert list(table.means) == [OWN]
    assert "–" in finished.out.decode()


def test_a_corpus_that_cannot_be_read_is_left_out(recipe: Path, tmp_path: Path) -> None:
    for name in ("digits.toml", "same.train.tsv.gz", "same.test.tsv.gz", "reversed.test.tsv.gz"):
        (tmp_path / name).write_bytes((recipe.parent / name).read_bytes())
    (tmp_path / "reversed.train.tsv.gz").write_bytes(gzip.compress(b"only\tone\n"))
    with mock.patch.object(values, "write_report"):
        finished = call(*command(tmp_path / "digits.toml", tmp_path / "out", "--jobs", "2"))
    assert finished.code == 1
    assert "reversed is left out" in finished.err and "Traceback" not in finished.err
    assert [row.test_pairs for row in table_of(tmp_path / "out").rows] == [0, 40]


@pytest.mark.parametrize("number", slow(signal.SIGINT, signal.SIGTERM))
def test_an_interrupted_comparison_leaves_checkpoints(recipe: Path, tmp_path: Path, number: signal.Signals) -> None:
    arguments = command(recipe, tmp_path, "--jobs", "2", steps=100_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "regard", *arguments], stderr=subprocess.PIPE, env=ONE_THREAD, text=True
    )
    logs = [tmp_path / order / "logs" / f"{OWN}.log" for order in ("reversed", "same")]
    while not all(log.exists() and "the largest batches fit" in log.read_text() for log in logs):
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "stopping 2 trainings" in err and "continue:   regard compare" in err and "Traceback" not in err
    for order in ("reversed", "same"):
        run = RunFolder(tmp_path / order / "runs" / OWN)
        assert run.last is not None and run.finished is None


def test_two_combinations_of_values_do_not_share_a_folder(recipe: Path, tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(recipe.read_text().replace("{order}", "{order}{side}"))
    options = ("--with", "order=a-b,a", "--with", "side=c,b-c", "--out", tmp_path)
    refused(call("compare", path, *options), "two combinations of values would share the folder a-b-c")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGKILL, r"ended by signal 9"),
        (signal.SIGTERM, r"ended (because of a signal|by signal 15)"),  # the latter before training
    ],
)
def test_a_process_that_is_killed_is_reported(
    recipe: Path, tmp_path: Path, number: signal.Signals, expected: str
) -> None:
    arguments = command(recipe, tmp_path, "--jobs", "2", steps=100_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "regard", *arguments], stderr=subprocess.PIPE, env=ONE_THREAD, text=True
    )
    locks = [tmp_path / order / "runs" / OWN / "lock" for order in ("reversed", "same")]
    while not all(lock.exists() and lock.read_text().strip() for lock in locks):
        assert process.poll() is None
        time.sleep(0.1)
    for lock in locks:
        os.kill(int(lock.read_text().split()[0]), number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert re.search(expected, err) and "use fewer jobs" in err and "Traceback" not in err


def test_invalid_requests_are_rejected(recipe: Path, tmp_path: Path) -> None:
    refused(call("compare", recipe, "--out", tmp_path), "{order} has no value", "--with order=VALUE")
    refused(call("compare", recipe, "--with", "odrer=same"), "no placeholder {odrer}", "did you mean `order`")
    refused(call("compare", recipe, "--with", "order=other"), "no such file", "other.train.tsv.gz")
    refused(call("compare", "--corpus", "dates", "--with", "order=same"), "only a recipe has placeholders")
    refused(call("compare", "--runs", tmp_path, "--jobs", "2"), "finished runs are not trained")
    refused(call("compare", recipe, "--with", "order=same", "--seeds", "2"), "another test set", "files of a test set")
    assert not list(tmp_path.iterdir())
