"""Encodings that a document declares: read and written back, or refused with the file's name."""

from __future__ import annotations

import pytest
from tests.unit.documents.scripted import filled, opened

from regard.errors import DataError

DOCUMENTS = {
    ".po": 'msgid ""\nmsgstr "Content-Type: text/plain; charset={}\\n"\n\nmsgid "{}"\nmsgstr ""\n',
    ".tmx": '<?xml version="1.0" encoding="{}"?>\n<tmx version="1.4"><header srclang="en"/><body><tu>'
    '<tuv xml:lang="en"><seg>{}</seg></tuv></tu></body></tmx>\n',
    ".xlf": '<?xml version="1.0" encoding="{}"?>\n<xliff version="1.2"><file original="a" source-language="en" '
    'target-language="de" datatype="plaintext"><body><trans-unit id="1"><source>{}</source></trans-unit></body>'
    "</file></xliff>\n",
    ".html": '<meta charset="{}"><p>{}</p>\n',
}
TEXTS = {
    "utf-8": "früh", "utf-8-sig": "früh", "latin-1": "früh", "iso-8859-15": "früh", "windows-1252": "früh",
    "iso-8859-2": "běží", "windows-1251": "собака", "koi8-r": "собака", "koi8-u": "собака", "mac-roman": "früh",
    "gbk": "你好", "gb18030": "你好", "big5": "你好", "shift_jis": "犬です", "euc-jp": "犬です", "euc-kr": "안녕",
}  # fmt: skip
REFUSED = [
    "undefined", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf-7", "utf-16", "utf-32", "cp037",
    "cp500", "hex", "base64", "rot13", "zlib", "bz2", "quopri", "uu", "nonsense", "mbcs", "hz", "\\",
]  # fmt: skip


@pytest.mark.parametrize("ending", DOCUMENTS)
@pytest.mark.parametrize("encoding", TEXTS)
def test_what_is_declared_is_kept(ending: str, encoding: str) -> None:
    data = DOCUMENTS[ending].format(encoding, TEXTS[encoding]).encode(encoding.removesuffix("-sig"))
    outcome = filled(ending, data, lambda text: f"{text} {text}")
    assert outcome.filled == 1, outcome.reports
    assert f"{TEXTS[encoding]} {TEXTS[encoding]}" in outcome.data.decode(encoding)


@pytest.mark.parametrize("ending", DOCUMENTS)
@pytest.mark.parametrize("encoding", REFUSED)
def test_what_is_no_encoding_of_text_is_refused(ending: str, encoding: str) -> None:
    data = DOCUMENTS[ending].format(encoding, "one dog").encode()
    try:
        opened(ending, data)
    except DataError as error:
        told = str(error)
        assert told.startswith(f"a{ending}"), told
        assert "what to do: " in told
    else:
        assert encoding == "\\"  # no name, so that nothing is declared


@pytest.mark.parametrize("ending", DOCUMENTS)
def test_text_in_another_encoding_than_it_declares(ending: str) -> None:
    data = DOCUMENTS[ending].format("utf-8", "früh").encode("latin-1")
    with pytest.raises(DataError) as told:
        opened(ending, data)
    assert "not UTF-8 (byte 0xFC)" in str(told.value)
    assert "früh" in str(told.value) and "iconv -f WINDOWS-1252" in str(told.value)
