"""One sitting in a real browser with a real training: edit, preview, start, reload, restart the studio,
stop, delete.

Try: pytest tests/browser/test_shell.py
"""

from __future__ import annotations

import json
import threading
import urllib.request
from pathlib import Path

import psutil

from tests.browser.conftest import StudioProcess, wait_until

TAB = "#ts-nav [role=tab][data-tab-id={}]"
RUN = "tune-run[tab={}]"


def last_step(page, tab: str = "train") -> int:
    """The step in the head of the run on screen: "1,230 / 9,000 · 2m left" -> 1230."""
    text = page.locator(f"{RUN.format(tab)} .eta").inner_text()
    done = text.split("/")[0].split("·")[-1].strip().replace(",", "")
    return int(done) if done.isdigit() else 0


def wait_for_step(page, step: int) -> None:
    page.wait_for_function(
        """step => {
            const text = document.querySelector("tune-run[tab=train] .eta")?.textContent ?? "";
            const match = text.match(/([\\d,]+) \\/ [\\d,]+ ·/);
            return match && Number(match[1].replace(/,/g, "")) >= step;
        }""",
        arg=step,
    )


def wait_for_state(page, state: str, tab: str = "train") -> None:
    page.wait_for_selector(f"{RUN.format(tab)} .pill.{state}")


def test_a_run_from_start_to_stop(open_page, studio_process: StudioProcess, tiny_random: Path) -> None:
    page = open_page()

    # Edit: the preview follows.
    model = page.locator("#train-model_name_or_path input")
    model.fill(str(tiny_random))
    model.press("Enter")
    page.locator("#train-num_train_epochs input, #train-num_train_epochs textarea").first.fill("500")
    page.locator(
        "#train-per_device_train_batch_size input, #train-per_device_train_batch_size textarea"
    ).first.fill("1")
    page.wait_for_function("() => document.body.innerText.includes('--num_train_epochs 500')")

    # Start: the run is on screen, in the address, and its log moves.
    page.locator("#ts-start").click()
    wait_for_state(page, "running")
    wait_for_step(page, 20)
    job_id = page.evaluate("() => new URL(location.href).searchParams.get('job')")
    assert job_id
    assert page.locator("tune-run[tab=train] .log > div").count() > 2
    assert float(page.locator("tune-run[tab=train] .tile").first.locator("b").inner_text()) > 0

    # Reload: the same run with its whole history, and the form as it was.
    page.reload()
    wait_for_state(page, "running")
    assert page.locator("tune-run[tab=train] .log > div").first.inner_text() != ""
    page.wait_for_function("() => document.body.innerText.includes('--num_train_epochs 500')")

    # The studio dies: the page says so, the run goes on, and a new studio is taken up without a reload.
    before = last_step(page)
    studio_process.kill()
    page.wait_for_selector("tune-run[tab=train] .run-head .pill.lost:not([hidden])")
    studio_process.start()
    page.wait_for_selector("tune-run[tab=train] .run-head .pill.lost", state="hidden")
    wait_for_step(page, before + 10)

    # Stop: through its phases to the end, with a way to go on.
    page.locator("#ts-stop").click()
    wait_for_state(page, "stopped")
    assert page.locator("tune-run[tab=train] .note button").inner_text() == "Resume"

    # The job list has it; deleting asks first.
    page.locator(TAB.format("jobs")).click()
    row = page.locator("tune-jobs tbody tr")
    row.wait_for()
    assert row.count() == 1
    row.locator(".act.delete").click()
    page.locator("dialog.ts-dialog button", has_text="Keep it").click()
    assert row.count() == 1
    row.locator(".act.delete").click()
    page.locator("dialog.ts-dialog button.danger").click()
    page.wait_for_selector("tune-jobs .empty h3")
    assert not list((studio_process.folder / "saves").glob("*/*/*/job.json"))


def test_ctrl_c_while_data_is_looked_at_ends_in_order(studio_process: StudioProcess) -> None:
    """The first preview takes a second or two: the tokenizer is loaded for it."""
    question = {"dataset_dir": "data", "dataset": "identity", "model_name_or_path": "data/tiny-qwen3"}
    request = urllib.request.Request(
        f"{studio_process.url}studio/api/data/preview",
        data=json.dumps(question).encode(),
        headers={"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"},
    )
    answers: list[dict] = []

    def ask() -> None:
        with urllib.request.urlopen(request, timeout=60) as reply:
            answers.append(json.load(reply))

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: worker_of(studio_process) is not None, 30, "no worker was started")
    worker = worker_of(studio_process)
    assert studio_process.interrupt() in (0, 130)
    asking.join(timeout=20)
    # Answered in full, or told why not; never cut off.
    assert answers and ("rows" in answers[0] or "stopping" in answers[0]["error"])
    assert "Traceback" not in studio_process.output.read_text()
    assert worker is not None and not worker.is_running()


def worker_of(studio_process: StudioProcess) -> psutil.Process | None:
    """The process that answers the studio's questions about data."""
    assert studio_process.process is not None
    children = psutil.Process(studio_process.process.pid).children()
    return next((child for child in children if "engine.data.inspect.serve" in child.cmdline()), None)


def test_language_theme_and_address(open_page, studio_process: StudioProcess) -> None:
    page = open_page("#jobs")
    assert page.locator(TAB.format("jobs")).get_attribute("aria-selected") == "true"
    page.locator(TAB.format("train")).click()
    page.wait_for_function("() => location.hash === '#train'")

    # A language is switched without a reload, in what Gradio draws and in what we draw; it is remembered.
    page.evaluate("() => { window.still_here = true }")
    page.locator("tune-bar select").select_option("zh")
    page.wait_for_function("() => document.querySelector('[data-tab-id=train]').textContent === '训练'")
    assert page.evaluate("() => window.still_here")
    titles = (
        "() => [...document.querySelectorAll('#ts-nav > .tab-wrapper [role=tab]')].map(e => e.textContent)"
    )
    assert page.evaluate(titles) == [
        "训练",
        "任务",
        "对话",
        "评估",
        "导出",
        "数据",
    ]  # also of tabs never opened
    assert page.locator("tune-run[tab=train] .empty h3").inner_text() == "尚未打开任务"
    page.reload()
    page.wait_for_function("() => document.querySelector('[data-tab-id=train]')?.textContent === '训练'")
    assert page.locator("tune-bar select").input_value() == "zh"

    # So is the theme.
    page.locator("tune-bar button").click()
    assert page.evaluate("() => document.body.classList.contains('dark')")
    page.reload()
    page.wait_for_function("() => document.body.classList.contains('dark')")
    assert "__theme" not in page.url

    # Every tab opens; on a telephone nothing is wider than the screen.
    page.set_viewport_size({"width": 390, "height": 844})
    for tab in ("train", "jobs", "chat", "evaluate", "export", "data"):
        page.locator(TAB.format(tab)).click()
        page.wait_for_function("tab => location.hash === '#' + tab", arg=tab)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390, tab

    # Ctrl-C ends the studio in order.
    assert studio_process.interrupt() in (0, 130)
    assert "Traceback" not in studio_process.output.read_text()
