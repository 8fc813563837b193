"""Hosts, origins and credentials."""

import base64
import hmac
from pathlib import Path

import pytest

from chain.params import REGTEST
from node.api.http.message import Problem
from node.api.routing.auth import Credentials, HostList, check_origin, cors_headers
from node.config import Config
from node.interface.endpoint import Endpoint


def allows(hosts: HostList, host: str) -> bool:
    try:
        hosts.check(host)
    except Problem as problem:
        return problem.status != 403
    return True


LOOPBACK = HostList(("Node.Example.",), [Endpoint("127.0.0.1", 18443), Endpoint("node7", 1)])


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "LOCALHOST:18443",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1:18443",
        "127.8.9.1:1",
        "[::1]",
        "[::1]:18443",
        "node.example",
        "node.example:80",
        "node7:1",
    ],
)
def test_our_hosts(host: str) -> None:
    assert allows(LOOPBACK, host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:18443",
        "evil.example:18443",
        "10.0.0.1",
        "[2001:db8::1]",
        "127.0.0.1:18443@evil.example",
        "[::1",
        "]",
        ":",
        "0x7f.1",
        "é",
        "127.0.0.1 ",
    ],
)
def test_foreign_hosts(host: str) -> None:
    assert not allows(LOOPBACK, host)


def test_an_address_listened_on_is_never_refused() -> None:
    assert allows(HostList((), [Endpoint("10.1.2.3", 18443)]), "10.1.2.3:18443")
    assert not allows(HostList((), [Endpoint("10.1.2.3", 18443)]), "10.1.2.4:18443")
    for anywhere in ("0.0.0.0", "::"):
        hosts = HostList((), [Endpoint(anywhere, 18443)])
        assert allows(hosts, "192.0.2.7:18443")
        assert allows(hosts, "[2001:db8::1]")
        assert not allows(hosts, "evil.example")


@pytest.mark.parametrize(
    ("origin", "site", "allowed", "passes"),
    [
        ("", "", (), True),
        ("", "same-origin", (), True),
        ("", "none", (), True),
        ("", "cross-site", (), False),
        ("", "same-site", (), False),
        ("http://127.0.0.1:18443", "same-origin", (), True),
        ("http://127.0.0.1:3000", "same-site", (), False),
        ("https://evil.example", "cross-site", (), False),
        ("null", "cross-site", (), False),
        ("https://app.example", "cross-site", ("https://app.example",), True),
        ("https://app.example.evil", "cross-site", ("https://app.example",), False),
        ("https://any.example", "cross-site", ("*",), True),
    ],
)
def test_origins_of_writes(origin: str, site: str, allowed: tuple[str, ...], passes: bool) -> None:
    if passes:
        check_origin("127.0.0.1:18443", origin, site, allowed)
        return
    with pytest.raises(Problem) as caught:
        check_origin("127.0.0.1:18443", origin, site, allowed)
    assert caught.value.status == 403


@pytest.mark.parametrize("origin", ["null", "file:", "http://"])
def test_nobody_is_not_the_host_that_is_not_named(origin: str) -> None:
    with pytest.raises(Problem):
        check_origin("", origin, "", ())


def test_cors_headers() -> None:
    assert cors_headers("https://a.example", ()) == ()
    assert cors_headers("https://b.example", ("https://a.example",)) == (("Vary", "Origin"),)
    assert cors_headers("", ("https://a.example",)) == (("Vary", "Origin"),)
    assert cors_headers("https://a.example", ("https://a.example",)) == (
        ("Access-Control-Allow-Origin", "https://a.example"),
        ("Vary", "Origin"),
    )
    assert cors_headers("", ("*",)) == (("Access-Control-Allow-Origin", "*"),)


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


def test_credentials(tmp_path: Path) -> None:
    where = Endpoint("127.0.0.1", 1)
    config = Config(REGTEST, tmp_path, (where,), where, rpc_user="mé", rpc_password="p:w")
    config.folder.mkdir()
    config.cookie.write_text("__cookie__:00ff\n")
    credentials = Credentials.of(config)
    for right in (basic("__cookie__:00ff"), basic("mé:p:w"), basic("mé:p:w").replace("Basic", "bAsIc")):
        assert credentials.accept(right)
    for wrong in (
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic é",
        basic(""),
        basic("mé"),
        basic("mé:"),
        basic("mé:p:w "),
        basic("__cookie__:00fe"),
        basic("__cookie__:00ff").replace("Basic", "Bearer"),
        basic("mé:00ff"),
    ):
        assert not credentials.accept(wrong), wrong


def test_credentials_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, whichever is right, and never by `==`, which stops at the first byte that differs."""
    compared = []

    def compare(given: bytes, right: bytes) -> bool:
        compared.append((given, right))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    credentials = Credentials([("a", "1"), ("b", "2")])
    assert not credentials.accept(basic("a:1"))
    assert compared == [(b"a:1", b"a:1"), (b"a:1", b"b:2")]


def test_a_cookie_without_credentials_is_an_error(tmp_path: Path) -> None:
    where = Endpoint("127.0.0.1", 1)
    config = Config(REGTEST, tmp_path, (where,), where)
    config.folder.mkdir()
    config.cookie.write_text("nonsense")
    with pytest.raises(ValueError, match="holds no credentials"):
        Credentials.of(config)
