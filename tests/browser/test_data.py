"""One sitting on the Data page: upload a CSV with columns of its own, say what they mean, see what is learnt,
register it, train on it. A tiny random model, a real worker, a real run.

Try: pytest tests/browser/test_data.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.browser.conftest import StudioProcess
from tests.browser.test_one_sitting import fill, finish, ready

ANSWERS = [
    "We are open from nine to five.",
    'Choose "Forgot",\nthen follow the mail.',
    "Unter <b>Konto</b> 😀.",
]
QUESTIONS = ["When are you open?", "How do I reset, step by step, my password?", "Wo ist die Rechnung?"]
REGISTER = '{\n  // kept by hand\n  "_note": "ours",\n  "other": {"file_name": "other.json"} /* mine */\n}\n'


def write_files(folder: Path) -> Path:
    """A dataset folder with a register that a person has written in, and the file to upload."""
    mine = folder / "mine"
    mine.mkdir()
    (mine / "dataset_info.json").write_text(REGISTER)
    (mine / "other.json").write_text(json.dumps([{"instruction": "x", "input": "", "output": ""}]))
    rows = [("Frage des Kunden", "Sprache", "Unsere Antwort")]
    rows += [(question, "en", answer) for question, answer in zip(QUESTIONS, ANSWERS, strict=True)]
    quoted = (",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    file = folder / "Fragen & Antworten.csv"
    file.write_text("\r\n".join(quoted), encoding="utf-8-sig")
    return file


def learnt(page: Any, row: int) -> str:
    """The text of a row's learnt tokens, as the page shows them."""
    tokens = page.locator(".td-view .td-row").nth(row).locator(".tok[data-learn]")
    return "".join(tokens.evaluate_all("found => found.map(token => token.textContent)"))


def choose(page: Any, field: str, value: str) -> None:
    """Type into a field with suggestions, and close them."""
    page.fill(field, value)
    page.press(field, "Escape")


def test_from_a_csv_to_a_finished_run(
    open_page: Any, studio_process: StudioProcess, tiny_random: Path
) -> None:
    folder = studio_process.folder
    file = write_files(folder)
    page = open_page("#data")
    page.wait_for_selector("[data-dataset=identity]")
    page.fill("#td-dataset_dir", "mine")
    page.wait_for_selector("[data-dataset=other]")

    # Upload: what it is, is found out; what was found can be changed, and the example follows.
    page.click("#td-add")
    page.set_input_files("#td-file", file)
    page.wait_for_selector("#td-column-response")
    assert page.locator(".td-drop").inner_text().startswith("Fragen_Antworten.csv")
    page.select_option("#td-column-prompt", "Frage des Kunden")
    page.select_option("#td-column-query", "")
    page.select_option("#td-column-response", "Sprache")
    page.locator(".td-example .turn.assistant p", has_text="en").first.wait_for()
    page.select_option("#td-column-response", "Unsere Antwort")
    page.locator(".td-example .turn.assistant p", has_text="nine to five").wait_for()

    # What the model sees: the learnt tokens are the answers and the stop, nothing else.
    choose(page, "#td-new-model_name_or_path", str(tiny_random))
    page.wait_for_selector(".td-preview[data-state=ready]:not(.busy) .tok[data-learn]")
    for row, answer in enumerate(ANSWERS):
        assert learnt(page, row) == f"{answer}<|im_end|>"
    rendered = "".join(page.locator(".td-row").first.locator(".tok").all_text_contents())
    assert rendered.startswith(
        f"<|im_start|>user\n{QUESTIONS[0]}<|im_end|>\n<|im_start|>assistant\n{ANSWERS[0]}"
    )
    assert page.locator(".td-view b", has_text="Konto").count() == 0  # data is text, never markup

    # Shorter: a border says where it is cut.
    page.fill("#td-new-cutoff_len", "40")
    page.locator(".td-cut", has_text="40").first.wait_for()
    assert page.locator(".td-row").first.locator(".tok:not(.cut .tok)").count() == 40
    page.fill("#td-new-cutoff_len", "512")
    page.locator(".td-cut").first.wait_for(state="detached")

    # Register: a taken name is refused beside its field, a free one is added, and nothing else is touched.
    page.fill("#td-name", "other")
    page.click("#td-register")
    page.locator("#td-name-error", has_text="other").wait_for()
    page.fill("#td-name", "faq")
    page.click("#td-register")
    page.wait_for_selector("[data-dataset=faq] [aria-current]")
    written = (folder / "mine" / "dataset_info.json").read_text()
    for kept in ("// kept by hand", '"_note": "ours"', "/* mine */"):
        assert kept in written
    assert list((folder / "saves" / ".studio" / "uploads").rglob("*.csv")) == []

    # It is open now; its raw rows, its lengths.
    page.wait_for_selector(".td-preview[data-state=ready]:not(.busy) .tok[data-learn]")
    assert learnt(page, 0) == f"{ANSWERS[0]}<|im_end|>"
    page.click("#td-tab-rows")
    page.wait_for_selector(".td-raw tbody tr")
    assert page.locator(".td-raw tbody td[data-column=Sprache]").all_inner_texts() == ["en"] * 3
    page.click("#td-tab-lengths")
    page.wait_for_selector(".td-histogram .bin")
    page.click("#td-tab-problems")
    page.locator(".td-problems.good").wait_for()

    # Train on it.
    page.evaluate("() => window.tunesmith.go('train')")
    ready(page)
    fill(page, "train-model_name_or_path", str(tiny_random))
    page.evaluate("() => window.tunesmith.go('data')")
    page.click("#td-train")
    page.locator("#train-command pre", has_text="--dataset faq").wait_for()
    assert "--dataset_dir mine" in page.inner_text("#train-command pre")
    page.click("#train-section\\.optimizer button")
    fill(page, "train-max_steps", "3")
    page.click("#ts-start")
    finish(page, "train")
    (report,) = folder.glob("saves/*/lora/*/data_report.json")
    assert '"faq"' in report.read_text()


def test_a_bad_row_is_shown_with_its_place_and_its_text(
    open_page: Any, studio_process: StudioProcess, tiny_random: Path
) -> None:
    mine = studio_process.folder / "mine"
    mine.mkdir()
    lines = [json.dumps({"instruction": f"q{n}", "output": f"a{n}"}) for n in range(1, 40)]
    lines[6] = '{"instruction": "q7", "output": "torn'
    lines[8] = json.dumps({"instruction": "the ninth", "output": 9})
    (mine / "rows.jsonl").write_text("\n".join(lines))
    (mine / "dataset_info.json").write_text('{"rows": {"file_name": "rows.jsonl"}}')
    page = open_page("#data")
    page.wait_for_selector("[data-dataset=identity]")
    page.fill("#td-dataset_dir", "mine")
    page.wait_for_selector("[data-dataset=rows]")
    choose(page, "#td-model_name_or_path", str(tiny_random))
    page.click("#td-tab-problems")
    page.wait_for_selector(".td-problems tbody tr")
    rows = page.locator(".td-problems tbody tr td:nth-child(2)").all_inner_texts()
    assert rows == ["7", "9"]
    page.locator(".td-problems tbody tr .td-link", has_text="9").click()
    page.locator(".td-beside dd", has_text="the ninth").wait_for()

    # The keyboard alone: from the tabs to the raw rows, and a search.
    page.focus("#td-tab-problems")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#td-tab-rows").get_attribute("aria-selected") == "true"
    page.wait_for_selector(".td-raw tbody tr")
    page.fill(".td-raw input[type=search]", "q39")
    page.wait_for_function("() => document.querySelectorAll('.td-raw tbody tr').length === 1")
    assert page.locator(".td-raw td.number").inner_text() == "39"

    # A token tells its id to the keyboard too.
    page.keyboard.press("Shift+Tab")
    page.focus("#td-tab-rows")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(".td-preview[data-state=ready]:not(.busy) .td-tokens")
    page.locator(".td-tokens").first.focus()
    assert page.locator(".td-row .td-info").first.inner_text().startswith("Token 1 · id ")
    page.keyboard.press("ArrowRight")
    assert page.locator(".td-row .td-info").first.inner_text().startswith("Token 2 · id ")


def test_a_look_from_the_train_form_and_from_an_address(
    open_page: Any, studio_process: StudioProcess, tiny_random: Path
) -> None:
    mine = studio_process.folder / "mine"
    mine.mkdir()
    (mine / "rows.json").write_text('[{"instruction": "q", "output": "a"}, [1, 2]]')
    long_name = "a_name_that_is_much_longer_than_the_list_is_wide_" * 2
    files = {name: {"file_name": "rows.json"} for name in ("first", "second", long_name)}
    (mine / "dataset_info.json").write_text(json.dumps(files))
    page = open_page("?dataset=second&dataset_dir=mine#data")
    page.locator(".td-view h2", has_text="second").wait_for()
    page.reload()
    page.locator(".td-view h2", has_text="second").wait_for()

    # Of a long list, the part with the open dataset is shown.
    many = {f"other_{n}": {"file_name": "rows.json"} for n in range(40)}
    (mine / "dataset_info.json").write_text(json.dumps(many | files))
    page.reload()
    page.wait_for_selector("[data-dataset=other_39]")
    page.wait_for_function("() => document.querySelector('.td-datasets').scrollTop > 0")

    # A long name scrolls nothing out of sight.
    page.click(f"[data-dataset={long_name}] button")
    assert page.locator(".td-datasets").evaluate("list => list.scrollWidth - list.clientWidth") == 0
    page.click("[data-dataset=second] button")
    page.click("#td-tab-rows")
    page.wait_for_selector(".td-raw td.td-bad-row[colspan]")  # a list is no record: it has no columns

    # From the form: the dataset that is chosen there; the address follows.
    page.click("#td-train")
    page.locator("#train-command pre", has_text="--dataset second").wait_for()
    assert "dataset=" not in page.url
    page.evaluate("() => window.tunesmith.go('data')")
    page.click("[data-dataset=first] button")
    page.evaluate("() => window.tunesmith.go('train')")
    page.click("#train-dataset .ts-look")
    page.locator(".td-view h2", has_text="second").wait_for()
    assert "dataset=second" in page.url

    # Another language while a file is being added: its words change, what was said stays.
    file = write_files_to_add(studio_process.folder)
    page.click("#td-add")
    page.set_input_files("#td-file", file)
    page.fill("#td-name", "kept")
    page.select_option("#td-column-query", "Sprache")
    page.evaluate("() => import('./studio/static/text.js').then(text => text.switchLanguage('zh'))")
    page.locator(".td-adding h2", has_text="数据集").wait_for()
    assert page.input_value("#td-name") == "kept"
    assert page.input_value("#td-column-query") == "Sprache"

    # A file that nothing can be read of: what is wrong, and no columns to fill in.
    broken = studio_process.folder / "broken.json"
    broken.write_text('[{"instruction": "a", "output": "b"}, {"instr')
    page.set_input_files("#td-file", broken)
    page.locator("#td-file-error", has_text="broken.json").wait_for()
    assert page.locator("#td-register").count() == 0


def write_files_to_add(folder: Path) -> Path:
    file = folder / "add.csv"
    file.write_text("Frage,Sprache,Antwort\nWo?,de,Hier.\nWann?,de,Jetzt.\n", encoding="utf-8")
    return file
