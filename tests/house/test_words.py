"""Names and sentences are plain: no filler names, and none of the words that STYLE.md bans."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Names that say nothing about their value. Name the thing: `hypothesis`, `row`, `path`, `message`.
FILLERS = frozenset(
    [
        "asked",
        "done",
        "each",
        "found",
        "given",
        "here",
        "kept",
        "left",
        "made",
        "many",
        "now",
        "one",
        "other",
        "others",
        "said",
        "some",
        "somebody",
        "something",
        "there",
        "thing",
        "things",
        "told",
        "wanted",
        "what",
        "whole",
    ]
)

FORMER_NAMES = {"src/regard/errors.py": {"what"}}  # public attributes that stay as aliases of new names

# Words that readers stumble over, each with what to write in its place.
WORDS = {
    r"told|tells? apart": "report, print, explain, distinguish",
    r"judg(ed?|es|ing)": "validate, score, evaluate",
    r"settle[sd]?": "resolve, decide, finish",
    r"begun": "started",
    r"anew": "again, new",
    r"beside": "next to, in addition to",
    r"in the place of|in its place": "instead of, in place of",
    r"so many|so much|manieth": "a number, this many",
    r"seldom": "rarely",
    r"reckon(s|ed|ing)?": "compute, count",
    r"hang(s|ing)? on": "depend on",
    r"let be|let alone": "skip, leave unchanged",
    r"do(es)? not do": "is not enough, is not valid",
    r"stands?": "is, appears",
    r"of (its|their|his) own": "separate, own",
    r"what (is|was|are) to be": "name the thing",
    r"behind": "after, follow",
    r"vouch(es|ed)?( for)?": "untrusted",
    r"taken? up|takes up|took up": "resume, load",
    r"besides": "in addition to",
    r"thereby|therein|whereof|thereof|hither|thither|henceforth": "plain English",
    r"is no (name|number|file|folder|recipe|run|language|format|option)": "is not a ...",
    r"are no numbers|is no number": "non-finite",
    r"whatever it (is|was)": "any",
    r"memory enough|time enough|room enough": "enough memory, enough time, enough space",
    r"goes wrong|gone wrong|went wrong": "fails, errors",
    r"at hand": "available, current",
    r"nobody": "no one; better: name who",
}
_WORDS = {re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE): advice for pattern, advice in WORDS.items()}
_ANY_WORD = re.compile(rf"\b(?:{'|'.join(WORDS)})\b", re.IGNORECASE)

# Phrases in which such a word is the right one.
ALLOWED = (
    "behind a reverse proxy",
    "behind the proxy",
    "behind a proxy",
    "behind nginx",
    "stands for",
    "stand for",
    "nobody:",  # the user of that name
    '"judged"',  # a key of state.json
)

SUFFIXES = {".py", ".md", ".c", ".h", ".js", ".html", ".css", ".toml"}


def _files() -> list[Path]:
    folders = [ROOT / name for name in ("src", "tests", "benchmarks", "docs", "recipes")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in SUFFIXES]
    files += [path for path in ROOT.iterdir() if path.is_file() and path.suffix in SUFFIXES]
    return sorted(path for path in files if path != Path(__file__))


def filler_names(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each binding of a filler name: variables, parameters, functions, attributes."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.Attribute(attr=name, ctx=ast.Store()):
                pass
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                pass
            case ast.alias(asname=str(name)):
                pass
            case _:
                continue
        if name.strip("_").lower() in FILLERS:
            yield getattr(node, "lineno", 0), name


def prose(source: str, *, python: bool) -> Iterator[tuple[int, str]]:
    """Yield lines of text with their numbers: comments and strings of Python, all of other files but their code."""
    if not python:
        yield from enumerate(source.splitlines(), start=1)
        return
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in kinds:
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


def banned_words(source: str, *, python: bool) -> Iterator[tuple[int, str, str]]:
    """Yield line, word and advice for each banned word."""
    if not _ANY_WORD.search(
        source
    ):  # most files: one search is cheaper than a tokenizer and one search a pattern and line
        return
    for number, line in prose(source, python=python):
        text = line
        for phrase in ALLOWED:
            text = text.replace(phrase, "")
        if not _ANY_WORD.search(text):
            continue
        for pattern, advice in _WORDS.items():
            for match in pattern.finditer(text):
                yield number, match[0], advice


def problems(path: Path) -> list[str]:
    """Return the findings in one file, as `path:line: what`."""
    source, python = path.read_text(encoding="utf-8"), path.suffix == ".py"
    name = path.relative_to(ROOT)
    aliases = FORMER_NAMES.get(name.as_posix(), set())
    fillers = [(line, word) for line, word in filler_names(source) if word not in aliases] if python else []
    names = [f"{name}:{line}: filler name `{word}`" for line, word in fillers]
    words = [f"{name}:{line}: `{word}`: {advice}" for line, word, advice in banned_words(source, python=python)]
    return names + words


@pytest.mark.parametrize("path", _files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_names_and_sentences_are_plain(path: Path) -> None:
    assert not problems(path), "\n".join(problems(path))


def test_what_is_banned_is_found() -> None:
    source = 'def told(one):\n    """Nobody is told."""\n    self.found = [x for other in one]  # stands here\n'
    assert {name for _, name in filler_names(source)} == {"told", "one", "found", "other"}
    assert {word for _, word, _ in banned_words(source, python=True)} == {"Nobody", "told", "stands"}
    assert not list(banned_words("x = 1  # Runs behind a reverse proxy.\n", python=True))


if __name__ == "__main__":  # python -m tests.house.test_words PATH ...: list what is to mend
    import sys

    for argument in sys.argv[1:]:
        root = Path(argument).resolve()
        for file in [root] if root.is_file() else sorted(root.rglob("*")):
            if file.suffix in SUFFIXES and file != Path(__file__):
                print(*problems(file), sep="\n", end="\n" if problems(file) else "")
