"""Pictures: what is drawn is what the summary says, and nothing is cut off or lies over something else."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ser.cli import cli
from ser.errors import ConfigError
from ser.metadata.labels import CANONICAL
from ser.registry import load
from ser.results.plotting import fewshot_curves, style
from ser.results.records.result import Source

Write = Callable[..., tuple[Path, dict[str, Any]]]
Simulate = Callable[..., pd.DataFrame]


def _boxes(figure: Figure, texts: list[Any]) -> list[Any]:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    return [t.get_window_extent(renderer) for t in texts if t.get_text()]


def _inside(figure: Figure) -> bool:
    """Whether all that is drawn, labels and titles too, lies within the picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = figure.get_tightbbox(canvas.get_renderer())  # in inches
    width, height = figure.get_size_inches()
    return bool(drawn.x0 >= -0.01 and drawn.y0 >= -0.01 and drawn.x1 <= width + 0.01 and drawn.y1 <= height + 0.01)


@pytest.mark.parametrize("classes", [["a", "b"], list(CANONICAL[:4]), list(CANONICAL)])
def test_confusion_cells(tmp_path: Path, write_experiment: Write, simulate: Simulate, classes: list[str]) -> None:
    frame = simulate(classes=classes, a_speaker=60, runs=2)
    _, summary = write_experiment(tmp_path, "a-name-" * 12, frame=frame)
    figure = style.confusion_matrix(summary)
    axes = figure.axes[0]
    counts = np.array(summary["confusion_matrix"]["counts"])
    cells = [text.get_text().split("\n") for text in axes.texts]
    assert [int(cell[1]) for cell in cells] == counts.ravel().tolist()
    share = 100 * counts / counts.sum(1, keepdims=True)
    assert [cell[0] for cell in cells] == [f"{value:.0f} %" for value in share.ravel()]
    assert [t.get_text() for t in axes.get_yticklabels()] == classes
    assert _inside(figure)
    boxes = _boxes(figure, list(axes.texts))
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_a_class_without_utterances_is_marked(tmp_path: Path, write_experiment: Write, simulate: Simulate) -> None:
    _, summary = write_experiment(tmp_path, frame=simulate().assign(p_fear=np.float32(0)))
    figure = style.confusion_matrix(summary)
    assert [t.get_text() for t in figure.axes[0].texts][-5:] == ["none"] * 5


@pytest.mark.parametrize("shares", [(0, 10, 20, 50), (0, 1, 2, 5, 10, 20, 50, 100), (10,)])
def test_fewshot_curve(
    tmp_path: Path, write_experiment: Write, simulate_fewshot: Simulate, shares: tuple[float, ...]
) -> None:
    _, summary = write_experiment(tmp_path, frame=simulate_fewshot(shares, a_speaker=6))
    figure = fewshot_curves.fewshot_curve(summary, "WA")
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    means = [part["pooled"]["WA"]["mean"] for part in summary["percentages"].values()]
    curve = next(line for label, line in lines.items() if str(label).endswith("target data"))
    assert np.asarray(curve.get_ydata()).tolist() == means
    assert np.asarray(curve.get_xdata()).tolist() == [s for s in shares if s]
    if 0 in shares:
        zero = next(line for label, line in lines.items() if "zero-shot" in str(label))
        assert np.asarray(zero.get_ydata())[0] == summary["source"]["zero_shot"]["pooled"]["WA"]["mean"]
    assert _inside(figure)
    boxes = _boxes(figure, list(axes.get_xticklabels()))
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_fewshot_curve_shows_scores_where_an_interval_is_wider_than_they_can_be(
    tmp_path: Path, write_experiment: Write, simulate_fewshot: Simulate
) -> None:
    _, summary = write_experiment(tmp_path, frame=simulate_fewshot(runs=3))
    next(iter(summary["percentages"].values()))["pooled"]["UA"]["ci_95"] = [-1.5, 2.0]
    low, high = fewshot_curves.fewshot_curve(summary).axes[0].get_ylim()
    assert low == pytest.approx(0, abs=0.05)
    assert high == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_fewshot_curve_of_few_runs_has_no_interval(
    tmp_path: Path, write_experiment: Write, simulate_fewshot: Simulate, runs: int
) -> None:
    _, summary = write_experiment(tmp_path, frame=simulate_fewshot(runs=runs))
    figure = fewshot_curves.fewshot_curve(summary)
    assert bool(figure.axes[0].collections) == (runs > 2)
    assert ("95 % intervals" in figure.get_suptitle()) == (runs > 2)


def test_fewshot_curve_shows_chance_of_ua_alone(
    tmp_path: Path, write_experiment: Write, simulate_fewshot: Simulate
) -> None:
    _, summary = write_experiment(tmp_path, frame=simulate_fewshot())
    figure = fewshot_curves.fewshot_curve(summary)
    assert _inside(figure)
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    assert np.unique(np.asarray(lines["chance, 0.250"].get_ydata())).tolist() == [1 / 4]
    assert not any(
        "chance" in str(line.get_label()) for line in fewshot_curves.fewshot_curve(summary, "WA").axes[0].lines
    )


@pytest.mark.parametrize("runs", [3, 12])
def test_the_words_of_learning_curves_are_where_their_lines_end(
    tmp_path: Path, write_experiment: Write, simulate: Simulate, runs: int
) -> None:
    """Six trainings are drawn with their mean, 24 with their median."""
    path, summary = write_experiment(tmp_path, frame=simulate(runs=runs, a_speaker=4))
    figure = style.learning_curves(summary, path)
    words = load("ser.results.plotting.pictures", "curves").words(Source(path, summary), "UA")
    assert ("the median" if runs == 12 else "the mean") in words
    named = [line for axes in figure.axes for line in axes.lines if not str(line.get_label()).startswith("_")]
    assert len(named) == 3
    for line in named:
        ends = np.asarray(line.get_ydata(), dtype=float)
        assert f"{line.get_label()} {ends[-1]:.3f} (epoch {len(ends)})" in words


def test_learning_curves_show_every_run(tmp_path: Path, write_experiment: Write) -> None:
    path, summary = write_experiment(tmp_path)
    figure = style.learning_curves(summary, path)
    losses, scores = figure.axes
    assert (losses.get_ylabel(), scores.get_ylabel()) == ("loss", "score")
    assert len(scores.lines) == len(summary["runs"]) + 1
    assert len(losses.lines) == 2 * (len(summary["runs"]) + 1)
    assert _inside(figure)


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_plot_writes_the_same_bytes_without_a_display(
    tmp_path: Path, write_experiment: Write, monkeypatch: pytest.MonkeyPatch, ending: str, magic: bytes
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    path, _ = write_experiment(tmp_path / "results")
    outputs = []
    for name in ("one", "two"):
        output = tmp_path / f"{name}.{ending}"
        result = CliRunner().invoke(cli, ["results", "plot", str(path), "--output", str(output)])
        assert result.exit_code == 0, result.output
        outputs.append(output.read_bytes())
    assert outputs[0].startswith(magic)
    assert outputs[0] == outputs[1]


def test_plot_into_the_results_folder(tmp_path: Path, write_experiment: Write) -> None:
    write_experiment(tmp_path / "results", "v1.2-mlp")
    result = CliRunner().invoke(cli, ["results", "plot", "v1.2", "--kind", "curves", "--workspace", str(tmp_path)])
    assert result.exit_code == 0
    assert (tmp_path / "results" / "v1.2-mlp.curves.png").stat().st_size > 1000
    assert str(mpl.get_backend()).lower() != "tkagg"


def test_refused(tmp_path: Path, write_experiment: Write) -> None:
    path, summary = write_experiment(tmp_path)
    with pytest.raises(ConfigError, match="no few-shot result"):
        fewshot_curves.fewshot_curve(summary)
    with pytest.raises(ConfigError, match=r"\.png, \.svg, \.pdf"):
        style.save(style.confusion_matrix(summary), tmp_path / "x.jpg")
    (tmp_path / summary["runs"][0]["record"]).unlink()
    with pytest.raises(ConfigError, match="cannot read the record"):
        style.learning_curves(summary, path)
