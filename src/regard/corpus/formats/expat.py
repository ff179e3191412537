"""expat, for XML that nobody vouches for: no entity or attribute is declared, nothing is fetched, depth has a bound."""

from __future__ import annotations

from typing import NoReturn
from xml.parsers import expat

from regard.errors import DataError

MAX_DEPTH = 256  # elements in one another


class XmlParser:
    """An expat parser; whoever uses it sets its other handlers on `expat`. `name` is what errors call the text."""

    def __init__(self, name: str, encoding: str | None = None, *, namespaces: bool = False) -> None:
        """encoding: in the place of the one that the text declares. namespaces: a name is `namespace name`."""
        self.name = name
        self._encoding = encoding
        self.expat = expat.ParserCreate(encoding, " " if namespaces else None)
        self.expat.EntityDeclHandler = self.expat.AttlistDeclHandler = self._refuse_declaration

    @property
    def line(self) -> int:
        """That of the tag, or what else it is, of which a handler is told."""
        return self.expat.CurrentLineNumber

    def fail(self, what: str, fix: str) -> NoReturn:
        """Raises DataError, at the line where the parser is."""
        raise DataError(what, where=f"{self.name}:{self.line}", fix=fix)

    def check_depth(self, depth: int) -> None:
        """Raises DataError where so many elements stand in one another that memory or the stack might not do."""
        if depth > MAX_DEPTH:
            self.fail(f"more than {MAX_DEPTH} elements stand in one another", "check that each one ends")

    def feed(self, data: bytes, *, last: bool = False) -> None:
        """Parse some more, or the last. Raises DataError where it is not well-formed."""
        try:
            self.expat.Parse(data, last)
        except expat.ExpatError as error:
            raise DataError(
                f"this is no well-formed XML: {expat.ErrorString(error.code)}",
                where=f"{self.name}:{error.lineno}",
                fix="mend that place; it may be one where a character is not in the file's encoding",
            ) from None
        except (LookupError, ValueError, Warning) as error:  # of the codec that the XML declaration names
            if self._encoding is not None:
                raise
            raise DataError(
                f"its encoding cannot be read ({error})", where=f"{self.name}:1", fix="convert it to UTF-8"
            ) from None

    def _refuse_declaration(self, *_: object) -> NoReturn:
        self.fail(
            "the file declares an entity or attributes of its own, and these are never expanded",
            "take the declarations out, and write characters in their place",
        )
