"""OpenAPI descriptions of requests that can be JSON or a form, and of error responses."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

_DESCRIPTIONS = {
    400: "The request is invalid",
    403: "The API key is missing or invalid",
    404: "There is no such glossary or file, or it is deleted",
    408: "The request was not received in time",
    413: "The request is too large",
    415: "The body is neither JSON nor a form",
    500: "The translation failed",
    503: "The server is busy; Retry-After gives the seconds after which to try again",
}


def error_responses(model: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an endpoint for these error statuses."""
    return {status: {"model": model, "description": _DESCRIPTIONS[status]} for status in statuses}


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `openapi_extra` of an endpoint whose body is JSON or a form."""
    schema = model.model_json_schema()
    kinds = ("application/json", "application/x-www-form-urlencoded")
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}}


def file_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `openapi_extra` of an endpoint whose body is a multipart form with a file."""
    schema = model.model_json_schema()
    schema["properties"]["file"] = {"type": "string", "format": "binary", "title": "File"}
    schema["required"] = [*schema.get("required", []), "file"]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
