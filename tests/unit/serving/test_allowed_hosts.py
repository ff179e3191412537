from __future__ import annotations

import socket

import pytest
from tests.unit.serving.clients import ask_all

from regard.errors import ConfigError
from regard.serving.allowed_hosts import Names
from regard.serving.limits import Refused
from regard.serving.service import Service


def answers(names: Names, host: str | None) -> bool:
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    try:
        names.check({"headers": headers})
    except Refused as refused:
        assert refused.status == 421
        return False
    return True


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:5000",
        "app.localhost",
        "127.0.0.1:5000",
        "[::1]:5000",
        "::1",
        "10.0.0.7",
        "localhost.",
        None,
    ],
)
@pytest.mark.parametrize("listens", ["127.0.0.1", "::1", "localhost"])
def test_what_only_this_machine_can_ask_answers_to_numbers_and_its_own_name(listens: str, host: str | None) -> None:
    assert answers(Names.of(listens, []), host)
    assert answers(Names.of(listens, []), socket.gethostname())


@pytest.mark.parametrize("host", ["evil.example", "evil.example:5000", "localhost.evil.example", "1.evil.example", "é"])
def test_and_to_no_other(host: str) -> None:
    assert not answers(Names.of("127.0.0.1", []), host)
    assert not answers(Names.of("127.0.0.1", ["good.example"]), host)
    assert not answers(Names.of("0.0.0.0", ["good.example"]), host)
    assert answers(Names.of("0.0.0.0", []), host)
    assert answers(Names.of("127.0.0.1", [host]), host)


def test_a_page_that_makes_its_name_lead_here_reads_nothing(service: Service) -> None:
    asked = [("GET", "/models", {"headers": {"host": host}}) for host in ("evil.example", "translate.example:80")]
    refused, answered = ask_all(service, asked, names=Names.of("127.0.0.1", ["translate.example"]))
    assert (refused.status_code, answered.status_code) == (421, 200)
    assert refused.json() == {
        "error": "this server does not go by the name evil.example; whoever runs it can say so by --allow-host"
    }


@pytest.mark.parametrize("given", ["", " ", "https://x.org", "x.org/a", "a b", "*.x.org", "a,b"])
def test_what_is_no_name_is_told(given: str) -> None:
    with pytest.raises(ConfigError, match="is no name"):
        Names.of("127.0.0.1", [given])
