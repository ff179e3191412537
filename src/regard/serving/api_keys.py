"""API keys: read from a file or the environment, and compared in constant time."""

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
from regard.serving.limits import RequestRejected

VARIABLE = "REGARD_API_KEYS"
MIN_LENGTH = 8  # characters
OWNER_LETTERS = 32  # of the hash of a key, which identify it


class ApiKeys:
    """The accepted API keys. If there are none, no key is needed."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._hashes = [hashlib.sha256(key.encode()).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def check(self, request: Request, fields: Mapping[str, Any]) -> None:
        """Check the key of a request: a Bearer or DeepL-Auth-Key header, or else the field `api_key`.

        Raises:
            RequestRejected: The key is missing or wrong.
        """
        self.owner(request, fields)

    def owner(self, request: Request, fields: Mapping[str, Any]) -> str:
        """Return what identifies the key of a request; empty if no key is needed. Raise RequestRejected as `check`."""
        if not self._hashes:
            return ""
        scheme, _, header_key = request.headers.get("authorization", "").partition(" ")
        in_header = scheme.lower() in ("bearer", "deepl-auth-key")
        key = header_key.strip() if in_header else fields.get("api_key")
        if not isinstance(key, str) or not key:
            raise RequestRejected(400 if "q" in fields else 403, "Please contact the server operator to get an API key")
        encodings = [key.encode("utf-8", "replace")]
        if in_header:  # Starlette decodes headers as Latin-1; the client may have sent UTF-8
            encodings.append(key.encode("latin-1"))
        candidates = [hashlib.sha256(encoding).digest() for encoding in encodings]
        matches = [b for a in candidates for b in self._hashes if hmac.compare_digest(a, b)]  # no early exit
        if not matches:
            raise RequestRejected(403, "Invalid API key")
        return matches[0].hex()[:OWNER_LETTERS]


def load_api_keys(path: Path | None) -> ApiKeys:
    """Read keys from a file, one per line, and from the variable REGARD_API_KEYS, separated by spaces.

    Raises:
        ConfigError: The file has no key, or a key is too short or contains a space.
        DataError: The file cannot be read.
    """
    keys = os.environ.get(VARIABLE, "").split()
    where = VARIABLE
    if path is not None:
        where = str(path)
        keys += [line.strip() for line in read_lines(path) if line.strip()]
        if not keys:
            raise ConfigError(
                "the file contains no key", where=where, fix="write one key per line, or serve without a key file"
            )
    for number, key in enumerate(keys, start=1):
        if len(key) < MIN_LENGTH or any(character.isspace() for character in key):
            raise ConfigError(
                f"key {number} has fewer than {MIN_LENGTH} characters or contains a space",
                where=where,
                fix="generate keys with `openssl rand -hex 16`",
            )
    return ApiKeys(keys)
