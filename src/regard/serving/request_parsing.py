"""What a request says, whichever way it says it: a JSON object, a form, the query of its address."""

from __future__ import annotations

import json
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from regard.serving.limits import Refused, invalid

MOST_FIELDS = 1000
_FORM = "application/x-www-form-urlencoded"

M = TypeVar("M", bound=BaseModel)


async def fields(request: Request) -> dict[str, Any]:
    """By name; what a form or an address says more than once is a list. Raises Refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return _json(await request.body())
    said = _pairs(request.scope["query_string"])
    if kind == "multipart/form-data":
        said += await _multipart(request)
    else:  # urllib and curl call it a form, and so do clients that say nothing
        body = await request.body()
        if body and kind not in ("", _FORM):
            raise Refused(415, f"give JSON or a form, not {kind[:60]}")
        said += _pairs(body)
    table: dict[str, Any] = {}
    for name, value in said:
        if name not in table:
            table[name] = value
        elif isinstance(table[name], list):
            table[name].append(value)
        else:
            table[name] = [table[name], value]
    return table


def parsed(model: type[M], table: dict[str, Any]) -> M:
    """Raises Refused with the name of the field that is wrong."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "request"
        if first["type"] in ("missing", "too_short", "string_too_short"):
            raise invalid(f"missing {name} parameter") from None
        raise invalid(f"{name[:40]}: {first['msg']}") from None


def _json(body: bytes) -> dict[str, Any]:
    try:
        table = json.loads(body)
        json.dumps(table, ensure_ascii=False, allow_nan=False).encode()  # half a surrogate pair, NaN
    except (ValueError, RecursionError):
        raise invalid("this is not JSON in UTF-8") from None
    if not isinstance(table, dict):
        raise invalid("this is no JSON object")
    return table


def _pairs(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            text.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS, separator="&"
        )
    except ValueError:
        raise invalid("this is no form in UTF-8") from None


async def _multipart(request: Request) -> list[tuple[str, str]]:
    try:
        async with request.form(max_files=0, max_fields=MOST_FIELDS) as form:
            found = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    except (HTTPException, ValueError, KeyError):
        raise invalid("this is no form of several parts") from None
    try:
        for pair in found:
            "".join(pair).encode()
    except UnicodeEncodeError:
        raise invalid("this is no form in UTF-8") from None
    return found
