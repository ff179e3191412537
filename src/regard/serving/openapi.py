"""What FastAPI cannot see for itself of a request that may be JSON or a form."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

_SAYS = {
    400: "Something is wrong with the request",
    403: "The API key is missing or none",
    404: "There are no glossaries",
    408: "The request did not come in time",
    413: "The request is too large",
    415: "It is neither JSON nor a form",
    500: "The translation failed",
    503: "There is too much to do; Retry-After says in how many seconds to try again",
}


def answers(model: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Of each status what is answered."""
    return {status: {"model": model, "description": _SAYS[status]} for status in statuses}


def asks(model: type[BaseModel]) -> dict[str, Any]:
    """A body: JSON, or a form."""
    schema = model.model_json_schema()
    kinds = ("application/json", "application/x-www-form-urlencoded")
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}}
