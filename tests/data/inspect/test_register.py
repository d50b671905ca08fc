"""Registering adds one entry and changes no other byte, whoever else is writing."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.inspect.register import insert, register, suggest_name
from engine.data.registry.jsonc import strip_comments
from engine.errors import ArgError, DataError
from tests.data.support import alpaca

INFO = Path("dataset_info.json")
ENTRY = {"file_name": "rows.json"}

COMMENTED = """{
  // our own
  "first": {
    "file_name": "a.json"  /* "not": "a key" */
  },

  "second": {"file_name": "b.json"} // the last, { with a brace
  /* the end, */
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.json").write_text(json.dumps(alpaca(3)))
    return tmp_path


def lines_only_added(before: bytes, after: bytes) -> bool:
    """Every byte of `before` is in `after`, in its order."""
    rest = iter(after)
    return all(byte in rest for byte in before)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{\n  "new": {\n    "file_name": "rows.json"\n  }\n}'),
        ("{ }\n", '{\n  "new": {\n    "file_name": "rows.json"\n  }\n}\n'),
        ('{"a": {"file_name": "x"}}', '{"a": {"file_name": "x"}, "new": {"file_name": "rows.json"}}'),
        (
            '{\n\t"a": {\n\t\t"file_name": "x"\n\t}\n}',
            '{\n\t"a": {\n\t\t"file_name": "x"\n\t},\n\t"new": {\n\t\t"file_name": "rows.json"\n\t}\n}',
        ),
        (
            '{\r\n    "a": {\r\n        "file_name": "x"\r\n    }\r\n}\r\n',
            '{\r\n    "a": {\r\n        "file_name": "x"\r\n    },\r\n    "new": {\r\n        "file_name": '
            '"rows.json"\r\n    }\r\n}\r\n',
        ),
        (
            '{\n  "a": {"file_name": "x"}\n}\n',
            '{\n  "a": {"file_name": "x"},\n  "new": {"file_name": "rows.json"}\n}\n',
        ),
    ],
)
def test_written_as_its_neighbours_are(before: str, after: str) -> None:
    assert insert(before.encode(), "new", ENTRY, path=INFO).decode() == after


def test_comments_order_and_mark_stay() -> None:
    before = b"\xef\xbb\xbf" + COMMENTED.encode()
    after = insert(before, "new", ENTRY, path=INFO)
    assert lines_only_added(before, after) and after.startswith(b"\xef\xbb\xbf{")
    text = after.decode("utf-8-sig")
    assert text.index("the end, */") < text.index('"new"')
    assert list(json.loads(strip_comments(text))) == ["first", "second", "new"]


def test_overwriting_replaces_one_value() -> None:
    after = insert(COMMENTED.encode(), "first", ENTRY, path=INFO, overwrite=True).decode()
    head, tail = COMMENTED.split('"first": ')
    assert after.startswith(head) and after.endswith(tail[tail.index(',\n\n  "second"') :])
    assert json.loads(strip_comments(after))["first"] == ENTRY


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | names, lambda inner: st.dictionaries(names, inner, max_size=3)
)


@given(
    info=st.dictionaries(names, st.dictionaries(names, values, max_size=3), max_size=4),
    indent=st.sampled_from([None, 1, 2, 4, "\t"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    ascii_only=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_what_was_there_reads_the_same(
    info: dict[str, Any], indent: int | str | None, newline: str, ascii_only: bool
) -> None:
    info.pop("new", None)
    text = json.dumps(info, indent=indent, ensure_ascii=ascii_only).replace("\n", newline) + newline
    after = insert(text.encode(), "new", ENTRY, path=INFO)
    assert json.loads(after) == {**info, "new": ENTRY} and list(json.loads(after)) == [*info, "new"]
    assert lines_only_added(text.replace("{}", "").encode(), after)


def test_a_first_dataset_makes_the_file(folder: Path) -> None:
    done = register(str(folder), "mine", {"file_name": "rows.json"})
    assert done == {"name": "mine", "entry": ENTRY, "file": str(folder / "rows.json")}
    assert json.loads((folder / INFO).read_text()) == {"mine": ENTRY}
    assert sorted(path.name for path in folder.iterdir()) == ["dataset_info.json", "rows.json"]


def test_a_taken_name_is_refused_unless_it_is_to_be_replaced(folder: Path) -> None:
    register(str(folder), "mine", ENTRY)
    with pytest.raises(ArgError, match=r"mine is registered in .* already"):
        register(str(folder), "mine", {**ENTRY, "num_samples": 1})
    register(str(folder), "mine", {**ENTRY, "num_samples": 1}, overwrite=True)
    assert json.loads((folder / INFO).read_text())["mine"]["num_samples"] == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "is empty"),
        ("a,b", "holds ','"),
        ("../x", "holds '/'"),
        ("_x", "must begin"),
        ("a\nb", "holds '.n'"),
    ],
)
def test_unfit_names(folder: Path, name: str, said: str) -> None:
    with pytest.raises(ArgError, match=said) as caught:
        register(str(folder), name, ENTRY)
    assert caught.value.problems[0].field == "name" and not (folder / INFO).exists()


@pytest.mark.parametrize("where", ["ONLINE", "REMOTE:a/b", "nowhere", '{"a": 1}'])
def test_only_folders_have_a_register(where: str) -> None:
    with pytest.raises(ArgError) as caught:
        register(where, "mine", ENTRY)
    assert caught.value.problems[0].field == "dataset_dir"


def test_an_entry_that_fits_no_row_is_refused_and_nothing_stays(folder: Path, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("up") / "new.json"
    elsewhere.write_text(json.dumps(alpaca(2)))
    with pytest.raises(DataError, match='no column "reply"'):
        register(str(folder), "mine", {"columns": {"response": "reply"}}, source_path=str(elsewhere))
    assert [path.name for path in folder.iterdir()] == ["rows.json"]


def test_a_file_from_elsewhere_is_copied_under_a_free_name(folder: Path, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("up") / "rows.json"
    elsewhere.write_text(json.dumps(alpaca(2)))
    outside = tmp_path_factory.mktemp("target") / "victim"
    os.symlink(outside, folder / "rows_2.json")
    done = register(str(folder), "mine", {}, source_path=str(elsewhere))
    assert done["entry"] == {"file_name": "rows_3.json"}
    assert (folder / "rows_3.json").read_bytes() == elsewhere.read_bytes()
    assert not outside.exists() and json.loads((folder / "rows.json").read_text()) == alpaca(3)


def test_a_file_of_the_folder_is_not_copied(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "x y.json").write_text(json.dumps(alpaca(2)))
    done = register(str(folder), "mine", {}, source_path=str(folder / "sub" / "x y.json"))
    assert done["entry"] == {"file_name": "sub/x y.json"}


def test_odd_file_names_become_plain_ones(folder: Path, tmp_path_factory: Any) -> None:
    odd = tmp_path_factory.mktemp("up") / "..; rm -rf $HOME é 数据.json"
    odd.write_text(json.dumps(alpaca(2)))
    done = register(str(folder), "mine", {}, source_path=str(odd))
    assert done["entry"]["file_name"] == "rm_-rf_HOME_é_数据.json"


def test_the_link_to_a_register_stays_a_link_and_its_mode_stays(folder: Path, tmp_path_factory: Any) -> None:
    real = tmp_path_factory.mktemp("real") / "info.json"
    real.write_text("{}")
    real.chmod(0o640)
    (folder / INFO).symlink_to(real)
    register(str(folder), "mine", ENTRY)
    assert (folder / INFO).is_symlink() and json.loads(real.read_text()) == {"mine": ENTRY}
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_broken_register_is_not_touched(folder: Path) -> None:
    (folder / INFO).write_text('{"a": }')
    with pytest.raises(DataError, match="line 1, column 7"):
        register(str(folder), "mine", ENTRY)
    assert (folder / INFO).read_text() == '{"a": }'


def _register_many(folder: str, prefix: str) -> None:
    for number in range(8):
        register(folder, f"{prefix}{number}", ENTRY)


def test_two_that_register_at_once_lose_nothing(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_register_many, args=(str(folder), prefix)) for prefix in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(json.loads((folder / INFO).read_text())) == 24


def test_an_edit_without_our_lock_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.data.inspect import register as module

    (folder / INFO).write_text("{}")
    once = iter([True])

    def meddling(content: bytes, *args: Any, **options: Any) -> bytes:
        if next(once, False):
            (folder / INFO).write_text('{"theirs": {"file_name": "rows.json"}}')
        return insert(content, *args, **options)

    monkeypatch.setattr(module, "insert", meddling)
    register(str(folder), "mine", ENTRY)
    assert list(json.loads((folder / INFO).read_text())) == ["theirs", "mine"]


def test_suggested_names_are_fit_and_new(folder: Path) -> None:
    register(str(folder), "my_rows", ENTRY)
    assert suggest_name("/x/my rows.v2.csv", folder) == "my_rows_2"
    assert suggest_name("???.csv", folder) == "dataset"
    assert suggest_name("rows.jsonl.gz") == "rows"
