"""The OpenAPI document, and whether what is answered is what it says."""

from __future__ import annotations

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import ASGIApp
from tests.unit.serving.clients import ask

from regard.serving.app import create_app
from regard.serving.service import Service

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def application(service: Service) -> ASGIApp:
    return create_app(service)


@pytest.fixture
def document(application: ASGIApp) -> object:
    return schemathesis.openapi.from_asgi("/openapi.json", application)


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_they_are_said_to_be(case: schemathesis.Case) -> None:
    case.call_and_validate(checks=CHECKS)


def test_it_names_every_endpoint(service: Service) -> None:
    paths = json.loads(ask(service, "GET", "/openapi.json").text)["paths"]
    assert set(paths) == {
        *("/translate", "/detect", "/languages", "/health", "/frontend/settings"),
        *("/v2/translate", "/v2/languages", "/v2/usage", "/models", "/attention"),
    }
