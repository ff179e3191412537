"""Corpora of OPUS, WMT and others by their names in mtdata, which fetches them once and keeps them (~/.mtdata).

Its command is run, in a folder of its own: what it imports and logs, and the versions that it asks for, stay there. It
is an extra: pip install "regard[mtdata]", or where it is to be apart, pipx install mtdata.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

from babel.core import get_global

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.plain import decode_lines
from regard.corpus.formats.sides import Sides, direction
from regard.errors import DataError

_FIX = "mtdata list -id -l eng-deu | grep NAME shows what there is"


def read_mtdata(name: str, sides: Sides) -> Iterator[Pair | Skipped]:
    """The pairs of a corpus such as Statmt-news_commentary-16-deu-eng, by `mtdata echo`. Raises DataError."""
    where = f"mtdata:{name}"
    parts = name.split("-")
    if len(parts) != 5 or not all(parts):
        raise DataError("a name in mtdata is GROUP-NAME-VERSION-LANGUAGE-LANGUAGE", where=where, fix=_FIX)
    way = direction(sides, _short(parts[3]), _short(parts[4]))
    if not way:
        raise DataError(
            f"it has {parts[3]} and {parts[4]}; asked for is {sides.source_language} to {sides.target_language}",
            where=where,
            fix="change --source-language and --target-language",
        )
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as told:
        process = subprocess.Popen([_command(where), "echo", name], stdout=subprocess.PIPE, stderr=told, cwd=folder)
        try:
            for number, line in enumerate(decode_lines(cast(BinaryIO, process.stdout), where), start=1):
                first, tab, second = line.partition("\t")
                if not tab:
                    yield Skipped("there is no column 2", number)
                    continue
                second = second.partition("\t")[0]
                yield Pair(second, first, number) if way == "backward" else Pair(first, second, number)
            if process.wait():
                raise DataError(
                    f"mtdata could not give it: {_last_line(told)}", where=where, fix=f"{_FIX}; see its log"
                )
        finally:
            process.kill()
            process.communicate()


def _command(where: str) -> str:
    beside = Path(sys.executable).with_name("mtdata")
    command = str(beside) if beside.is_file() else shutil.which("mtdata")
    if command is None:
        raise DataError("mtdata, which fetches it, is not installed", where=where, fix='pip install "regard[mtdata]"')
    return command


def _short(language: str) -> str:
    """`de` for `deu`, and `pt-BR` for `por_BR`."""
    code, *rest = language.replace("_", "-").split("-")
    return "-".join([str(get_global("language_aliases").get(code, code)), *rest])


def _last_line(told: IO[bytes]) -> str:
    told.seek(0)
    lines = told.read()[-4000:].decode(errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it says nothing")
