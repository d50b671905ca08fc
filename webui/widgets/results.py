"""What a finished run has to show: its metrics, the first of its predictions, and what was exported.

Reads the files of the run directory; draws nothing while they are missing.
Try: open a finished run on the Evaluate page
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.events import read_events
from engine.paths import RunPaths
from webui.form import number_text
from webui.text import t, table

PEEK_ROWS = 20
PEEK_BYTES = 400_000


def read_results(run: RunPaths) -> dict[str, Any]:
    """all_results.json as a flat mapping; empty where there is none yet."""
    try:
        results = json.loads(run.all_results.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return results if isinstance(results, dict) else {}


def read_predictions(run: RunPaths) -> list[dict[str, Any]]:
    """The first predictions of a run."""
    if not run.predictions.is_file():
        return []
    rows, _ = read_events(run.predictions, 0, limit=PEEK_BYTES)
    return rows[:PEEK_ROWS]


def metrics_html(results: Mapping[str, Any], language: str) -> str:
    """Figures with their names. One that is null could not be told as a number: infinite."""
    figures = "".join(
        f'<div data-metric="{html.escape(name)}"><dt>{html.escape(metric_label(name, language))}</dt>'
        f"<dd>{html.escape(show(value))}</dd></div>"
        for name, value in results.items()
        if value is None or (isinstance(value, (int, float, str)) and not isinstance(value, bool))
    )
    return f'<dl class="ts-figures">{figures}</dl>'


def predictions_html(rows: list[dict[str, Any]], language: str) -> str:
    """Prompt, expected answer and prediction side by side."""
    heads = "".join(f"<th>{html.escape(t(f'say.results.{name}', language))}</th>" for name in COLUMNS)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(row.get(name, '')))}</td>" for name in COLUMNS) + "</tr>"
        for row in rows
    )
    return (
        '<div class="ts-scroll"><table class="ts-table ts-predictions">'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


COLUMNS = ("prompt", "label", "predict")


def metric_label(name: str, language: str) -> str:
    """A metric in words, where we have them; else its own name."""
    return table(language).get(f"say.metric.{name}", name)


def show(value: Any) -> str:
    """A figure as people read it: four significant digits, whole numbers whole."""
    if value is None:
        return "∞"
    if isinstance(value, float) and not value.is_integer():
        return number_text(float(f"{value:.4g}"))
    return f"{int(value):,}" if isinstance(value, (int, float)) else str(value)


def evaluation_html(run_dir: Path | str, language: str) -> str:
    """Everything an evaluation has to show, or "" while there is nothing."""
    run = RunPaths(Path(run_dir))
    results, rows = read_results(run), read_predictions(run)
    parts = []
    if results:
        parts.append(
            f"<h3>{html.escape(t('say.results.metrics', language))}</h3>{metrics_html(results, language)}"
        )
    if rows:
        heading = html.escape(t("say.results.predictions", language, count=len(rows)))
        where = html.escape(str(run.predictions))
        parts.append(f"<h3>{heading}</h3>{predictions_html(rows, language)}")
        parts.append(f'<p class="ts-hint">{where}</p>')
    return "".join(parts)


def export_html(job: Any, language: str) -> str:
    """What an export wrote and how it was checked."""
    found = read_results(RunPaths(Path(job.run_dir)))
    where = html.escape(str(found.get("export_dir") or ""))
    verified = found.get("verified")
    heading = t("say.export.verified" if verified else "say.export.written", language)
    rest = {name: value for name, value in found.items() if name not in ("export_dir", "verified")}
    path = f'<p class="ts-path"><code>{where}</code></p>' if where else ""
    return f"<h3>{html.escape(heading)}</h3>{path}{metrics_html(rest, language)}"
