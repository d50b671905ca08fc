"""Loss curves as PNG files. Imported only where `plot_loss` asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def plot_losses(
    root: Path, history: Sequence[dict[str, Any]], keys: Sequence[str] = ("loss", "eval_loss")
) -> list[Path]:
    """Draw `training_KEY.png` for each key that has at least two points in the log history. Returns the
    files.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    written = []
    for key in keys:
        points = [(entry["step"], entry[key]) for entry in history if key in entry]
        if len(points) < 2:
            continue
        xs, ys = [step for step, _ in points], [value for _, value in points]
        figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
        axes.plot(xs, ys, color="#7aa2d6", alpha=0.5, linewidth=1, label="logged")
        axes.plot(xs, smoothed(ys), color="#1f5fae", linewidth=2, label="smoothed")
        axes.set(xlabel="step", ylabel=key)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
        path = root / f"training_{key}.png"
        figure.savefig(path, dpi=120)
        pyplot.close(figure)
        written.append(path)
    return written


def smoothed(values: Sequence[float], *, keep: float = 0.8) -> list[float]:
    """Exponential moving average without a bias towards the first point: each value is divided by its
    weight.
    """
    result, average, weight = [], 0.0, 0.0
    for value in values:
        average, weight = keep * average + (1 - keep) * value, keep * weight + (1 - keep)
        result.append(average / weight)
    return result
