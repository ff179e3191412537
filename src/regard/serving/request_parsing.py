"""Read the fields of a request from JSON, a form or the query string."""

from __future__ import annotations

import json
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from regard.serving.limits import RequestRejected, invalid

MAX_FIELDS = 1000
_FORM = "application/x-www-form-urlencoded"

M = TypeVar("M", bound=BaseModel)


async def read_fields(request: Request) -> dict[str, Any]:
    """Return the fields by name. A field that a form or a query string repeats becomes a list.

    Raises:
        RequestRejected: The body is not valid JSON or a valid form in UTF-8.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return _parse_json(await request.body())
    pairs = _parse_form(request.scope["query_string"])
    if kind == "multipart/form-data":
        pairs += await _read_multipart(request)
    else:  # a form: the default of urllib and curl
        body = await request.body()
        if body and kind not in ("", _FORM):
            raise RequestRejected(415, f"the content type must be JSON or a form, not {kind[:60]}")
        pairs += _parse_form(body)
    table: dict[str, Any] = {}
    for name, value in pairs:
        if name not in table:
            table[name] = value
        elif isinstance(table[name], list):
            table[name].append(value)
        else:
            table[name] = [table[name], value]
    return table


async def read_upload(request: Request, max_bytes: int) -> tuple[dict[str, Any], str, bytes]:
    """Return the fields of a multipart form, and the name and the content of its field `file`.

    Raises:
        RequestRejected: It is not a valid form, or has no file, or the file has more than `max_bytes`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise RequestRejected(415, "a file must be sent as a multipart form")
    fields = dict(_parse_form(request.scope["query_string"]))
    try:
        async with request.form(max_files=1, max_fields=MAX_FIELDS) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile) or not file.filename:
                raise invalid("missing file parameter")
            data = await file.read(max_bytes + 1)
            name = file.filename
            fields |= {name: value for name, value in form.multi_items() if isinstance(value, str)}
    except (HTTPException, ValueError, KeyError):
        raise invalid("the body is not a valid multipart form") from None
    if len(data) > max_bytes:
        raise RequestRejected(413, f"the file has more than {max_bytes:,} bytes")
    _check_unicode([*fields.items()])
    return fields, name, data


def validate_fields(model: type[M], table: dict[str, Any]) -> M:
    """Validate fields against a model. Raise RequestRejected, naming the field that is missing or invalid."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        places = first["loc"] or ("request",)
        is_nested = len(places) > 2 and isinstance(places[-2], int)  # a field of an object in a list
        name = str(places[-1] if is_nested else places[0])
        if first["type"] in ("missing", "too_short", "string_too_short"):
            raise invalid(f"missing {name} parameter") from None
        raise invalid(f"{name[:40]}: {first['msg']}") from None


def _parse_json(body: bytes) -> dict[str, Any]:
    try:
        table = json.loads(body)
        json.dumps(table, ensure_ascii=False, allow_nan=False).encode()  # reject half of a surrogate pair, and NaN
    except (ValueError, RecursionError):
        raise invalid("the body is not JSON in UTF-8") from None
    if not isinstance(table, dict):
        raise invalid("the body is not a JSON object")
    return table


def _parse_form(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            text.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS, separator="&"
        )
    except ValueError:
        raise invalid("the form is not valid UTF-8") from None


async def _read_multipart(request: Request) -> list[tuple[str, str]]:
    try:
        async with request.form(max_files=0, max_fields=MAX_FIELDS) as form:
            pairs = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    except (HTTPException, ValueError, KeyError):
        raise invalid("the body is not a valid multipart form") from None
    _check_unicode(pairs)
    return pairs


def _check_unicode(pairs: list[tuple[str, str]]) -> None:
    try:
        for pair in pairs:
            "".join(pair).encode()
    except UnicodeEncodeError:
        raise invalid("the form is not valid UTF-8") from None
