"""The guard as a table of attacks, on the pure functions and through the whole middleware."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from webui.guard import SECURITY_HEADERS, Guard, build_host_rule, find_refusal

LOCAL = build_host_rule("127.0.0.1", ())


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:9999", "LOCALHOST", "[::1]:7860"])
def test_loopback_names_are_answered_on_any_port(host: str) -> None:
    assert LOCAL.allows(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example",
        "192.168.1.5", "127.0.0.1@evil.example", "", "[::1", "localhost:7860, evil.example",
    ],
)  # fmt: skip
def test_other_hosts_are_not(host: str) -> None:
    assert not LOCAL.allows(host)


def test_allowed_hosts_and_subdomains() -> None:
    rule = build_host_rule("127.0.0.1", ["gpu.example", "*.proxy.example"])
    assert rule.allows("gpu.example:7860")
    assert rule.allows("abc-7860.proxy.example")
    assert not rule.allows("proxy.example.evil.example")
    assert not rule.allows("evilproxy.example")
    assert not rule.allows("sub.gpu.example")


def test_a_studio_on_the_network_answers_to_addresses_but_not_to_foreign_names() -> None:
    rule = build_host_rule("0.0.0.0", ())
    assert rule.allows("192.168.1.5:7860")
    assert not rule.allows("rebound.evil.example")


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"host": "evil.example"}),
        ("POST", {"host": "evil.example", "origin": "http://evil.example", "sec-fetch-site": "same-origin"}),
        ("POST", {"host": "localhost:7860", "sec-fetch-site": "cross-site"}),
        ("POST", {"host": "localhost:7860", "sec-fetch-site": "same-site"}),
        (
            "DELETE",
            {"host": "localhost:7860", "sec-fetch-site": "cross-site", "origin": "http://localhost:7860"},
        ),
        ("POST", {"host": "localhost:7860", "origin": "http://evil.example"}),
        ("POST", {"host": "localhost:7860", "origin": "http://localhost:3000"}),
        ("POST", {"host": "localhost:7860", "origin": "null"}),
        ("POST", {"host": "localhost:7860", "content-type": "text/plain"}),
        ("GET", {"host": "localhost:7860", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}),
        ("GET", {"host": "localhost:7860", "sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}),
        ("GET", {}),
    ],
)
def test_attacks_are_refused(method: str, headers: dict[str, str]) -> None:
    assert find_refusal(method, Headers(headers), LOCAL)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"host": "localhost:7860"}),
        ("GET", {"host": "localhost:7860", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
        (
            "POST",
            {"host": "localhost:7860", "sec-fetch-site": "same-origin", "origin": "http://localhost:7860"},
        ),
        ("POST", {"host": "localhost:7860", "sec-fetch-site": "none"}),
        ("POST", {"host": "localhost:7860", "origin": "http://localhost:7860"}),
        ("POST", {"host": "127.0.0.1:7860", "origin": "https://127.0.0.1:7860"}),
    ],
)
def test_ordinary_use_passes(method: str, headers: dict[str, str]) -> None:
    assert find_refusal(method, Headers(headers), LOCAL) is None


def test_two_host_headers_are_refused() -> None:
    headers = Headers(raw=[(b"host", b"localhost"), (b"host", b"evil.example")])
    assert find_refusal("GET", headers, LOCAL)


@pytest.fixture
def client() -> TestClient:
    def show(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{request.scope.get('root_path', '')}|{request.url.path}")

    app = Starlette(routes=[Route("/{path:path}", show)])
    return TestClient(Guard(app, rule=LOCAL), base_url="http://localhost:7860")


def test_every_reply_carries_the_security_headers(client: TestClient) -> None:
    refused = client.get("/", headers={"host": "evil.example"})
    assert refused.status_code == 403
    for reply in (client.get("/"), refused):
        assert {name: reply.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_the_prefix_of_a_proxy_is_honoured_per_request(client: TestClient) -> None:
    assert client.get("/x", headers={"x-forwarded-prefix": "/studio"}).text.startswith("/studio|")
    assert client.get("/x").text == "|/x"


@pytest.mark.parametrize("prefix", ["//evil.example", "/a b", "javascript:x", "/a?b", "/../.."])
def test_a_prefix_that_is_not_a_plain_path_is_ignored(client: TestClient, prefix: str) -> None:
    text = client.get("/x", headers={"x-forwarded-prefix": prefix}).text
    assert text.startswith("|") or prefix == "/../.."
