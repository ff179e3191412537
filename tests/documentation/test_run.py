"""Every command and every Python block of README and docs runs as it is written, and prints what the page shows."""

from __future__ import annotations

import io
import os
import re
import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from _pytest.mark.structures import ParameterSet
from tests.documentation import corpora, shell, workplace
from tests.documentation.markdown import Step, steps
from tests.documentation.output import differences
from tests.end_to_end.helpers import call
from tests.fake_hub import serve_hub

from regard.plugins.registry import LOADED

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# What cannot run here: the beginning of a command, and why.
NOT_RUN = {
    "python3 -m venv": "makes the environment in which the tests run",
    "pip install": "needs a package index; CI installs with the Makefile",
    "apt-get install": "needs root and a package index; CI installs them in .ci/run",
    "python -m pytest tests/web": "is a part of these tests",
    "python benchmarks/": "measures for minutes; tests/house/test_benchmarks.py calls the scripts",
    "docker": "needs a Docker daemon",
    "regard calibrate": "needs a dev set of 100 pairs; tests/end_to_end/test_confidence.py runs it",
    "regard compare recipes/inflection22.toml": "trains for ten languages; docs/compare.md compares two corpora",
    "regard compare recipes/scan.toml --with split=simple,jump,around-right": "docs/compare.md has two of the splits",
    "regard improve": "needs a model that has learned something; tests/end_to_end/test_improve.py runs it",
    "regard lesson": "serves until it is stopped; tests/unit/lessons and tests/web/test_lessons.py run it",
    "make lessons": "trains for minutes",
    "kill -HUP PID": "stands for a process of the reader; tests/end_to_end/test_signals.py sends signals",
    "torchrun": "starts processes; tests/end_to_end/test_processes.py and test_two_machines.py run them",
    "ray start": "starts a cluster; tests/end_to_end/test_translate_on_ray.py does so",
    "regard train --ray": "needs Ray; tests/end_to_end/test_train_on_ray.py runs it",
    "regard translate --ray": "needs Ray; tests/end_to_end/test_translate_on_ray.py runs it",
}
MTDATA = "#!/bin/sh\n[ $1 = echo ] && cat {pairs}\n"  # instead of the command of mtdata, which needs the network


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Store:
    """What all pages share: files of readers, published corpora, and tiny runs, which are trained once."""

    folder: Path

    def __post_init__(self) -> None:
        corpora.write_files(self.folder / "files")
        corpora.write_published(self.folder / "data")

    def run(self, name: str) -> Path:
        """Return a run that suits its name in the documentation."""
        kind = name if name in workplace.RECIPES else "en-de"
        folder = self.folder / "runs" / kind
        if not folder.exists():
            sources = self.folder / "captions"
            sentences = corpora.captions(1000, 20)
            for language in ("en", "de"):
                corpora.write_lines(sources / f"captions.{language}", corpora.side(sentences, language))
                corpora.write_lines(sources / f"dev.{language}", corpora.side(sentences[:12], language))
            corpora.write(sources / f"{kind}.toml", workplace.RECIPES[kind])
            finished = call("train", sources / f"{kind}.toml", "-o", folder)
            assert finished.code == 0, finished.err
            workplace.add_confidence(folder)
        return folder


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("documentation"))


class Reader:
    """Does what a page says, in a working folder."""

    def __init__(self, store: Store, servers: workplace.Servers) -> None:
        self.store, self.servers = store, servers
        self.hub = ""  # the address of the hub on this machine, if the page needs one
        self.namespace: dict[str, Any] = {"__name__": "__main__"}

    def follow(self, step: Step) -> list[str]:
        """Run a step; return the lines that the page shows, but that were not printed."""
        if step.language == "file":
            Path(step.name).write_text(step.code, encoding="utf-8")
            return []
        self._provide_runs(step)
        if step.language == "python":
            return self._run_python(step)
        output = shell.run(self.servers.at_real_ports(step.code), self._prepare)
        return differences(output.command, step.output, output.stdout, self._as_shown(output.stderr))

    def _as_shown(self, lines: list[str]) -> list[str]:
        """Return lines with the address of the real hub."""
        return [line.replace(self.hub, "https://huggingface.co") for line in lines] if self.hub else lines

    def _provide_runs(self, step: Step) -> None:
        """Make the runs that a step reads, if no step before it has."""
        code = re.sub(r"(?:-o|--output|--out) \S+", "", step.code)
        if step.language == "python":
            code = " ".join(re.findall(r'\bload\("(.*?)"', code))
        for name in re.findall(r"\bruns/([\w-]+)", code):
            folder = Path("runs") / name
            if not folder.exists() and f'"{folder}"' not in self._trained_by(step):
                shutil.copytree(self.store.run(name), folder, symlinks=True)

    def _trained_by(self, step: Step) -> str:
        return step.code if "regard.train(" in step.code else ""

    def _prepare(self, words: list[str]) -> list[str]:
        if words[:1] == ["curl"]:
            return ["curl", "--fail-with-body", "--silent", "--show-error", *words[1:]]
        if "--layer" in words[:-1]:  # the models of these tests have two layers
            layer = words.index("--layer") + 1
            return [*words[:layer], str(min(2, int(words[layer]))), *words[layer + 1 :]]
        return words

    def _run_python(self, step: Step) -> list[str]:
        stdout, stderr = io.StringIO(), io.StringIO()
        with redirect_stdout(stdout), redirect_stderr(stderr):
            exec(compile(self.servers.at_real_ports(step.code), f"line {step.line}", "exec"), self.namespace)
        return differences("", step.output, stdout.getvalue().splitlines(), stderr.getvalue().splitlines())


def reason_not_to_run(step: Step) -> str | None:
    if step.language == "python":
        return None
    command = step.code.strip()
    return next((reason for start, reason in NOT_RUN.items() if command.startswith(start)), None)


def pages_that_run() -> list[ParameterSet]:
    """Return the pages with commands or Python, which `make documentation` runs."""
    pages = (page for page in PAGES if steps(page.read_text(encoding="utf-8")))
    return [pytest.param(page, marks=pytest.mark.slow, id=str(page.relative_to(ROOT))) for page in pages]


@pytest.fixture
def reader(path: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Return a reader of a page, in a fresh working folder."""
    page = path.read_text(encoding="utf-8")
    for name in {*re.findall(r"\bruns/([\w-]+)", page)}:
        store.run(name)  # trained before little_training
    folder = tmp_path / "clone"
    workplace.make_folder(folder, ROOT, store.folder / "files", store.folder / "data")
    if "opus-mt-en-de" in page:
        finished = call("export", store.run("en-de"), folder / "opus-mt-en-de", "--to", "marian")
        assert finished.code == 0, finished.err
    monkeypatch.chdir(folder)
    monkeypatch.setenv("REGARD_DATA", str(store.folder / "data"))
    (tmp_path / "bin").mkdir()
    pairs = folder / "memory.tsv"
    corpora.write(tmp_path / "bin" / "mtdata", MTDATA.format(pairs=pairs))
    (tmp_path / "bin" / "mtdata").chmod(0o755)
    folders = [str(tmp_path / "bin"), sysconfig.get_path("scripts"), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    servers, downloads = workplace.Servers(), workplace.miniature_downloads(store.folder / "data")
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(LOADED, clear=True))  # as in a new process
        for context in (workplace.little_training(), downloads, servers.installed()):
            stack.enter_context(context)
        result = Reader(store, servers)
        if "regard publish" in page:
            result.hub = stack.enter_context(serve_hub(tmp_path / "hub")).endpoint
        yield result


@pytest.mark.parametrize("path", pages_that_run())
def test_a_page_does_what_it_says(reader: Reader, path: Path) -> None:
    for step in steps(path.read_text(encoding="utf-8")):
        if reason_not_to_run(step) is None:
            missing = reader.follow(step)
            assert not missing, f"{path.name}:{step.line}: {step.code}\nnot printed: " + "\n".join(missing)
