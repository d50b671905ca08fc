"""The plain routes of the Data page: questions to the data worker, and the upload of files.

A question goes to a process of its own (engine.jobs.client.ask): the studio reads no data and loads no
tokenizer. What is wrong with a person's data is an answer ({"error", "problems"}), not an HTTP error, so that
the browser's console stays silent about it. Files are named by the id of their upload, never by a path.
Try: curl -s -X POST -H 'Origin: http://127.0.0.1:7860' -d '{"dataset_dir": "data"}'
http://127.0.0.1:7860/studio/api/data/list
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from engine.errors import UserError
from engine.jobs import client
from webui import memory, text, uploads

OPS = ("list", "raw", "preview", "stats", "check", "detect", "map", "register", "templates")
FILE_ARGUMENT = {
    "detect": "path",
    "map": "path",
    "preview": "path",
    "stats": "path",
    "register": "source_path",
}
"""What the file of an upload is called in each question that may be asked of one."""
SLOW = {"stats": 600.0, "check": 600.0}
PATIENCE_S = 120.0
"""The first question starts the worker and loads a tokenizer, on a busy machine."""
MAX_QUESTION_BYTES = 2**20

SETTINGS = (
    "model_name_or_path", "template", "cutoff_len", "packing", "mask_history", "enable_thinking",
    "dataset_dir",
)  # fmt: skip
"""What the Data page takes over from the Train form when it is first opened."""


def build_router() -> APIRouter:
    """Routes under /studio/api/data."""
    router = APIRouter(prefix="/studio/api/data")
    # The worker answers one question at a time; a crowd of waiting ones must not take the studio's threads.
    pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="data")

    @router.get("/choices")
    def choices() -> dict[str, Any]:
        """What the menus of the page offer before the worker has been asked anything."""
        return {"models": _models(), "settings": first_settings()}

    @router.post("/uploads")
    async def upload(request: Request, name: str = "") -> dict[str, Any]:
        """The body is the file itself."""
        language = text.language(cast(Any, request))
        announced = request.headers.get("content-length", "")
        size = int(announced) if announced.isdigit() else None
        try:
            return (await uploads.receive(name, size, request.stream(), language)).to_json()
        except UserError as error:
            return {"error": str(error), "field": "file"}

    @router.delete("/uploads/{upload_id}")
    def discard(upload_id: str) -> dict[str, Any]:
        uploads.discard(upload_id)
        return {}

    @router.post("/{op}")
    async def ask(op: str, request: Request) -> Any:
        if op not in OPS:
            return Response(status_code=404)
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is left to read it
        language = text.language(cast(Any, request))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, answer, op, body, language)

    return router


def answer(op: str, body: bytes, language: str) -> dict[str, Any]:
    """What the worker says to one question. A mistake is an answer with `error`."""
    try:
        arguments = read_question(op, body, language)
    except UserError as error:
        return {"error": str(error), "problems": []}
    found = client.ask(op, arguments, timeout_s=SLOW.get(op, PATIENCE_S))
    file = arguments.get(FILE_ARGUMENT.get(op, ""))
    if file:  # where an upload lies is nobody's business: it is called by its name
        found = _renamed(found, file, Path(file).name)
    if op == "register" and "error" not in found:
        uploads.discard(str(json.loads(body).get("upload") or ""))
    return found


def read_question(op: str, body: bytes, language: str) -> dict[str, Any]:
    """The arguments in the body of a request, with the upload they speak of as a path of ours.

    Raises UserError for anything but a JSON object, for a path of the browser's own choice, and for an upload
    that is not there any more.
    """
    if len(body) > MAX_QUESTION_BYTES:
        raise UserError("The question is larger than 1 MiB.")
    try:
        arguments = json.loads(body or b"{}")
    except ValueError as error:
        raise UserError("The body must be a JSON object.") from error
    if not isinstance(arguments, dict):
        raise UserError("The body must be a JSON object.")
    if {"path", "source_path"} & set(arguments):
        raise UserError("Files are named by the id of their upload.")
    if "upload" not in arguments:
        return arguments
    path = uploads.find(str(arguments.pop("upload")))
    if path is None:
        raise UserError(text.t("say.data.upload_gone", language))
    if op not in FILE_ARGUMENT:
        raise UserError(f"{op} is not asked of an uploaded file.")
    return {**arguments, FILE_ARGUMENT[op]: str(path)}


def _renamed(value: Any, old: str, new: str) -> Any:
    """A JSON value with `new` for `old` in every text."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list):
        return [_renamed(one, old, new) for one in value]
    if isinstance(value, dict):
        return {name: _renamed(one, old, new) for name, one in value.items()}
    return value


def first_settings() -> Mapping[str, Any]:
    """The Train form's values of what the Data page sets too: as last edited, else as the form starts."""
    from webui.pages import train

    kept = memory.recall("train")
    values = {**train.first_values(), **(kept.values if kept else {})}
    return {name: values[name] for name in SETTINGS if values.get(name) not in (None, "")}


def _models() -> list[str]:
    from webui.widgets import model_picker

    return model_picker.find_models()
