"""The Chat page: load a model into a server process of its own, talk to it, unload it.

A server is a job (`tunesmith api`), so a reload finds it again and unloading frees its memory. Several may be
loaded; the menu says which one answers. Try: open the studio at /#chat
"""

from __future__ import annotations

import html
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engine.errors import JobError, UserError
from engine.jobs import client
from engine.schema.load import load_mapping
from webui import text
from webui.chat_stream import stream_answer
from webui.form import Form
from webui.studio import Studio
from webui.widgets import command_preview, job_actions, model_picker, page_open
from webui.widgets.command_preview import QUIET, Preview
from webui.widgets.run_view import run_view

TAB = "chat"

CARDS: dict[str, tuple[str, ...]] = {
    "card.model": ("model_name_or_path", "adapter_name_or_path", "template", "infer_dtype", "use_cpu"),
    "card.sampling": ("default_system", "temperature", "top_p", "top_k", "max_new_tokens", "do_sample"),
}
FIRST_CHAT = {"model_name_or_path": "data/tiny-qwen3", "max_new_tokens": 256}
ALIVE = ("queued", "starting", "running")
WATCH_LOADING_S = 1.0
WATCH_READY_S = 5.0
SHOW_EVERY_S = 0.1


@dataclass(frozen=True)
class Controls:
    """What the chat is operated with. `server`: the id of the job that answers."""

    server: gr.Dropdown
    status: gr.HTML
    load: gr.Button
    unload: gr.Button
    clock: gr.Timer
    chatbot: gr.Chatbot
    message: gr.Textbox
    send: gr.Button
    stop: gr.Button
    clear: gr.Button
    kept: gr.BrowserState


def build(studio: Studio) -> None:
    """Draw the page inside the open tab and wire it."""
    i18n = studio.i18n
    # The port is left to the system: any number of servers may run beside each other.
    form = Form("api", TAB, initial=FIRST_CHAT | {"port": 0})
    special = {
        "model_name_or_path": model_picker.model_picker,
        "adapter_name_or_path": model_picker.adapter_picker,
    }
    with gr.Row(elem_classes="ts-main ts-main-chat"):
        with gr.Column(scale=5, min_width=320, elem_classes="ts-left"):
            form.draw_cards(i18n, CARDS, special)
            form.draw_further(i18n)
            with gr.Column(elem_classes="ts-card"):
                preview = command_preview.draw_preview(i18n, form)
                with gr.Row(elem_classes="ts-actions"):
                    load = gr.Button(
                        i18n("chat.load"), variant="primary", elem_id="ts-chat-load", elem_classes="ts-go"
                    )
                    unload = gr.Button(i18n("chat.unload"), elem_id="ts-chat-unload", elem_classes="ts-halt")
        with gr.Column(scale=7, min_width=320, elem_classes="ts-right ts-chat-side"):
            controls = _draw_chat(i18n, load, unload)
            with gr.Column(elem_classes="ts-adv"), gr.Accordion(i18n("chat.log"), open=False):
                run_view(TAB)
    command_preview.connect(form, preview)
    page_open.register_form(studio, form, preview)
    model_picker.connect(studio, form)
    _connect_server(studio, form, preview, controls)
    _connect_talk(studio, form, controls)
    studio.parts["chat"] = form


def _draw_chat(i18n: gr.I18n, load: gr.Button, unload: gr.Button) -> Controls:
    with gr.Column(elem_classes="ts-card ts-chat"):
        with gr.Row(elem_classes="ts-grid ts-server"):
            server = gr.Dropdown(
                [], visible=False, label=i18n("chat.server.label"), info=i18n("chat.server.help"),
                allow_custom_value=True, min_width=0, elem_id="chat-server", elem_classes="ts-big",
            )  # fmt: skip
        status = gr.HTML(
            status_html("none", "en"), js_on_load=None, elem_id="chat-status", elem_classes="ts-said"
        )
        chatbot = gr.Chatbot(
            show_label=False, elem_id="chat-messages", height="min(56vh, 620px)",
            placeholder=i18n("chat.empty"), buttons=["copy"],
            reasoning_tags=[("<think>", "</think>")], allow_tags=True, layout="bubble",
        )  # fmt: skip
        with gr.Row(elem_classes="ts-say"):
            message = gr.Textbox(
                label=i18n("chat.placeholder"), show_label=False, placeholder=i18n("chat.placeholder"),
                lines=1, max_lines=8, scale=1, container=False, elem_id="chat-message", min_width=0,
            )  # fmt: skip
            send = gr.Button(
                i18n("chat.send"), variant="primary", scale=0, min_width=72, elem_id="ts-chat-send"
            )
            stop = gr.Button(i18n("chat.stop"), scale=0, min_width=72, elem_id="ts-chat-stop")
            clear = gr.Button(i18n("chat.clear"), scale=0, min_width=72, elem_id="ts-chat-clear")
    clock = gr.Timer(WATCH_LOADING_S, active=False)
    # The talk is kept in the browser it was held in. The secret is fixed so that it outlives a restart.
    kept = gr.BrowserState([], storage_key="tunesmith-chat", secret="tunesmith")
    return Controls(server, status, load, unload, clock, chatbot, message, send, stop, clear, kept)


# ---- the server


def servers() -> list[tuple[str, str]]:
    """(what a person calls it, job id) of every chat server that lives, newest first."""
    living = [job for job in client.list_jobs(limit=200) if _is_server(job)]
    names = Counter(served_name(job) for job in living)
    return [(_told_apart(job, names[served_name(job)] > 1), job.id) for job in living]


def _told_apart(job: Any, twice: bool) -> str:
    """Its name, with the time of its start where another has the same."""
    began = time.strftime("%H:%M:%S", time.localtime(job.created))
    return f"{served_name(job)} · {began}" if twice else served_name(job)


def served_name(job: Any) -> str:
    """Model and adapters of a server, from its command."""
    words = list(job.argv)
    parts = [
        words[words.index(flag) + 1]
        for flag in ("--model_name_or_path", "--adapter_name_or_path")
        if flag in words[:-1]
    ]
    return " + ".join(parts) or job.name


def _is_server(job: Any) -> bool:
    return job.command == "api" and job.state in ALIVE


def look(server: str, language: str) -> tuple[str, float | None]:
    """(the state of a server in HTML, seconds until it is worth looking again)."""
    try:
        job = client.get(server) if server else None
    except JobError:
        job = None
    if job is None:
        return status_html("none", language), None
    name = served_name(job)
    if job.state in ALIVE:
        if client.endpoint(job.id):
            return status_html("ready", language, name=name), WATCH_READY_S
        return status_html("loading", language, name=name, seconds=_seconds_since(job)), WATCH_LOADING_S
    if job.state == "stopped":
        return status_html("unloaded", language, name=name), None
    return status_html("failed", language, name=name, reason=job.reason or job.state), None


TONES = {"none": "", "loading": "busy", "ready": "ok", "unloading": "busy", "unloaded": "", "failed": "bad"}


def status_html(kind: str, language: str, **values: Any) -> str:
    """One line about the server: none, loading, ready, unloading, unloaded or failed."""
    words = html.escape(text.t(f"say.chat.{kind}", language, **values))
    dot = f'<span class="dot {TONES[kind]}"></span>'
    return f'<div class="ts-status" role="status" data-state="{kind}">{dot}{words}</div>'


def _seconds_since(job: Any) -> int:
    return max(0, int(time.time() - (job.started or job.created or time.time())))


def _connect_server(studio: Studio, form: Form, preview: Preview, controls: Controls) -> None:
    watched = [controls.server, controls.status, controls.clock]
    problems = command_preview.problem_outputs(form, preview)

    def load(request: gr.Request, *values: Any) -> list[Any]:
        language = text.language(request)
        job_id, updates = job_actions.submit(form, form.named(values), language)
        shown = _attach(job_id, language) if job_id else [gr.skip()] * len(watched)
        return [*shown, *updates]

    def reattach(request: gr.Request, current: str, asked: str) -> list[Any]:
        known = [job_id for _, job_id in servers()]
        wanted = [job_id for job_id in (current, asked, *known) if job_id in known]
        return _attach(wanted[0] if wanted else current or "", text.language(request))

    def watch(request: gr.Request, server: str) -> list[Any]:
        return [gr.skip(), *_look_again(server, text.language(request))]

    def say_unloading(request: gr.Request, server: str) -> Any:
        return status_html("unloading" if server else "none", text.language(request))

    def unload(request: gr.Request, server: str) -> list[Any]:
        end_server(server)
        left = servers()
        menu, status, clock = _attach(server, text.language(request))
        if left:  # the line says what became of the one; the next answer comes from another
            menu, clock = _menu(left, left[0][1]), gr.Timer(WATCH_READY_S, active=True)
        return [menu, status, clock]

    loaded = controls.load.click(load, form.components, [*watched, preview.notes, *problems], **QUIET)
    loaded.then(
        None, controls.server, None, js=f"(id) => {{ if (id) window.tunesmith.open(id, '{TAB}') }}",
        api_visibility="private",
    )  # fmt: skip
    controls.clock.tick(watch, controls.server, watched, **QUIET)
    controls.server.input(watch, controls.server, watched, **QUIET)
    controls.unload.click(say_unloading, controls.server, controls.status, **QUIET).then(
        unload, controls.server, watched, **QUIET
    )
    gr.on(
        [studio.demo.load, studio.tabs.select], reattach, [controls.server, preview.job], watched,
        js="(server) => [server, new URLSearchParams(location.search).get('job') || '']", **QUIET,
    )  # fmt: skip


def end_server(server: str) -> None:
    """Stop a server and wait until nothing of it is left. One that has ended already is no error."""
    if not server:
        return
    try:
        for _ in client.stop(server):
            pass
    except JobError:
        return


def _attach(job_id: str, language: str) -> list[Any]:
    return [_menu(servers(), job_id), *_look_again(job_id, language)]


def _menu(known: list[tuple[str, str]], job_id: str) -> Any:
    return gr.update(choices=known, value=job_id or None, visible=bool(known))


def _look_again(job_id: str, language: str) -> list[Any]:
    words, again_in_s = look(job_id, language)
    return [words, gr.Timer(again_in_s or WATCH_LOADING_S, active=again_in_s is not None)]


# ---- the talk


def _connect_talk(studio: Studio, form: Form, controls: Controls) -> None:
    names = ["default_system", "do_sample", "temperature", "top_p", "top_k", "max_new_tokens"]

    async def answer(
        request: gr.Request, message: str, history: list[Any], server: str, *sampling: Any
    ) -> AsyncIterator[list[Any]]:
        language = text.language(request)
        if not (message or "").strip():
            yield [gr.skip(), gr.skip()]
            return
        turns = [*plain_history(history), {"role": "user", "content": message.strip()}]
        yield ["", turns]
        said = ""
        try:
            async for said in answers(form, turns, server, dict(zip(names, sampling, strict=True)), language):
                yield [gr.skip(), [*turns, {"role": "assistant", "content": said}]]
        except UserError as error:
            gr.Warning(str(error), title=text.t("say.chat.trouble", language))
            if not said:
                yield [message, turns[:-1]]

    inputs = [controls.message, controls.chatbot, controls.server, *(form.fields[name] for name in names)]
    talking = gr.on(
        [controls.message.submit, controls.send.click], answer, inputs, [controls.message, controls.chatbot],
        show_progress="hidden", concurrency_limit=None, api_visibility="private",
    )  # fmt: skip
    talking.then(plain_history, controls.chatbot, controls.kept, **QUIET)
    stopped = controls.stop.click(None, None, None, cancels=[talking], api_visibility="private")
    stopped.then(plain_history, controls.chatbot, controls.kept, **QUIET)
    emptied = [controls.chatbot, controls.kept]
    controls.clear.click(lambda: ([], []), None, emptied, cancels=[talking], **QUIET)
    studio.demo.load(plain_history, controls.kept, controls.chatbot, **QUIET)


async def answers(
    form: Form, turns: list[dict[str, str]], server: str, sampling: dict[str, Any], language: str
) -> AsyncIterator[str]:
    """The answer so far, again and again while it grows. Raises UserError where there is nobody to ask."""
    endpoint = client.endpoint(server) if server else None
    if endpoint is None:
        raise UserError(text.t("say.chat.nobody", language))
    options = checked_sampling(form, sampling)
    system = str(sampling.get("default_system") or "").strip()
    messages = [{"role": "system", "content": system}] if system else []
    said, shown, shown_at = "", "", 0.0
    async for piece in stream_answer(
        endpoint.url, endpoint.key, [*messages, *turns], model=endpoint.model, **options
    ):
        said += piece
        # Each update carries the whole conversation: one a token would keep the page from hearing Stop.
        if time.monotonic() - shown_at >= SHOW_EVERY_S:
            shown, shown_at = said, time.monotonic()
            yield said
    if said != shown:
        yield said


def checked_sampling(form: Form, sampling: dict[str, Any]) -> dict[str, Any]:
    """The sampling fields as a request carries them, checked by the schema. Raises ArgError."""
    given = {"model_name_or_path": "any", **form.mapping(sampling)}
    generation = load_mapping(form.command, given).args.generation
    return {
        "temperature": generation.temperature if generation.do_sample else 0.0,
        "top_p": generation.top_p,
        "top_k": generation.top_k,
        "max_tokens": generation.max_new_tokens,
    }


def plain_history(history: list[Any] | None) -> list[dict[str, str]]:
    """The conversation as the server wants it: roles and text."""
    turns = []
    for turn in history or []:
        content = turn["content"]
        if isinstance(content, list):
            content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
        turns.append({"role": str(turn["role"]), "content": str(content)})
    return turns
