"""API keys: from a file or the environment, compared in constant time, and never in an address that is logged."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request

from regard.corpus.formats.plain import read_lines
from regard.errors import ConfigError
from regard.serving.limits import Refused

VARIABLE = "REGARD_API_KEYS"
SHORTEST = 8  # characters


class Keys:
    """Those that are let in; without any, everyone is."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._sums = [hashlib.sha256(key.encode()).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._sums)

    def check(self, request: Request, said: Mapping[str, Any]) -> None:
        """By the field `api_key`, or a header as DeepL's or as of a bearer. Raises Refused."""
        if not self._sums:
            return
        scheme, _, named = request.headers.get("authorization", "").partition(" ")
        in_header = scheme.lower() in ("bearer", "deepl-auth-key")
        key = named.strip() if in_header else said.get("api_key")
        if not isinstance(key, str) or not key:
            raise Refused(400 if "q" in said else 403, "Please contact the server operator to get an API key")
        spellings = [key.encode("utf-8", "replace")]
        if in_header:  # which was taken for Latin-1, and may be UTF-8 as well
            spellings.append(key.encode("latin-1"))
        given = [hashlib.sha256(spelling).digest() for spelling in spellings]
        known = sum(hmac.compare_digest(one, other) for one in given for other in self._sums)  # all are compared
        if not known:
            raise Refused(403, "Invalid API key")


def read_keys(path: Path | None) -> Keys:
    """One a line, and those in REGARD_API_KEYS between spaces. Raises ConfigError, DataError."""
    found = os.environ.get(VARIABLE, "").split()
    where = VARIABLE
    if path is not None:
        where = str(path)
        found += [line.strip() for line in read_lines(path) if line.strip()]
        if not found:
            raise ConfigError("there is no key", where=where, fix="write a key a line, or leave --api-keys out")
    for number, key in enumerate(found, start=1):
        if len(key) < SHORTEST or any(character.isspace() for character in key):
            raise ConfigError(
                f"key {number} is shorter than {SHORTEST} characters, or has a space in it",
                where=where,
                fix="make keys by `openssl rand -hex 16`",
            )
    return Keys(found)
