"""expat for untrusted XML: no entity or attribute declarations, no network access, limited depth."""

from __future__ import annotations

from typing import NoReturn
from xml.parsers import expat

from regard.errors import DataError

MAX_DEPTH = 256  # nested elements


class XmlParser:
    """An expat parser. Its user sets the handlers on `expat`; `name` is the name of the text in errors."""

    def __init__(self, name: str, encoding: str | None = None, *, namespaces: bool = False) -> None:
        """Create a parser.

        Args:
            name: The name of the text in errors.
            encoding: Overrides the encoding that the text declares.
            namespaces: Whether names are resolved to `namespace name`.
        """
        self.name = name
        self._encoding = encoding
        self.expat = expat.ParserCreate(encoding, " " if namespaces else None)
        self.expat.EntityDeclHandler = self.expat.AttlistDeclHandler = self._refuse_declaration

    @property
    def line(self) -> int:
        """The line of the current event."""
        return self.expat.CurrentLineNumber

    def fail(self, problem: str, fix: str) -> NoReturn:
        """Raise DataError at the current line."""
        raise DataError(problem, where=f"{self.name}:{self.line}", fix=fix)

    def check_depth(self, depth: int) -> None:
        """Raise DataError if more than MAX_DEPTH elements are nested, which could exhaust memory or the stack."""
        if depth > MAX_DEPTH:
            self.fail(f"more than {MAX_DEPTH} elements are nested", "check that each one ends")

    def feed(self, data: bytes, *, last: bool = False) -> None:
        """Parse more data, or the last. Raise DataError if it is not well-formed."""
        try:
            self.expat.Parse(data, last)
        except expat.ExpatError as error:
            raise DataError(
                f"this is not well-formed XML: {expat.ErrorString(error.code)}",
                where=f"{self.name}:{error.lineno}",
                fix="correct that place; it may hold a character that is not in the file's encoding",
            ) from None
        except (LookupError, ValueError, Warning) as error:  # of the codec that the XML declaration names
            if self._encoding is not None:
                raise
            raise DataError(
                f"its encoding cannot be read ({error})", where=f"{self.name}:1", fix="convert it to UTF-8"
            ) from None

    def _refuse_declaration(self, *_: object) -> NoReturn:
        self.fail(
            "the file declares entities or attributes, which are never expanded",
            "remove the declarations, and write the characters instead",
        )
