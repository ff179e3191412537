"""The OpenAPI document: requests that can be JSON or a form, error responses, and schemas that are listed once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from regard.serving.schema import Message

_SCHEMAS = "#/components/schemas/"
_DESCRIPTIONS = {
    400: "The request is invalid",
    403: "The API key is missing or invalid",
    404: "There is no such glossary or file, or it is deleted",
    408: "The request was not received in time",
    413: "The request is too large",
    415: "The body is neither JSON nor a form",
    503: "The server is busy; Retry-After gives the seconds after which to try again",
}


def error_responses(model: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an endpoint for these error statuses."""
    return {status: {"model": model, "description": _DESCRIPTIONS[status]} for status in statuses}


DEEPL_ERRORS = error_responses(Message, 400, 403, 404, 408, 413, 415, 503)
"""The `responses` of the endpoints in DeepL's format."""


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `openapi_extra` of an endpoint whose body is JSON or a form."""
    schema = _schema(model)
    kinds = ("application/json", "application/x-www-form-urlencoded")
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}}


def file_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `openapi_extra` of an endpoint whose body is a multipart form with a file."""
    schema = _schema(model)
    schema["properties"]["file"] = {"type": "string", "format": "binary", "title": "File"}
    schema["required"] = [*schema.get("required", []), "file"]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


class DocumentedApp(FastAPI):
    """An application whose OpenAPI document has each schema once, among its components."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            self.openapi_schema = _share_schemas(super().openapi())
        return self.openapi_schema


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")


def _share_schemas(document: dict[str, Any]) -> dict[str, Any]:
    """Move the schemas of requests to the components. Remove FastAPI's error 422, which the server does not answer."""
    components = document["components"]["schemas"]
    for operation in _operations(document):
        operation["responses"].pop("422", None)
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = content["schema"]
            for name, definition in {**schema.pop("$defs", {}), schema["title"]: schema}.items():
                components.setdefault(name, definition)
            content["schema"] = {"$ref": f"{_SCHEMAS}{schema['title']}"}
    for name in ("HTTPValidationError", "ValidationError"):
        components.pop(name, None)
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()
