"""A small shell for the command lines of the documentation: `regard` runs in this process, all else in bash."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.end_to_end.helpers import call


@dataclass
class Output:
    """The output of a command line.

    Attributes:
        command: The last command of `regard` in it, such as `translate`; empty if there is none.
        stdout, stderr: Lines.
    """

    command: str = ""
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)


@dataclass
class Stage:
    """A command of a pipeline, with its redirections."""

    words: list[str] = field(default_factory=list)
    stdin: str | None = None
    stdout: str | None = None


def parse(line: str) -> list[Stage]:
    """Split a command line at `|`, `<` and `>`. What follows a `#` is a comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|<>")
    lexer.whitespace_split = True
    stages = [Stage()]
    for word in lexer:
        if word == "|":
            stages.append(Stage())
        elif word == "<":
            stages[-1].stdin = next(lexer)
        elif word == ">":
            stages[-1].stdout = next(lexer)
        else:
            stages[-1].words.append(word)
    return stages


def run(line: str, prepare: Callable[[list[str]], list[str]] = list) -> Output:
    """Run a command line in the working folder; fail if a command of it does.

    Args:
        line: The command line.
        prepare: Changes the words of each command before it is run.
    """
    stages = parse(line)
    if not any(stage.words[:1] == ["regard"] for stage in stages):
        script = " | ".join(shlex.join(prepare(stage.words)) for stage in stages)
        assert not any(stage.stdin for stage in stages), f"bash reads no file here: {line}"
        assert not any(stage.stdout for stage in stages[:-1]), f"only the last command writes a file here: {line}"
        if stages[-1].stdout is not None:
            script += f" > {shlex.quote(stages[-1].stdout)}"
        result = subprocess.run(["bash", "-o", "pipefail", "-c", script], capture_output=True, check=False)
        assert result.returncode == 0, f"{line}\n{result.stderr.decode()}"
        return Output("", result.stdout.decode().splitlines(), result.stderr.decode().splitlines())
    output, data = Output(), b""
    for stage in stages:
        if stage.stdin is not None:
            data = Path(stage.stdin).read_bytes()
        words = prepare(stage.words)
        if words[0] == "regard":
            finished = call(*words[1:], stdin=data)
            assert finished.code == 0, f"{line}\n{finished.err}"
            data = finished.out
            output.command = words[1]
            output.stderr += finished.err.splitlines()
        else:
            data = subprocess.run(words, input=data, capture_output=True, check=True).stdout
        if stage.stdout is not None:
            Path(stage.stdout).write_bytes(data)
            data = b""
    output.stdout = data.decode().splitlines()
    return output
