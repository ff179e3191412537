"""Feed random bytes to the readers of corpora: they must yield pairs, skip them, or raise DataError.

Run by hand, one format at a time; see CONTRIBUTING.md:

    python tests/fuzz/fuzz_readers.py tmx -max_total_time=60
"""

from __future__ import annotations

import io
import struct
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["regard.corpus", "csv", "json"]):
    from regard.corpus.bilingual_file import READERS, BilingualFile
    from regard.corpus.formats.sides import Sides
    from regard.errors import DataError

SIDES = (
    Sides(),
    Sides("en", "de"),
    Sides("de", "en-US"),
    Sides(source_column="1", target_column="2"),
    Sides(source_column="a", target_column="b.c"),
)
TMX = (
    '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE tmx SYSTEM "tmx14.dtd"><tmx version="1.4"><header srclang="en"/>'
    '<body><tu srclang="en"><tuv xml:lang="en-US"><seg>a <bpt i="1">&lt;</bpt><hi>b</hi></seg></tuv>'
    '<tuv lang="de"><seg>c &amp; d</seg></tuv></tu></body></tmx>'
)
XLIFF_1 = (
    '<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2"><file source-language="en" '
    'target-language="de"><body><group translate="no"><trans-unit id="1" approved="no"><source>a<x id="1"/></source>'
    '<target state="new">b</target><alt-trans><target>c</target></alt-trans></trans-unit></group></body></file></xliff>'
)
XLIFF_2 = (
    '<xliff version="2.0" srcLang="en" trgLang="de" xmlns="urn:oasis:names:tc:xliff:document:2.0"><file id="f">'
    '<unit id="u"><segment state="final"><source>a <pc id="1">b</pc></source><target>c</target></segment>'
    "<ignorable><source> </source></ignorable></unit></file></xliff>"
)
PO = (
    'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n"Language: de\\n"\n'
    '"Plural-Forms: nplurals=2; plural=(n!=1);\\n"\n\n#, fuzzy\nmsgctxt "x"\nmsgid "a"\nmsgstr "b\\x41\\101"\n'
    'msgid "one"\nmsgid_plural "many"\nmsgstr[0] "eins"\nmsgstr[1] ""\n"viele"\n#~ msgid "o"\n#~ msgstr "p"\n'
)
JSONL = '{"source": "a", "target": "b"}\n{"a": "x", "b": {"c": "y"}}\n{"translation": {"en": "a", "de": null}}\n'
TABLE = 'source\ttarget\na\tb\nx,"y ""z"""\n'


def _mo() -> bytes:
    texts = [b"", b"Content-Type: text/plain; charset=UTF-8\n", b"c\4a\0as", b"b\0bs"]
    begins = [60 + sum(len(text) + 1 for text in texts[:place]) for place in range(4)]
    keys, values = ([x for i in two for x in (len(texts[i]), begins[i])] for two in ((0, 2), (1, 3)))
    head = struct.pack("<7I", 0x950412DE, 0, 2, 28, 44, 0, 60)
    return head + struct.pack("<8I", *keys, *values) + b"".join(text + b"\0" for text in texts)


def _parquet() -> bytes:
    import pyarrow
    from pyarrow import parquet

    file = io.BytesIO()
    rows = [{"source": "a", "target": "b", "translation": {"en": "c", "de": None}}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), file, compression="none")
    return file.getvalue()


def seeds(name: str) -> list[bytes]:
    """Return small valid files of a format."""
    if name in ("mo", "parquet"):
        return [_mo() if name == "mo" else _parquet()]
    texts = {"tmx": [TMX], "xlf": [XLIFF_1, XLIFF_2], "po": [PO], "jsonl": JSONL.splitlines(), "tsv": [TABLE]}
    return [text.encode() for text in texts.get(name, [TABLE])]


def main(name: str) -> None:
    """Fuzz the reader of a format, named by its suffix."""
    folder = Path(tempfile.mkdtemp())
    path = folder / f"fuzz.{name}"
    if f".{name}" not in READERS:
        sys.exit(f"there is no reader of .{name}; choose one of {', '.join(READERS)}")
    (folder / "seeds").mkdir()
    for number, seed in enumerate(seeds(name)):
        for index in range(len(SIDES)):
            (folder / "seeds" / f"{number}-{index}").write_bytes(bytes([index]) + seed)

    def read_corpus(data: bytes) -> None:
        path.write_bytes(data[1:])
        corpus = BilingualFile(path, SIDES[(data[0] if data else 0) % len(SIDES)])
        try:
            for pair in corpus:
                assert pair.source.strip() and pair.target.strip() and pair.line >= 1
        except DataError as error:
            assert str(path) in str(error)

    atheris.Setup([sys.argv[0], *sys.argv[2:], str(folder / "seeds")], read_corpus)
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("give the suffix of a format: tmx, xlf, po, mo, jsonl, parquet, tsv or csv")
    main(sys.argv[1])
