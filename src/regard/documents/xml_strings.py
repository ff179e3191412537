"""XML files of strings, recognised by their content: Android's strings.xml and .NET's .resx."""

from __future__ import annotations

import re
from collections.abc import Callable

from regard.documents.android import AndroidDocument
from regard.documents.document import Columns, Document, LanguagePair
from regard.documents.resx import ResxDocument
from regard.documents.tmx import TmxDocument
from regard.documents.xliff import XliffDocument
from regard.documents.xml import decode_xml
from regard.errors import DataError

_ROOT = re.compile(
    r"\ufeff?\s*(?:<\?[\s\S]*?\?>\s*|<!--[\s\S]*?-->\s*|<!DOCTYPE[^>\[]*(?:\[[\s\S]*?\]\s*)?>\s*)*+<(?:\w+:)?([\w.-]+)"
)
_ROOTS: dict[str, Callable[[bytes, str, LanguagePair, Columns], Document]] = {
    "resources": AndroidDocument,
    "root": ResxDocument,
    "xliff": XliffDocument,
    "tmx": TmxDocument,
}


def open_xml(data: bytes, name: str, languages: LanguagePair, columns: Columns) -> Document:
    """Open an XML file by its root element. Raise DataError if it has no supported format."""
    text, _ = decode_xml(data, name)
    root = _ROOT.match(text)
    opener = _ROOTS.get(root[1]) if root else None
    if opener is None:
        reason = f"its first element is <{root[1][:60]}>" if root else "it has no element"
        raise DataError(
            f"the file is not XML of a supported kind: {reason}",
            where=name,
            fix="give Android strings (<resources>), a .NET resource (<root>), XLIFF or TMX; or export it as XLIFF",
        )
    return opener(data, name, languages, columns)
