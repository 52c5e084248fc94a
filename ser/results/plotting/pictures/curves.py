"""Learning curves: losses and validation scores over the epochs."""

from matplotlib.figure import Figure

from ser.results.plotting.style import MANY_TRAININGS, curves_of, drawn, learning_curves
from ser.results.records.result import Source

ORDER = 60


def fits(source: Source) -> bool:
    return source.is_summary and bool(curves_of(source.records))


def draw(source: Source, metric: str) -> Figure:
    return learning_curves(source.result, source.path)


def words(source: Source, metric: str) -> str:
    curves = curves_of(source.records)
    lengths = [len(values) for values in next(iter(curves.values()))]
    ends = {name.replace("_", " "): drawn(runs) for name, runs in curves.items()}
    last = ", ".join(f"{name} {line[-1]:.3f} (epoch {len(line)})" for name, line in ends.items())
    what = "median" if len(lengths) > MANY_TRAININGS else "mean"
    epochs = f"{min(lengths)} to {max(lengths)}" if min(lengths) < max(lengths) else str(lengths[0])
    best = sorted(r["best_epoch"] for r in source.records if r.get("best_epoch") is not None)
    picked = f"; chosen epochs {best[0]} to {best[-1]}" if best else ""
    return f"{len(lengths)} trainings of {epochs} epochs{picked}. Where the line of the {what} ends: {last}."
