"""The routes the page polls, over a real job store and real run directories."""

from __future__ import annotations

import json
from pathlib import Path

from fastapi.testclient import TestClient

from tests.webui.conftest import make_run


def test_the_list_is_empty_before_the_first_run(studio: TestClient) -> None:
    assert studio.get("/studio/api/jobs").json() == {"jobs": []}


def test_the_list_shows_runs_and_filters_by_state(studio: TestClient, workdir: Path) -> None:
    make_run(workdir, "good", steps=3)
    make_run(workdir, "bad", exit_code=1, reason="out of memory")
    jobs = {job["id"]: job for job in studio.get("/studio/api/jobs").json()["jobs"]}
    assert {name: job["state"] for name, job in jobs.items()} == {"good": "succeeded", "bad": "failed"}
    assert "out of memory" in jobs["bad"]["reason"]
    only = studio.get("/studio/api/jobs", params={"state": "failed"}).json()["jobs"]
    assert [job["id"] for job in only] == ["bad"]


def test_a_tail_goes_on_where_the_last_one_ended(studio: TestClient, workdir: Path) -> None:
    run = make_run(workdir, "a", steps=5)
    first = studio.get("/studio/api/jobs/a/tail").json()
    assert first["reset"]
    assert [point["current_steps"] for point in first["metrics"]] == [1, 2, 3, 4, 5]
    assert first["log"].count("\n") == 5
    with open(run / "log.txt", "a") as log, open(run / "trainer_log.jsonl", "a") as metrics:
        log.write("step 6\n")
        metrics.write(json.dumps({"current_steps": 6, "loss": 0.1}) + "\n")
    offsets = {"log": first["log_offset"], "metrics": first["metrics_offset"]}
    second = studio.get("/studio/api/jobs/a/tail", params=offsets).json()
    assert (second["reset"], second["log"]) == (False, "step 6\n")
    assert [point["current_steps"] for point in second["metrics"]] == [6]


def test_a_run_without_metrics_does_not_start_anew_at_each_poll(studio: TestClient, workdir: Path) -> None:
    run = make_run(workdir, "a")
    (run / "log.txt").write_text("loading\n")
    first = studio.get("/studio/api/jobs/a/tail").json()
    again = studio.get("/studio/api/jobs/a/tail", params={"log": first["log_offset"], "metrics": 0}).json()
    assert (again["reset"], again["log"]) == (False, "")


def test_an_unknown_job_is_said_in_a_sentence(studio: TestClient) -> None:
    for method, path in (
        ("GET", ""),
        ("GET", "/tail"),
        ("POST", "/stop"),
        ("POST", "/resume"),
        ("DELETE", ""),
    ):
        reply = studio.request(method, f"/studio/api/jobs/nope{path}")
        assert reply.status_code == 409
        assert "nope" in reply.json()["error"]


def test_delete_removes_the_folder_and_the_row(studio: TestClient, workdir: Path) -> None:
    run = make_run(workdir, "a", steps=1)
    assert studio.get("/studio/api/jobs/a").json()["state"] == "succeeded"
    assert studio.delete("/studio/api/jobs/a").json() == {"removed": "a", "folder_deleted": True}
    assert not run.exists()
    assert studio.get("/studio/api/jobs/a").status_code == 409


def test_meters_are_percentages_and_bytes(studio: TestClient) -> None:
    meters = studio.get("/studio/api/meters").json()
    assert 0 <= meters["cpu"] <= 100
    assert 0 < meters["memory"]["used"] < meters["memory"]["total"]
    assert isinstance(meters["gpus"], list)


def test_actions_need_the_studios_own_page(studio: TestClient, workdir: Path) -> None:
    run = make_run(workdir, "a", steps=1)
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "", "origin": "http://evil.example"},
    ):
        assert studio.delete("/studio/api/jobs/a", headers=headers).status_code == 403
    assert run.exists()


def test_what_became_of_the_rows_is_told_once_it_is_known(studio: TestClient, workdir: Path) -> None:
    run = make_run(workdir, "a", steps=1)
    assert studio.get("/studio/api/jobs/a/data").json() == {}
    (run / "data_report.json").write_text('{"datasets": [')  # half written
    assert studio.get("/studio/api/jobs/a/data").json() == {}
    (run / "data_report.json").write_text('{"datasets": [{"name": "faq", "read": 3}]}')
    assert studio.get("/studio/api/jobs/a/data").json()["datasets"][0]["read"] == 3
    assert studio.get("/studio/api/jobs/nope/data").status_code == 409
