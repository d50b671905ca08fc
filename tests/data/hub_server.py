"""A hub on this machine: the few answers of the Hugging Face hub's API that reading a dataset needs.

Repositories are folders ROOT/user/name with the revisions main and v1; gated* ones want a token.
Try: with serve(Path("repos")) as hub: hub.address, hub.requests
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    address: str
    requests: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serve(root: Path) -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = _handler(root, hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(root: Path, hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer()

        def log_message(self, *words: object) -> None:
            pass

        def _answer(self) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            kind = parts[0]
            if kind == "api":
                parts = parts[1:]
            if parts[0] != "datasets" or len(parts) < 3:
                return self._fail(404, "")
            repo, rest = "/".join(parts[1:3]), parts[3:]
            folder = root / repo
            if parts[2].startswith("gated"):
                return self._fail(401, "GatedRepo")
            if not folder.is_dir():
                return self._fail(401, "RepoNotFound")
            revision = rest[1] if len(rest) > 1 else "main"
            if revision not in ("main", "v1", COMMIT):
                return self._fail(404, "RevisionNotFound")
            if kind == "api":
                return self._api(repo, folder, rest)
            file = folder.joinpath(*rest[2:])
            if not file.is_file():
                return self._fail(404, "EntryNotFound")
            return self._file(file)

        def _api(self, repo: str, folder: Path, rest: list[str]) -> None:
            if not rest or rest[0] == "revision":
                files = [{"rfilename": name} for name in _names(folder)]
                facts = {"id": repo, "sha": COMMIT, "private": False, "disabled": False, "gated": False}
                return self._json({**facts, "downloads": 0, "tags": [], "likes": 0, "siblings": files})
            if rest[0] == "tree":
                below = "/".join(rest[2:])
                deep = parse_qs(urlsplit(self.path).query).get("recursive", ["False"])[0].lower() == "true"
                if below and not (folder / below).is_dir():
                    return self._fail(404, "EntryNotFound")
                return self._json(_tree(folder, below, deep=deep))
            if rest[0] == "paths-info":
                asked = json.loads(self._body)["paths"]
                return self._json(
                    [_entry(folder, folder / path) for path in asked if (folder / path).exists()]
                )
            return self._fail(404, "")

        def _file(self, file: Path) -> None:
            body = file.read_bytes()
            headers = {"ETag": f'"{_sha(file)}"', "Accept-Ranges": "bytes"}
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if wanted is None:
                return self._send(200, body, headers)
            first, last = int(wanted[1]), min(int(wanted[2]), len(body) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            return self._send(206, body[first : last + 1], headers)

        def _json(self, value: object) -> None:
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _fail(self, status: int, code: str) -> None:
            self._send(status, b"", {"X-Error-Code": code} if code else {})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "X-Repo-Commit": COMMIT, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler


def _sha(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


def _names(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def _entry(folder: Path, path: Path) -> dict[str, object]:
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        return {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
    return {"type": "file", "oid": _sha(path), "size": path.stat().st_size, "path": name}


def _tree(folder: Path, below: str, *, deep: bool) -> list[dict[str, object]]:
    paths = (folder / below).rglob("*") if deep else (folder / below).iterdir()
    return [_entry(folder, path) for path in sorted(paths)]
