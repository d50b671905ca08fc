"""The studio's outer wall: which host names it answers to, who may write, and what a browser may do with a
reply.

It stops pages of other sites from driving a studio that listens on this machine (DNS rebinding, cross-site
requests). It does not know people: anyone who can open the address can use the studio.
Try: curl -si -H 'Host: evil.example' http://127.0.0.1:7860/ | head -1
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
READ_METHODS = ("GET", "HEAD", "OPTIONS")

CONTENT_SECURITY_POLICY = "; ".join((
    "default-src 'self'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self' blob: data:",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'self'",
))  # fmt: skip

SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

_HOST = re.compile(r"(?:(?P<name>[A-Za-z0-9._-]+)|\[(?P<v6>[0-9A-Fa-f:.]+)\])(?::\d+)?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~%-]+)+")


@dataclass(frozen=True)
class HostRule:
    """Host names the studio answers to. `suffixes` come from `*.example.com`; `any_address`: every literal
    IP address.

    A literal address cannot be rebound by DNS, so a studio that listens on the network may answer to all of
    them.
    """

    names: frozenset[str]
    suffixes: tuple[str, ...] = ()
    any_address: bool = False

    def allows(self, host_header: str) -> bool:
        name = host_name(host_header)
        if name is None:
            return False
        if name in self.names or any(name.endswith(suffix) for suffix in self.suffixes):
            return True
        return self.any_address and _is_address(name)


def build_host_rule(bind_host: str, allowed_hosts: Iterable[str]) -> HostRule:
    """The rule for a studio listening on `bind_host`, with the names a person allowed on top (`*.domain`
    covers its subdomains).
    """
    names = set(LOOPBACK_NAMES)
    suffixes = []
    for entry in allowed_hosts:
        entry = entry.strip().lower().rstrip(".")
        if entry.startswith("*."):
            suffixes.append(entry[1:])
        elif entry:
            names.add(host_name(entry) or entry)
    on_network = bind_host not in LOOPBACK_NAMES
    if on_network:
        names |= {bind_host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
    return HostRule(frozenset(names), tuple(suffixes), any_address=on_network)


def host_name(header: str) -> str | None:
    """The name in a Host header, without port and brackets; None where it cannot be read."""
    match = _HOST.fullmatch(header)
    return (match["name"] or match["v6"]).lower() if match else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def find_refusal(method: str, headers: Headers, rule: HostRule) -> str | None:
    """Why this request is refused, or None. Browsers always send what is looked at here and a page cannot
    forge it.
    """
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not rule.allows(hosts[0]):
        return "This studio does not answer to that host name. Allow it with --allowed_hosts NAME."
    site = headers.get("sec-fetch-site")
    if method in READ_METHODS:
        opens_page = headers.get("sec-fetch-mode") == "navigate"
        if site in ("cross-site", "same-site") and not opens_page:
            return "A page of another site may not read from this studio."
        return None
    if site is not None:
        own_page = site in ("same-origin", "none")
        return None if own_page else "A page of another site may not write to this studio."
    origin = headers.get("origin")
    if origin is None or urlsplit(origin).netloc.lower() != hosts[0].lower():
        return "A request that writes needs an Origin header equal to the studio's address."
    return None


class Guard:
    """ASGI middleware, outermost. `root_path`: the path prefix a proxy strips; X-Forwarded-Prefix says it
    per request.
    """

    def __init__(self, app: ASGIApp, *, rule: HostRule, root_path: str = "") -> None:
        self.app = app
        self.rule = rule
        self.root_path = root_path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the studio has no websockets
            return
        headers = Headers(scope=scope)
        reason = find_refusal(scope["method"], headers, self.rule)
        if reason is not None:
            text = f"403 Forbidden. {reason}\n"
            refusal = PlainTextResponse(text, status_code=403, headers=SECURITY_HEADERS)
            await refusal(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        prefix = self.root_path or _forwarded_prefix(headers)
        await self.app(_under_prefix(scope, prefix) if prefix else scope, receive, send_with_headers)


def _under_prefix(scope: Scope, prefix: str) -> Scope:
    """The scope as ASGI wants it: the path includes `root_path`, whether or not a proxy has stripped it."""
    path: str = scope["path"]
    inside = path == prefix or path.startswith(f"{prefix}/")
    return {**scope, "root_path": prefix, "path": path if inside else prefix + path}


def _forwarded_prefix(headers: Headers) -> str:
    prefix = headers.get("x-forwarded-prefix", "").split(",")[0].strip().rstrip("/")
    return prefix if _PREFIX.fullmatch(prefix) else ""
