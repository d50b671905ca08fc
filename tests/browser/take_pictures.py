"""The pictures of docs/images: a real studio with a real run of the demo, in every look.

Not a test. Try: python -m tests.browser.take_pictures
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import BROWSER_ARGS, BROWSER_NAMES, StudioProcess, stop_all_jobs

REPO = Path(__file__).resolve().parents[2]
IMAGES = REPO / "docs" / "images"
DESKTOP = {"viewport": {"width": 1440, "height": 1000}}
LOOKS = {
    "light": {**DESKTOP, "locale": "en-US", "color_scheme": "light"},
    "dark": {**DESKTOP, "locale": "en-US", "color_scheme": "dark"},
    "zh": {**DESKTOP, "locale": "zh-CN", "color_scheme": "light"},
    "390": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "locale": "en-US"},
}

ENOUGH_TO_SEE = """tab => {
    const head = document.querySelector(`tune-run[tab=${tab}] .eta`)?.textContent ?? "";
    const evaluated = document.querySelector(`tune-run[tab=${tab}] .legend .eval`);
    return evaluated && Number(head.split("/")[0].replace(/\\D/g, "")) >= 160;
}"""


def main() -> None:
    """Start a run that lasts long enough, and take every page in every look while it goes on."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    path = next(found for name in BROWSER_NAMES if (found := shutil.which(name)))
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        folder = Path(name)
        (folder / "data").symlink_to(REPO / "data")
        arguments = (REPO / "examples" / "demo.yaml").read_text()
        (folder / "demo.yaml").write_text(re.sub(r"num_train_epochs: .*", "num_train_epochs: 20", arguments))
        studio = StudioProcess(folder, "--start", "demo.yaml")
        studio.start()
        browser = driver.chromium.launch(executable_path=path, args=BROWSER_ARGS)
        try:
            for look, options in LOOKS.items():
                for tab in ("train", "jobs"):
                    take(browser, studio, tab, look, options)
                take_data(browser, studio, look, options)
        finally:
            browser.close()
            studio.interrupt()
            stop_all_jobs(folder)


def take(browser: Browser, studio: StudioProcess, tab: str, look: str, options: dict) -> None:
    """One picture, with the run on screen where the page has room for it."""
    page = browser.new_context(**options).new_page()
    page.goto(f"{studio.url}?job={studio.job_id}#{tab}")
    page.wait_for_function(ENOUGH_TO_SEE, arg=tab, timeout=180_000)
    page.wait_for_timeout(1500)  # the meters and the first paint of the fonts
    if look == "390" and tab == "train":
        page.locator("tune-run[tab=train]").scroll_into_view_if_needed()
        page.wait_for_timeout(300)
    page.screenshot(path=IMAGES / f"{tab}_{look}.png")
    page.context.close()


def take_data(browser: Browser, studio: StudioProcess, look: str, options: dict) -> None:
    """What the model sees of the conversations, short enough that some are cut and some share a sequence."""
    page = browser.new_context(**options).new_page()
    page.goto(f"{studio.url}#data")
    page.click("[data-dataset=chat_demo] button", timeout=60_000)
    page.wait_for_selector(".td-preview[data-state=ready]:not(.busy) .tok", timeout=60_000)
    page.fill("#td-cutoff_len", "224")
    page.check("#td-packing")
    page.wait_for_selector(".td-pack .td-cut")
    page.locator(".td-row").first.locator(".tok[data-learn]").nth(4).hover()
    if look == "390":
        page.locator(".td-view").scroll_into_view_if_needed()
        page.evaluate("() => document.querySelector('.td-side').scrollIntoView()")
    page.wait_for_timeout(1500)
    page.screenshot(path=IMAGES / f"data_{look}.png")
    page.context.close()


if __name__ == "__main__":
    main()
