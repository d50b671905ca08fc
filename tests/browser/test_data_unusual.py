"""The Data page away from the smooth path: other kinds of files, the keyboard alone, two tabs, answers
that come late, a studio that dies under the open page.

Try: pytest tests/browser/test_data_unusual.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import StudioProcess

READY = ".td-preview[data-state=ready]:not(.busy) .tok[data-learn]"
ROWS = [{"instruction": f"question {n}", "output": f"answer {n}"} for n in range(1, 13)]


def write_folder(folder: Path, names: tuple[str, ...] = ("first", "second")) -> None:
    """The dataset folder `mine`: each dataset says its own name in every row."""
    mine = folder / "mine"
    mine.mkdir()
    for name in names:
        rows = [{"instruction": f"{name} {n}", "output": f"{name} answer {n}"} for n in range(1, 13)]
        (mine / f"{name}.json").write_text(json.dumps(rows))
    register = {name: {"file_name": f"{name}.json"} for name in names}
    (mine / "dataset_info.json").write_text(json.dumps(register))


def write_upload(folder: Path, kind: str) -> Path:
    file = folder / f"upload.{kind}"
    if kind == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        table = pyarrow.table({"ask": ["q1", "q2", "q3"], "reply": ["a1", "a2", "a3"]})
        parquet.write_table(table, file)
    elif kind == "jsonl":
        turns = [
            [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}"}]
            for n in (1, 2, 3)
        ]
        file.write_text("\n".join(json.dumps({"messages": messages}) for messages in turns))
    else:
        file.write_text("a1 is the first line\na2 is the second\n")
    return file


def open_with_model(open_page: Any, model: Path, path: str = "?dataset_dir=mine#data") -> Any:
    page = open_page(path)
    page.wait_for_selector("#td-model_name_or_path")
    page.wait_for_selector(".td-datasets button[aria-current]")
    page.fill("#td-model_name_or_path", str(model))
    page.press("#td-model_name_or_path", "Escape")
    page.wait_for_selector(READY)
    return page


def focused(page: Any) -> Any:
    """What a person at the keyboard is told: the element's id, role and name, and whether the focus shows."""
    return page.evaluate(
        """() => {
            const at = document.activeElement;
            const shown = at.closest(".td-drop") ?? at;
            const style = getComputedStyle(shown);
            const name = at.getAttribute("aria-label") ?? at.labels?.[0]?.textContent ?? at.textContent;
            return { id: at.id, tag: at.localName, role: at.getAttribute("role"), name: name.trim(),
                     className: at.className,
                     ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 };
        }"""
    )


def tab_to(page: Any, wanted: str, key: str = "Tab") -> None:
    """Press `key` until `wanted` has the keyboard; each stop on the way has a name and a ring."""
    for _ in range(60):
        page.keyboard.press(key)
        at = focused(page)
        if page.evaluate("() => document.activeElement.closest('tune-data') !== null"):
            assert at["name"], at
            assert at["ring"], at
        if page.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
            return
    raise AssertionError(f"the keyboard does not reach {wanted}; it is at {focused(page)}")


def test_other_kinds_of_files_are_registered_and_trained_on(
    open_page: Any, studio_process: StudioProcess, tiny_random: Path
) -> None:
    write_folder(studio_process.folder)
    page = open_with_model(open_page, tiny_random)
    expected = {"parquet": ("alpaca", "a1"), "jsonl": ("openai", "a1"), "txt": ("text", "a1 is")}
    for kind, (formatting, shown) in expected.items():
        page.click("#td-add")
        page.set_input_files("#td-file", write_upload(studio_process.folder, kind))
        page.wait_for_selector("#td-formatting")
        assert page.input_value("#td-formatting") == formatting
        if kind == "parquet":
            page.select_option("#td-column-prompt", "ask")
            page.select_option("#td-column-response", "reply")
        page.locator(".td-example", has_text=shown).first.wait_for()
        page.fill("#td-name", f"of_{kind}")
        page.click("#td-register")
        page.wait_for_selector(f"[data-dataset=of_{kind}] [aria-current]")
        page.wait_for_function("() => document.activeElement.closest('[data-dataset]') !== null")
        page.click("#td-train")
        page.locator("#train-command pre", has_text=f"--dataset of_{kind}").wait_for()
        assert "--dataset_dir mine" in page.inner_text("#train-command pre")
        page.evaluate("() => window.tunesmith.go('data')")
        page.wait_for_selector("#td-add")


def test_the_keyboard_alone(open_page: Any, studio_process: StudioProcess, tiny_random: Path) -> None:
    write_folder(studio_process.folder)
    page = open_with_model(open_page, tiny_random)
    page.focus("#td-add")
    tab_to(page, "[data-dataset=second] button")
    page.keyboard.press("Enter")
    page.locator(".td-view h2", has_text="second").wait_for()
    page.wait_for_selector(READY)
    tab_to(page, "#td-train")
    tab_to(page, "#td-tab-tokens")
    for name in (
        "model_name_or_path",
        "template",
        "cutoff_len",
        "enable_thinking",
        "packing",
        "mask_history",
    ):
        tab_to(page, f"#td-{name}")

    # The pager keeps the keyboard where one of its ends is reached.
    tab_to(page, ".td-pager button")
    page.keyboard.press("Enter")
    page.locator(".td-where", has_text="6").wait_for()
    page.keyboard.press("Enter")
    page.locator(".td-where", has_text="12").wait_for()
    assert focused(page)["className"] == "td-button"
    page.keyboard.press("Enter")
    page.locator(".td-where", has_text="6").wait_for()

    # The focus alone shows a token's id.
    tab_to(page, ".td-tokens")
    said = page.locator(".td-row .td-info").first
    assert said.inner_text().startswith("Token 1 · id ")
    page.keyboard.press("ArrowRight")
    assert said.inner_text().startswith("Token 2 · id ")

    # The views: each tab names its panel.
    page.focus("#td-tab-tokens")
    page.keyboard.press("End")
    assert page.locator("#td-tab-problems").get_attribute("aria-selected") == "true"
    assert page.locator("#td-panel").get_attribute("aria-labelledby") == "td-tab-problems"
    page.locator(".td-problems.good").wait_for()
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(".td-histogram .bin")
    bins = page.get_by_role("list", name="Rows by length in tokens").get_by_role("listitem")
    assert "tokens: " in bins.first.get_attribute("aria-label")
    page.keyboard.press("Home")
    assert page.locator("#td-tab-tokens").get_attribute("aria-controls") == "td-panel"

    # Adding: Escape leaves an empty panel, not one in which something has been said.
    page.focus("#td-add")
    page.keyboard.press("Enter")
    assert focused(page)["id"] == "td-file"
    page.keyboard.press("Escape")
    page.wait_for_selector(".td-adding", state="detached")
    assert focused(page)["id"] == "td-add"
    page.keyboard.press("Enter")
    page.set_input_files("#td-file", write_upload(studio_process.folder, "parquet"))
    page.wait_for_selector("#td-formatting")
    page.focus("#td-file")
    for wanted in ("#td-formatting", "#td-column-prompt", "#td-column-response"):
        tab_to(page, wanted)
    page.keyboard.press("Escape")
    page.select_option("#td-column-prompt", "ask")
    page.select_option("#td-column-response", "reply")
    page.locator(".td-example", has_text="a1").first.wait_for()
    tab_to(page, "#td-name")
    page.keyboard.type("typed")
    tab_to(page, "#td-register")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-dataset=typed] [aria-current]:focus")


def test_escape_closes_the_row_beside_a_problem(
    open_page: Any, studio_process: StudioProcess, tiny_random: Path
) -> None:
    write_folder(studio_process.folder)
    (studio_process.folder / "mine" / "first.json").write_text(json.dumps([*ROWS, [1, 2]]))
    page = open_with_model(open_page, tiny_random)
    page.click("#td-tab-problems")
    page.wait_for_selector(".td-problems tbody .td-link")
    page.focus(".td-problems tbody .td-link")
    page.keyboard.press("Enter")
    page.locator(".td-beside .td-record").wait_for()
    tab_to(page, ".td-beside")
    page.keyboard.press("Escape")
    assert not page.locator(".td-beside").is_visible()
    assert focused(page)["className"] == "td-link"


def test_two_tabs_show_two_datasets(open_page: Any, studio_process: StudioProcess, tiny_random: Path) -> None:
    write_folder(studio_process.folder)
    one = open_with_model(open_page, tiny_random, "?dataset=first&dataset_dir=mine#data")
    two = open_with_model(open_page, tiny_random, "?dataset=second&dataset_dir=mine#data")
    for page in (one, two):
        page.fill("#td-cutoff_len", "77" if page is one else "99")
    for page, name, cutoff in ((one, "first", "77"), (two, "second", "99")):
        page.locator(".td-pager button").last.click()
        page.locator(".td-where", has_text="6").wait_for()
        shown = page.locator(".td-tokens").first.inner_text()
        assert f"{name} answer 6" in shown
        page.reload()
        page.locator(".td-view h2", has_text=name).wait_for()
        assert page.input_value("#td-cutoff_len") == cutoff


def test_an_answer_that_comes_late_is_not_painted(
    open_page: Any, studio_process: StudioProcess, tiny_random: Path
) -> None:
    write_folder(studio_process.folder)
    page = open_with_model(open_page, tiny_random, "?dataset=first&dataset_dir=mine#data")
    held: list[Any] = []
    page.route("**/studio/api/data/preview", lambda route: route.continue_() if held else held.append(route))
    with page.expect_request("**/studio/api/data/preview"):
        page.fill("#td-cutoff_len", "512")
    page.locator(".td-where", has_text="Reading").wait_for()  # slow: the rows stay, and a word says so
    assert page.locator(".td-tokens").count() == 5
    page.click("[data-dataset=second] button")
    page.locator(
        ".td-preview .td-nothing", has_text="Reading"
    ).wait_for()  # at once, where there is nothing yet
    page.evaluate(
        """() => { window.painted = []; new MutationObserver(() => painted.push(
            document.querySelector('.td-rows').textContent)).observe(
            document.querySelector('.td-preview'), {childList: true, subtree: true}); }"""
    )
    held[0].continue_()
    page.locator(".td-tokens", has_text="second answer 1").first.wait_for()
    assert not [text for text in page.evaluate("() => painted") if "first answer" in text]
    assert page.inner_text(".td-preview .td-nothing") == ""


def test_a_file_chosen_in_place_of_another_one_wins(
    open_page: Any, studio_process: StudioProcess, tiny_random: Path
) -> None:
    write_folder(studio_process.folder)
    page = open_with_model(open_page, tiny_random)
    held: list[Any] = []
    page.route("**/uploads?name=upload.txt", lambda route: held.append(route))
    page.click("#td-add")
    with page.expect_request("**/uploads?name=upload.txt"):
        page.set_input_files("#td-file", write_upload(studio_process.folder, "txt"))
    page.set_input_files("#td-file", write_upload(studio_process.folder, "jsonl"))
    page.locator(".td-example", has_text="a1").first.wait_for()
    with page.expect_request(lambda request: request.method == "DELETE"):
        held[0].continue_()
    assert page.input_value("#td-formatting") == "openai"
    assert page.locator(".td-drop").inner_text().startswith("upload.jsonl")


def test_the_page_outlives_a_studio_that_was_killed(
    open_page: Any, studio_process: StudioProcess, tiny_random: Path
) -> None:
    write_folder(studio_process.folder)
    page = open_with_model(open_page, tiny_random, "?dataset=second&dataset_dir=mine#data")
    studio_process.kill()
    page.click("[data-dataset=first] button")
    page.locator(".td-preview .note.bad:not([hidden])").wait_for()
    page.click("#td-tab-rows")
    page.locator(".td-raw .note.bad:not([hidden])").wait_for()
    page.fill("#td-dataset_dir", "mine ")
    page.locator("#td-dataset_dir-error:not([hidden])").wait_for()
    assert page.locator("[data-dataset]").count() == 2  # what was read stays
    studio_process.start()
    page.locator("#td-dataset_dir-error").wait_for(state="hidden")
    page.locator(".td-view h2", has_text="first").wait_for()
    page.wait_for_selector(".td-raw tbody tr")
    page.click("#td-tab-tokens")
    page.locator(".td-tokens", has_text="first answer 1").first.wait_for()
    page.locator(".td-preview .note.bad").wait_for(state="hidden")


def test_a_page_first_opened_while_the_studio_is_away_catches_up(
    open_page: Any, studio_process: StudioProcess, tiny_random: Path
) -> None:
    page = open_page("#train")
    page.fill("#train-model_name_or_path input", str(tiny_random))
    page.press("#train-model_name_or_path input", "Tab")
    page.locator("#train-command pre", has_text=str(tiny_random)).wait_for()
    studio_process.kill()
    page.evaluate("() => window.tunesmith.go('data')")
    page.locator("#td-dataset_dir-error:not([hidden])").wait_for()
    assert page.inner_text(".td-left .td-nothing") == ""  # not "no datasets": nobody knows
    studio_process.start()
    page.wait_for_selector("[data-dataset=identity]")
    page.wait_for_function("() => document.querySelector('#td-model_name_or_path')?.value !== ''")
