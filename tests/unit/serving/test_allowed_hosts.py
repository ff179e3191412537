from __future__ import annotations

import socket

import pytest
from tests.unit.serving.clients import ask_all

from regard.errors import ConfigError
from regard.serving.allowed_hosts import AllowedHosts
from regard.serving.limits import RequestRejected
from regard.serving.service import Service


def accepts(hosts: AllowedHosts, host: str | None) -> bool:
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    try:
        hosts.check({"headers": headers})
    except RequestRejected as error:
        assert error.status == 421
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
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
def test_a_local_server_accepts_ip_addresses_and_its_own_names(address: str, host: str | None) -> None:
    assert accepts(AllowedHosts.for_server(address, []), host)
    assert accepts(AllowedHosts.for_server(address, []), socket.gethostname())


@pytest.mark.parametrize("host", ["evil.example", "evil.example:5000", "localhost.evil.example", "1.evil.example", "é"])
def test_a_local_server_rejects_other_hosts(host: str) -> None:
    assert not accepts(AllowedHosts.for_server("127.0.0.1", []), host)
    assert not accepts(AllowedHosts.for_server("127.0.0.1", ["good.example"]), host)
    assert not accepts(AllowedHosts.for_server("0.0.0.0", ["good.example"]), host)
    assert accepts(AllowedHosts.for_server("0.0.0.0", []), host)
    assert accepts(AllowedHosts.for_server("127.0.0.1", [host]), host)


def test_dns_rebinding_is_rejected(service: Service) -> None:
    requests = [("GET", "/models", {"headers": {"host": host}}) for host in ("evil.example", "translate.example:80")]
    rejected, accepted = ask_all(
        service, requests, allowed_hosts=AllowedHosts.for_server("127.0.0.1", ["translate.example"])
    )
    assert (rejected.status_code, accepted.status_code) == (421, 200)
    assert rejected.json() == {
        "error": "the host evil.example is not allowed; the operator of the server can allow it with --allow-host"
    }


@pytest.mark.parametrize("name", ["", " ", "https://x.org", "x.org/a", "a b", "*.x.org", "a,b"])
def test_invalid_host_names_are_rejected(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a valid host name"):
        AllowedHosts.for_server("127.0.0.1", [name])
