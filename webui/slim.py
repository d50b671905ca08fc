"""Make the page's configuration lighter: leave out what Gradio's front end takes as given when it is absent.

Gradio embeds one description a component in the page, most of it defaults, and things that only API clients
read. For two hundred fields that is a hundred kilobytes. What the browser needs is untouched: a test opens
every tab of the slimmed page.
Try: curl -s http://127.0.0.1:7860/ | wc -c
"""

from __future__ import annotations

import json
import re
from typing import Any

# For API clients and for pages that redraw components by key: the studio has neither.
FOR_CLIENTS = ("api_info", "api_info_as_input", "api_info_as_output", "example_inputs", "skip_api")
FOR_REDRAWING = ("preserved_by_key",)

# An HTML component's click event, which none of ours listens to.
DEFAULT_ON_LOAD = "element.addEventListener('click', function() { trigger('click') });"

# Properties that are false, or empty, when absent.
ABSENT_IS_FALSE = (
    "_selectable", "_retryable", "_undoable", "likeable", "streamable", "autofocus", "rtl", "submit_btn",
    "stop_btn", "show_progress", "equal_height", "render_children",
)  # fmt: skip
ABSENT_IS_NULL = (
    "api_description", "js_implementation", "event_specific_args", "show_progress_on", "time_limit",
    "render_id", "rendered_in", "trigger_after", "js",
)  # fmt: skip
ABSENT_IS_NO = (
    "trigger_only_on_success",
    "trigger_only_on_failure",
    "collects_event_data",
    "scroll_to_output",
    "batch",
    "component_prop_inputs",
)
FOR_SERVER = ("max_batch_size", "stream_every")  # fmt: skip


_CONFIG = re.compile(r"(window\.gradio_config = )(\{.*?\})(;</script>)", re.DOTALL)
_MARKER = (
    '\\"__type__\\": \\"translation_metadata\\", \\"key\\": ',
    '\\"__type__\\":\\"translation_metadata\\",\\"key\\":',
)


def slim_page(html: str) -> str:
    """`html` without what its configuration says twice (the layout of its only page, blanks), and without the
    texts, which come as a script.
    """
    found = _CONFIG.search(html)
    if found is None:
        return html
    config = json.loads(found[2])
    if "layout" not in config.get("page", {}).get("", {}):
        return html
    del config["layout"]  # the front end takes config.page[current page].layout
    config.pop("i18n_translations", None)  # static_files.texts_script: a file that the browser keeps
    packed = json.dumps(config, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return html[: found.start(2)] + packed.replace(*_MARKER) + html[found.end(2) :]


def slim_config(config: dict[str, Any]) -> None:
    """Lighten a Blocks' configuration, as `mount_gradio_app` has computed it, in place."""
    for component in config["components"]:
        _slim_component(component)
    for event in config["dependencies"]:
        for name in ABSENT_IS_NULL:
            if event.get(name, 0) is None:
                del event[name]
        for name in FOR_SERVER:
            event.pop(name, None)
        for name in ABSENT_IS_NO:
            if not event.get(name, True):
                del event[name]


def _slim_component(component: dict[str, Any]) -> None:
    for name in FOR_CLIENTS:
        component.pop(name, None)
    if component.get("key", 0) is None:
        del component["key"]
    # A hash by which the front end tells classes apart; the type does that too, as all of ours are Gradio's.
    component["component_class_id"] = component["type"]
    props = component["props"]
    if props.get("js_on_load") == DEFAULT_ON_LOAD:
        del props["js_on_load"]
    for name in FOR_REDRAWING:
        props.pop(name, None)
    for name in ABSENT_IS_FALSE:
        if props.get(name, 0) is False:
            del props[name]
    if props.get("elem_classes") == []:
        del props["elem_classes"]
    if component["type"] != "tabs":  # tabs and walkthroughs share a type and differ by name
        props.pop("name", None)
