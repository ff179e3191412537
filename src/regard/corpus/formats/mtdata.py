"""Corpora of OPUS, WMT and others by their names in mtdata, which downloads them once into ~/.mtdata.

mtdata runs as a separate command in a temporary folder, so its imports, logs and pinned dependencies do not matter
here. It is an optional dependency: pip install "regard[mtdata]", or, in its own environment, pipx install mtdata.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.plain import decode_lines
from regard.corpus.formats.sides import Sides, direction
from regard.errors import DataError

_FIX = "mtdata list -id -l eng-deu | grep NAME lists the names"


def read_mtdata(name: str, sides: Sides) -> Iterator[Pair | Skipped]:
    """Yield the pairs of a corpus, such as Statmt-news_commentary-16-deu-eng, from `mtdata echo`. Raises DataError."""
    where = f"mtdata:{name}"
    parts = name.split("-")
    if len(parts) != 5 or not all(parts):
        raise DataError("a name in mtdata is GROUP-NAME-VERSION-LANGUAGE-LANGUAGE", where=where, fix=_FIX)
    order = direction(sides, _short(parts[3]), _short(parts[4]))
    if not order:
        raise DataError(
            f"it has {parts[3]} and {parts[4]}, but {sides.source_language} to {sides.target_language} was requested",
            where=where,
            fix="change source_language and target_language",
        )
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        process = subprocess.Popen([_command(where), "echo", name], stdout=subprocess.PIPE, stderr=log, cwd=folder)
        try:
            for number, line in enumerate(decode_lines(cast(BinaryIO, process.stdout), where), start=1):
                first, tab, second = line.partition("\t")
                if not tab:
                    yield Skipped("there is no column 2", number)
                    continue
                second = second.partition("\t")[0]
                yield Pair(second, first, number) if order == "backward" else Pair(first, second, number)
            if process.wait():
                raise DataError(f"mtdata failed: {_last_line(log)}", where=where, fix=f"{_FIX}; see its log")
        finally:
            process.kill()
            process.communicate()


def _command(where: str) -> str:
    in_environment = Path(sys.executable).with_name("mtdata")
    command = str(in_environment) if in_environment.is_file() else shutil.which("mtdata")
    if command is None:
        raise DataError(
            "downloading this corpus needs mtdata, which is not installed",
            where=where,
            fix='pip install "regard[mtdata]"',
        )
    return command


def _short(language: str) -> str:
    """Return `de` for `deu`, and `pt-BR` for `por_BR`."""
    from babel.core import get_global

    code, *rest = language.replace("_", "-").split("-")
    return "-".join([str(get_global("language_aliases").get(code, code)), *rest])


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read()[-4000:].decode(errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "no message")
