"""Declared encodings: the document is written back in its encoding, or refused with the name of the file."""

from __future__ import annotations

import pytest
from tests.unit.documents.scripted import fill, open_bytes

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


@pytest.mark.parametrize("suffix", DOCUMENTS)
@pytest.mark.parametrize("encoding", TEXTS)
def test_the_declared_encoding_is_kept(suffix: str, encoding: str) -> None:
    data = DOCUMENTS[suffix].format(encoding, TEXTS[encoding]).encode(encoding.removesuffix("-sig"))
    result = fill(suffix, data, lambda text: f"{text} {text}")
    assert result.filled == 1, result.reports
    assert f"{TEXTS[encoding]} {TEXTS[encoding]}" in result.data.decode(encoding)


@pytest.mark.parametrize("suffix", DOCUMENTS)
@pytest.mark.parametrize("encoding", REFUSED)
def test_an_unsupported_encoding_is_refused(suffix: str, encoding: str) -> None:
    data = DOCUMENTS[suffix].format(encoding, "one dog").encode()
    try:
        open_bytes(suffix, data)
    except DataError as error:
        message = str(error)
        assert message.startswith(f"a{suffix}"), message
        assert "what to do: " in message
    else:
        assert encoding == "\\"  # not a name, so nothing is declared


@pytest.mark.parametrize("suffix", DOCUMENTS)
def test_text_that_is_not_in_the_declared_encoding_is_refused(suffix: str) -> None:
    data = DOCUMENTS[suffix].format("utf-8", "früh").encode("latin-1")
    with pytest.raises(DataError) as caught:
        open_bytes(suffix, data)
    assert "not UTF-8 (byte 0xFC)" in str(caught.value)
    assert "früh" in str(caught.value) and "iconv -f WINDOWS-1252" in str(caught.value)
