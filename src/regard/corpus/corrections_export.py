"""Write corrections as TMX, which other tools read, and as TSV with all that is known of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import astuple, fields, replace
from xml.sax.saxutils import escape, quoteattr

from regard.corpus.corrections import Correction, split_lines
from regard.version import __version__

Rows = Iterable[tuple[int, Correction]]

_NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2
_TABS = re.compile(r"\s*[\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")


def tmx_lines(rows: Rows) -> Iterator[str]:
    """Yield the lines of a TMX 1.4 document."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4">\n'
    yield f'<header creationtool="regard" creationtoolversion={quoteattr(__version__)} segtype="block" '
    yield 'o-tmf="regard" adminlang="en" srclang="*all*" datatype="plaintext"/>\n<body>\n'
    for number, correction in rows:
        yield from _units(number, correction)
    yield "</body>\n</tmx>\n"


def _units(number: int, correction: Correction) -> Iterator[str]:
    """Yield a unit for each line, as the store is read, or for the whole correction."""
    pairs = split_lines(correction)
    if len(pairs) == 1:
        yield from _unit(str(number), correction)
        return
    lines = [line for line in (correction.translation or "").splitlines() if line.strip()]
    translations = lines if len(lines) == len(pairs) else [correction.translation] * len(pairs)
    for line, ((source, target), translation) in enumerate(zip(pairs, translations, strict=True), start=1):
        yield from _unit(f"{number}.{line}", replace(correction, source=source, target=target, translation=translation))


def _unit(number: str, correction: Correction) -> Iterator[str]:
    date = re.sub(r"[-:]", "", correction.time)
    is_date = re.fullmatch(r"\d{8}T\d{6}Z", date) is not None
    created = f' creationdate="{date}"' if is_date else ""
    source_language, target_language = correction.source_language or "und", correction.target_language or "und"
    yield f'<tu tuid="{number}"{created} srclang={_attribute(source_language)}>\n'
    step = None if correction.step is None else str(correction.step)
    properties = {
        "x-translation": correction.translation,
        "x-model": correction.model,
        "x-step": step,
        "x-origin": correction.origin,
    }
    for name, value in properties.items():
        if value:
            yield f'<prop type="{name}">{_text(value)}</prop>\n'
    for language, text in ((source_language, correction.source), (target_language, correction.target)):
        yield f"<tuv xml:lang={_attribute(language)}><seg>{_text(text)}</seg></tuv>\n"
    yield "</tu>\n"


def _attribute(text: str) -> str:
    return quoteattr(_NOT_IN_XML.sub("", text))


def _text(text: str) -> str:
    return escape(_NOT_IN_XML.sub("", text))


def tsv_lines(rows: Rows) -> Iterator[str]:
    """Yield the lines of a table with a header. Tabs and line breaks inside a text become a space."""
    yield "\t".join(["id", *(field.name for field in fields(Correction))]) + "\n"
    for number, correction in rows:
        values = ("" if value is None else _TABS.sub(" ", str(value)) for value in astuple(correction))
        yield "\t".join([str(number), *values]) + "\n"
