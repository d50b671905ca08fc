"""Files that cannot be read, or not as a whole: encodings, torn JSON, ragged CSV, cut binary files."""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

from tests.data.faults import Fault, bad_rows

CUT_OFF = "the file ends in the middle of a row; it was cut off (a copy or download that did not finish?)"
SUFFIXES = ".json, .jsonl, .csv, .tsv, .parquet, .arrow, .txt"
FIRST_TEN = [
    f'row {number}, column "output": is empty: there would be nothing to learn' for number in range(1, 11)
]

ENCODINGS = [
    Fault("latin1.json", "DIR/latin1.json: line 2, byte 23 is not UTF-8 (0xe9); save the file as UTF-8"),
    Fault(
        "latin1_line.jsonl",
        bad_rows(
            "latin1_line.jsonl", 2, "row 2: byte 21 is not UTF-8 (0xe9); save the file as UTF-8", used=1
        ),
    ),
    Fault(
        "utf16.csv",
        "DIR/utf16.csv is UTF-16, expected UTF-8; convert it: iconv -f UTF-16 -t UTF-8 utf16.csv > new_file",
    ),
    Fault(
        "nul_bytes.jsonl",
        bad_rows(
            "nul_bytes.jsonl",
            2,
            "row 2: holds NUL bytes: the file was torn by a crash, or is not text",
            used=1,
        ),
    ),
    Fault(
        "half_character.json",
        bad_rows("half_character.json", 1, 'row 1, column "output": holds half a character (\\ud83d) at 7'),
    ),
]

JSON = [
    Fault("torn_list.json", "DIR/torn_list.json: line 3, column 33: " + CUT_OFF),
    Fault("long_torn.json", "DIR/long_torn.json: line 2, column 5000037: " + CUT_OFF),
    Fault("missing_comma.json", "DIR/missing_comma.json is not JSON: line 2, column 27: Expecting ',' delimiter"),
    Fault("trailing_comma.json", "DIR/trailing_comma.json is not JSON: line 3, column 1: Expecting value; a comma stands before the ]"),
    Fault(
        "single_quotes.json",
        "DIR/single_quotes.json is not JSON: line 1, column 3: Expecting property name enclosed in double quotes; "
        "JSON has double quotes",
    ),
    Fault(
        "torn_lines.jsonl",
        bad_rows(
            "torn_lines.jsonl", 4,
            "row 2: column 35: Expecting value; the line ends in the middle of a row",
            "row 3: column 16: Expecting ':' delimiter",
            used=2,
        ),
    ),
    Fault("empty.json", "DIR/empty.json is empty"),
    Fault("empty_list.json", "dataset d: DIR/empty_list.json holds no rows"),
    Fault("a_number.json", "DIR/a_number.json: expected a list of rows, or one object per line, found a number"),
    Fault("web_page.json", "DIR/web_page.json is a web page or XML, not data; the download gave a page instead of the file"),
    Fault("lfs_pointer.json", "DIR/lfs_pointer.json is a Git LFS pointer, not the data itself; run git lfs pull where it was cloned"),
    Fault("deep_list.json", "DIR/deep_list.json: nested too deeply to be a dataset"),
    Fault("deep_row.json", "DIR/deep_row.json: nested too deeply to be a dataset"),
    Fault("deep_line.jsonl", bad_rows("deep_line.jsonl", 2, "row 2: nested too deeply to be a row", used=1)),
    Fault(
        "duplicate_key.jsonl", bad_rows("duplicate_key.jsonl", 2, 'row 2: the key "output" stands twice', used=1)
    ),
    Fault(
        "rows_are_texts.json",
        bad_rows(
            "rows_are_texts.json", 2,
            "row 1: is text, expected an object with named columns",
            "row 2: is text, expected an object with named columns",
        ),
    ),
]  # fmt: skip

TABLES = [
    Fault(
        "ragged.csv",
        bad_rows(
            "ragged.csv", 3,
            "row 3: has 3 cells, the header names 2 columns",
            'row 4: has 1 cell, the header names 2 columns',
            used=1,
        ),
    ),
    Fault(
        "unclosed_quote.csv",
        "DIR/unclosed_quote.csv: line 3: a quote opens here and is not closed before the end of the file",
    ),
    Fault("header_only.csv", "dataset d: DIR/header_only.csv holds no rows"),
    Fault(
        "same_header_twice.csv",
        'DIR/same_header_twice.csv: line 1: the column "output" stands twice in the header',
    ),
    Fault(
        "cut.parquet",
        "DIR/cut.parquet: not a readable parquet file: Parquet magic bytes not found in footer. Either the file "
        "is corrupted or this is not a parquet file.",
    ),
    Fault(
        "text.parquet",
        "DIR/text.parquet: not a readable parquet file: Parquet magic bytes not found in footer. Either the file "
        "is corrupted or this is not a parquet file.",
    ),
    Fault("cut.arrow", "DIR/cut.arrow: not a readable arrow file: Not an Arrow file"),
    Fault(
        "cut.jsonl.gz",
        "DIR/cut.jsonl.gz: not a whole gzip file: Compressed file ended before the end-of-stream marker was reached",
    ),
    Fault(
        "not_gzip.jsonl.gz", "DIR/not_gzip.jsonl.gz: not a whole gzip file: Not a gzipped file (b'{\"')"
    ),
]  # fmt: skip

PLACES = [
    Fault("nothing.json", "dataset d in DIR/dataset_info.json: no such file DIR/nothing.json"),
    Fault(
        "nothing-*.jsonl",
        f"dataset d in DIR/dataset_info.json: no {SUFFIXES} file matches DIR/nothing-*.jsonl",
        name="glob_without_match",
    ),
    Fault("notes", f"dataset d in DIR/dataset_info.json: the folder DIR/notes holds no {SUFFIXES} file"),
    Fault(
        "a_folder.json",
        f"dataset d in DIR/dataset_info.json: the folder DIR/a_folder.json holds no {SUFFIXES} file",
    ),
    Fault(
        "program.exe",
        f"dataset d in DIR/dataset_info.json: program.exe is of a kind that is not read; use {SUFFIXES} (text also as .gz)",
    ),
    Fault("disk_error.json", "DIR/disk_error.json cannot be read: Input/output error"),
]

HOW_MANY = [
    Fault(
        "two_in_a_hundred.jsonl",
        "dataset d: 2 of 100 rows cannot be used\n"
        '  DIR/two_in_a_hundred.jsonl, row 99, column "output": is empty: there would be nothing to learn\n'
        '  DIR/two_in_a_hundred.jsonl, row 100, column "output": is empty: there would be nothing to learn\n'
        "max_bad_rows=0.01 allows 1: mend these rows, or set max_bad_rows=2 to go on without them",
    ),
    Fault(
        "all_bad.jsonl",
        bad_rows("all_bad.jsonl", 25, *FIRST_TEN)
        .replace("dataset d: 10 of", "dataset d: 25 of")
        .replace("\nno row is left", "\n  ... and 15 more\nno row is left"),
        arguments={"max_bad_rows": 25},
    ),
]

FAULTS = [*ENCODINGS, *JSON, *TABLES, *PLACES, *HOW_MANY]
