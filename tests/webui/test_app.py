"""What the page promises, checked without a browser: private, light, from this host alone, and up quickly."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from engine.errors import UserError
from webui import app as studio_module
from webui.page import edit_page
from webui.slim import slim_page
from webui.static_files import find_gradio_core

MAX_PAGE_BYTES = 200_000


@pytest.fixture
def config(studio: TestClient) -> dict:
    return studio.get("/config").json()


def test_no_event_is_public_and_no_connection_is_held_open(config: dict) -> None:
    public = [event["api_name"] for event in config["dependencies"] if event["api_visibility"] != "private"]
    assert public == []
    assert config["connect_heartbeat"] is False


def test_what_gradio_offers_beside_the_page_is_off(studio: TestClient, config: dict) -> None:
    assert (config["show_error"], config["run_history"], config["analytics_enabled"]) == (False, False, False)
    assert studio.get("/openapi.json").status_code == 404
    assert studio.get("/docs").status_code == 404
    assert studio.get("/gradio_api/runs").status_code == 404


def test_the_page_is_light(studio: TestClient) -> None:
    page = studio.get("/", headers={"accept-encoding": "identity"})
    assert len(page.content) < MAX_PAGE_BYTES
    packed = studio.get("/", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < MAX_PAGE_BYTES / 4


class _Links(HTMLParser):
    """Every address a browser would load by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("a", "meta"):
            return
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


def test_the_page_loads_nothing_from_another_host(studio: TestClient) -> None:
    page = studio.get("/").text
    links = _Links()
    links.feed(page)
    assert links.found
    assert [link for link in links.found if link.startswith(("http", "//"))] == []
    theme = studio.get("/theme.css").text
    assert re.findall(r"url\([\"']?(?:https?:)?//|@import", theme) == []


def test_the_studios_own_files_name_no_other_host() -> None:
    for file in studio_module.STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://", text), file.name


def test_every_file_the_page_asks_for_is_there(studio: TestClient) -> None:
    links = _Links()
    links.feed(studio.get("/").text)
    own = [link for link in links.found if link.startswith("studio/")]
    assert len(own) >= 5
    for link in own:
        reply = studio.get(f"/{link}")
        assert reply.status_code == 200, link
        assert reply.headers["cache-control"] == "no-cache"
    unchanged = studio.get("/studio/static/studio.css", headers={"if-none-match": reply.headers["etag"]})
    assert unchanged.status_code in (200, 304)


def test_texts_come_as_a_script_that_the_browser_keeps(studio: TestClient) -> None:
    page = studio.get("/").text
    # It must run after the page's configuration and before the front end, which is a deferred module.
    assert page.index("window.gradio_config = ") < page.index("studio/texts.js")
    assert "训练" not in page
    script = studio.get("/studio/texts.js")
    assert script.headers["content-type"].startswith("text/javascript")
    tables = json.loads(script.text.removeprefix("window.gradio_config.i18n_translations = ").rstrip(";\n"))
    assert tables["zh-CN"]["bar.train"] == "训练" and tables["en"]["arg.learning_rate.label"]
    unchanged = studio.get("/studio/texts.js", headers={"if-none-match": script.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_scripts_import_only_files_that_exist() -> None:
    for file in studio_module.STATIC.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"|import "\./([^"]+)"', file.read_text(encoding="utf-8")):
            assert (studio_module.STATIC / "".join(name)).is_file(), (file.name, name)


def test_every_text_of_the_scripts_has_both_languages() -> None:
    from webui.text import table

    english, chinese = table("en"), table("zh")
    for file in studio_module.STATIC.glob("*.js"):
        source = file.read_text(encoding="utf-8")
        keys = set(re.findall(r'"((?:run|jobs|bar|state)\.[a-z_]+)"', source))
        for stem in re.findall(r"t\(`((?:run|jobs|bar|state)\.[a-z_]*)\$\{", source):
            keys |= {key for key in english if key.startswith(stem)}
        missing = [key for key in keys if key not in english or key not in chinese]
        assert missing == [], file.name


def test_gradio_still_exports_the_language_switch() -> None:
    assert find_gradio_core() is not None


def test_the_page_works_under_a_prefix(studio: TestClient) -> None:
    page = studio.get("/", headers={"x-forwarded-prefix": "/lab/studio"}).text
    assert "studio/static/studio.css" in page
    assert "http://127.0.0.1:7860/lab/studio" in page
    behind = {"x-forwarded-prefix": "/lab/studio"}
    for path in ("/studio/api/jobs", "/studio/static/studio.css", "/config", "/theme.css"):
        assert studio.get(path, headers=behind).status_code == 200, path  # a proxy that strips the prefix
        assert studio.get(f"/lab/studio{path}", headers=behind).status_code == 200, path  # one that does not
        assert studio.get(path).status_code == 200, path  # direct access
    assert studio.get("/lab/studio/config").status_code == 404


@pytest.mark.parametrize(
    ("path", "request_options"),
    [
        ("/gradio_api/queue/join", {"json": {"data": [], "fn_index": 0, "session_hash": "x"}}),
        ("/gradio_api/run/predict", {"json": {"data": [], "fn_index": 0, "session_hash": "x"}}),
        ("/gradio_api/component_server", {"content": "{}", "headers": {"content-type": "text/plain"}}),
        ("/gradio_api/upload", {"files": {"files": ("x.txt", b"x")}}),
    ],
)
def test_gradios_own_routes_are_behind_the_guard(
    studio: TestClient, path: str, request_options: dict
) -> None:
    own = request_options.pop("headers", {})
    attacks = ({"sec-fetch-site": "cross-site"}, {"host": "evil.example"})
    for attack in attacks:
        assert studio.post(path, headers={**own, **attack}, **request_options).status_code == 403


def test_the_page_s_configuration_says_nothing_twice() -> None:
    config = {"page": {"": {"layout": {"id": 0}}}, "layout": {"id": 0}, "text": "</script> 中"}
    page = f"<head></head><script>window.gradio_config = {json.dumps(config)};</script><p>"
    slimmed = slim_page(page)
    text = slimmed.split("gradio_config = ")[1].split(";</script><p>")[0]
    assert "<" not in text
    assert json.loads(text) == {"page": config["page"], "text": config["text"]}
    assert slim_page("<p>x</p>") == "<p>x</p>"


def test_a_page_without_a_head_is_left_alone() -> None:
    assert edit_page("<p>x</p>", "<b>") == "<p>x</p>"


def test_a_taken_port_is_one_sentence_and_no_gradio() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port}.*--port"):
            studio_module.bind("127.0.0.1", port)
        run = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "engine.cli", "webui", "--port", str(port)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert run.returncode == 2
    assert "--port" in run.stderr
    assert not re.search(r"\| +gradio\b", run.stderr)


def test_small_answers_leave_at_once() -> None:
    """The event loop turns off the system's waiting for more to send only on a socket that says it is TCP."""
    with studio_module.bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_the_studio_never_imports_what_trains(repo: Path) -> None:
    code = (
        "import sys; from engine.schema.commands import WebuiArgs; from webui.app import build_app;"
        "build_app(WebuiArgs());"
        "print([m for m in ('torch', 'transformers', 'datasets', 'peft', 'matplotlib') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repo, timeout=120)
    assert run.stdout.strip().splitlines()[-1] == "[]", run.stderr


def test_the_import_of_gradio_leaves_inspect_as_it_was() -> None:
    import inspect

    real = inspect.getfile
    with pytest.raises(RuntimeError), studio_module.quick_gradio_import():
        raise RuntimeError
    assert inspect.getfile is real
