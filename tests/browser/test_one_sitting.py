"""One sitting in the browser: train, chat with the result, evaluate it, export it, chat with the export.

The tiny model and real jobs; only the training is cut short. Takes about a minute, most of it imports.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WAIT_MS = 180_000


def ready(page: Any) -> None:
    """The forms are restored: from now on an edit counts."""
    page.wait_for_function("() => window.tunesmith_form?.shown_job('train') != null", timeout=WAIT_MS)


def go(page: Any, tab: str) -> None:
    page.click(f"#ts-nav [role=tab][data-tab-id={tab}]")
    page.wait_for_selector(f"#{tab}-model_name_or_path input")


def fill(page: Any, field: str, value: str) -> None:
    """Type into a field and wait until the previewed command says so."""
    box = page.locator(f"#{field} input")
    box.fill(value)
    box.press("Tab")
    tab, _, name = field.partition("-")
    page.locator(f"#{tab}-command pre", has_text=f"--{name} {value}").wait_for(timeout=WAIT_MS)


def finish(page: Any, tab: str) -> None:
    """Wait until the run view says how the run ended, and want it well."""
    page.wait_for_function(
        "tab => ['succeeded', 'failed', 'stopped', 'lost'].includes(window.tunesmith.state(tab))",
        arg=tab,
        timeout=WAIT_MS,
    )
    assert page.evaluate("tab => window.tunesmith.state(tab)", tab) == "succeeded"


def ask(page: Any, question: str) -> str:
    """Load what the Chat form says, ask, unload; the answer."""
    page.click("#ts-chat-load")
    page.wait_for_selector("#chat-status [data-state=ready]", timeout=WAIT_MS)
    page.fill("#chat-message textarea", question)
    page.click("#ts-chat-send")
    bot = page.locator("#chat-messages [data-testid=bot]").last
    bot.wait_for(timeout=WAIT_MS)
    page.wait_for_function(
        "() => document.querySelector('#chat-messages [data-testid=bot]')?.textContent.trim().length > 3",
        timeout=WAIT_MS,
    )
    answer: str = bot.inner_text()
    page.click("#ts-chat-unload")
    page.wait_for_selector("#chat-status [data-state=unloaded]", timeout=WAIT_MS)
    page.click("#ts-chat-clear")
    page.locator("#chat-messages [data-testid=bot]").wait_for(state="detached")
    return answer


def test_train_chat_evaluate_export_chat(open_page: Any, studio_process: Any):
    folder: Path = studio_process.folder
    page = open_page()
    ready(page)

    page.click("#train-section\\.optimizer button")
    fill(page, "train-max_steps", "12")
    page.click("#ts-start")
    finish(page, "train")
    (run,) = [path.parent for path in folder.glob("saves/*/lora/*/adapter_config.json")]

    page.click("#ts-next-chat")
    adapter = str(run.relative_to(folder))
    page.locator("#chat-command pre", has_text=adapter).wait_for(timeout=WAIT_MS)
    assert len(ask(page, "who are you?")) > 3

    go(page, "train")
    page.click("#ts-next-evaluate")
    page.locator("#evaluate-command pre", has_text=adapter).wait_for(timeout=WAIT_MS)
    fill(page, "evaluate-max_samples", "4")
    page.click("#ts-evaluate-start")
    finish(page, "evaluate")
    page.wait_for_selector("#evaluate-results [data-metric=eval_loss]")
    assert page.locator("#evaluate-results .ts-predictions tbody tr").count() == 4

    go(page, "train")
    page.click("#ts-next-export")
    page.locator("#export-command pre", has_text=adapter).wait_for(timeout=WAIT_MS)
    page.click("#ts-export-start")
    finish(page, "export")
    (found,) = folder.glob("saves/*/export/*/all_results.json")
    assert json.loads(found.read_text())["verified"] is True

    page.click("#ts-export-chat")
    page.locator("#chat-command pre", has_text="saves/exports/merged").wait_for(timeout=WAIT_MS)
    assert "--adapter_name_or_path" not in page.inner_text("#chat-command pre")
    assert len(ask(page, "who are you?")) > 3
