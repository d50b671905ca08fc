"""The plain routes that the page's script polls: jobs, the tail of one job, actions on it, meters.

JSON over engine.jobs.client; no Gradio, and no state but which stops are under way. Routes are plain
functions, so the framework runs each in a worker thread. Try: curl -s http://127.0.0.1:7860/studio/api/jobs
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from engine.errors import JobError, UserError
from engine.jobs import client
from engine.paths import RunPaths

log = logging.getLogger(__name__)


class Stops:
    """Stops that this process is carrying out. One takes as long as a checkpoint takes to save, so it runs
    beside the
    request that asked for it; its phase is in the job store, where every viewer reads it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[str] = set()

    def begin(self, job_id: str, *, now: bool) -> None:
        """Start stopping. A second request does nothing, unless it says `now`, which hurries the first."""
        with self._lock:
            if job_id in self._running and not now:
                return
            self._running.add(job_id)
        threading.Thread(target=self._run, args=(job_id, now), name=f"stop-{job_id}", daemon=True).start()

    def _run(self, job_id: str, now: bool) -> None:
        try:
            for phase in client.stop(job_id, now=now):
                log.info("stop of %s: %s %s", job_id, phase.name, phase.detail)
        except UserError as error:
            # It ended by itself in the meantime: nothing is left to stop.
            log.info("stop of %s: %s", job_id, error)
        finally:
            with self._lock:
                self._running.discard(job_id)


def build_router() -> APIRouter:
    """Routes under /studio/api. One router a studio: it carries that studio's stops."""
    router = APIRouter(prefix="/studio/api")
    stops = Stops()
    # The load is measured from one reading to the next of the same thread; the first only sets the mark.
    one_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="meters", initializer=client.meters)

    @router.get("/jobs")
    def list_jobs(limit: int = 200, state: str | None = None) -> dict[str, Any]:
        return {"jobs": [job.to_json() for job in client.list_jobs(limit=limit, state=state)]}

    @router.get("/jobs/{job_id}")
    def get_job(job_id: str) -> dict[str, Any]:
        return client.get(job_id).to_json()

    @router.get("/jobs/{job_id}/tail")
    def tail(job_id: str, log: int = 0, metrics: int = 0) -> dict[str, Any]:
        """What was added since the two byte offsets. From 0: the last part of the log, and the metrics
        thinned out.
        """
        return client.tail(job_id, log, metrics).to_json()

    @router.get("/jobs/{job_id}/data")
    def data_report(job_id: str) -> dict[str, Any]:
        """What became of the rows; empty until the run has read them."""
        return read_data_report(Path(client.get(job_id).run_dir))

    @router.post("/jobs/{job_id}/stop", status_code=202)
    def stop(job_id: str, now: bool = False) -> dict[str, Any]:
        """Begin to stop; the phases show in the job. `now` gives up on saving."""
        job = client.get(job_id)  # an unknown job is refused here, not in the thread
        stops.begin(job_id, now=now)
        return job.to_json()

    @router.post("/jobs/{job_id}/resume")
    def resume(job_id: str) -> dict[str, Any]:
        return client.resume(job_id).to_json()

    @router.delete("/jobs/{job_id}")
    def remove(job_id: str) -> dict[str, Any]:
        """Delete the run. `folder_deleted` is false where its folder lies outside the saves folder and was
        left alone.
        """
        return {"removed": job_id, "folder_deleted": client.remove(job_id)}

    @router.get("/meters")
    async def read_meters() -> dict[str, Any]:
        return await asyncio.get_running_loop().run_in_executor(one_thread, client.meters)

    return router


def read_data_report(run_dir: Path) -> dict[str, Any]:
    """data_report.json of a run; {} where there is none, or one that cannot be read."""
    try:
        found = json.loads(RunPaths(run_dir).data_report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def error_handlers() -> dict[type[Exception], Callable[[Request, Exception], JSONResponse]]:
    """A mistake is answered with its sentence: 409 where the job cannot be moved as asked (or is unknown),
    else 400.
    """

    def answer(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=409 if isinstance(error, JobError) else 400)

    return {UserError: answer, JobError: answer}
