"""Kinds of pictures: each plugin draws what the record says, whole; classes, speakers and bins are recomputed here."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy import stats
from sklearn.metrics import precision_recall_fscore_support, recall_score

from ser.cli import cli
from ser.errors import ConfigError
from ser.registry import load, names
from ser.results.metrics.calibration import ece, reliability
from ser.results.metrics.spread import SCORES, over_classes, over_groups
from ser.results.plotting import export, style
from ser.results.plotting.gallery import PICTURES, default_kind, draw, kinds
from ser.results.plotting.reliability import of_predictions
from ser.results.records.result import Source

Write = Callable[..., tuple[Path, dict[str, Any]]]
Simulate = Callable[..., pd.DataFrame]
DETAILS = ["confusion", "classes", "genders", "speakers", "folds", "curves", "reliability"]


def _inside(figure: Figure) -> bool:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box, (width, height) = figure.get_tightbbox(canvas.get_renderer()), figure.get_size_inches()
    return bool(box.x0 >= -0.01 and box.y0 >= -0.01 and box.x1 <= width + 0.01 and box.y1 <= height + 0.01)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, write_experiment: Write) -> Source:
    return Source(*write_experiment(tmp_path_factory.mktemp("results"), "emodb-mlp"))


def _t_interval(values: list[float]) -> list[float]:
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    return [float(low), float(high)]


def test_classes_are_as_scikit_learn_has_them(source: Source) -> None:
    found = over_classes(source.test, source.classes)
    runs = [
        precision_recall_fscore_support(part["true"], part["predicted"], labels=source.classes, zero_division=0)
        for _, part in source.test.groupby("run")
    ]
    for k, name in enumerate(source.classes):
        for position, score in enumerate(SCORES):
            values = [float(run[position][k]) for run in runs]
            assert found[name][score]["values"] == pytest.approx(values)
            assert found[name][score]["ci_95"] == pytest.approx(_t_interval(values))
            assert found[name][score]["mean"] == pytest.approx(source.result["per_class"][name][score])


@pytest.mark.parametrize("column", ["speaker", "gender"])
def test_groups_are_as_scikit_learn_has_them(source: Source, column: str) -> None:
    found = over_groups(source.test, source.classes, column)
    assert set(found) == set(source.test[column])
    for name, group in source.test.groupby(column):
        recalls = [
            recall_score(p["true"], p["predicted"], labels=sorted(set(p["true"])), average="macro", zero_division=0)
            for _, p in group.groupby("run")
        ]
        assert found[str(name)]["UA"]["values"] == pytest.approx(recalls)
        assert found[str(name)]["UA"]["mean"] == pytest.approx(source.result["groups"][column][name]["UA"])
        assert found[str(name)]["n"] == source.result["groups"][column][name]["n"]


def test_a_class_that_no_run_has_is_none_and_groups_without_a_name_are_left_out(source: Source) -> None:
    assert over_classes(source.test, [*source.classes, "fear"])["fear"]["recall"] is None
    assert over_groups(source.test.assign(gender=""), source.classes, "gender") == {}


def test_reliability_of_a_head_that_is_as_right_as_it_is_sure() -> None:
    random = np.random.default_rng(0)
    sure = random.uniform(0.5, 1, 200_000)
    probabilities = np.stack([sure, 1 - sure], axis=1)
    labels = (random.uniform(size=len(sure)) > sure).astype(np.int64)
    found = reliability(probabilities, labels)
    assert np.abs(found["accuracy"] - found["confidence"]).max() < 0.015
    assert found["n"].sum() == len(sure)
    assert np.ptp(found["n"]) <= 1
    assert ece(probabilities, labels) < 0.005
    flat = np.full((10, 2), 0.5)
    assert ece(flat, np.zeros(10, dtype=np.int64)) == pytest.approx(0.5)  # argmax of a tie is class 0, always right


def test_reliability_by_hand(source: Source) -> None:
    found = of_predictions(source.test)
    assert sum(found["n"]) == len(source.test)
    one = source.test[source.test["run"] == source.test["run"].min()]
    shares = one[[f"p_{c}" for c in source.classes]].to_numpy(dtype=float)
    rows = sorted(zip(shares.max(axis=1), one["true"] == one["predicted"], strict=True), key=lambda row: row[0])
    bins = [rows[k * len(rows) // 15 : (k + 1) * len(rows) // 15] for k in range(15)]
    gaps = [len(b) * abs(float(np.mean([r[0] for r in b])) - float(np.mean([r[1] for r in b]))) for b in bins if b]
    assert found["ECE"]["values"][0] == pytest.approx(sum(gaps) / len(rows), abs=0.02)  # bins differ by one utterance
    assert found["gap"]["values"][0] == pytest.approx(
        shares.max(axis=1).mean() - np.mean(one["true"] == one["predicted"])
    )


def test_kinds_of_a_summary(source: Source) -> None:
    assert kinds(source) == DETAILS
    assert default_kind(source) == "confusion"


@pytest.mark.parametrize("kind", DETAILS)
def test_every_picture_is_whole_and_has_words(source: Source, kind: str) -> None:
    picture = draw(source, kind)
    assert _inside(picture.figure)
    assert picture.words.endswith(".")
    assert source.result["experiment"] in picture.figure.get_suptitle()
    assert all(axes.get_xlabel() or axes.get_ylabel() for axes in picture.figure.axes)


def test_pictures_of_fewshot(tmp_path: Path, write_experiment: Write, simulate_fewshot: Simulate) -> None:
    source = Source(*write_experiment(tmp_path, frame=simulate_fewshot()))
    assert source.amount == "50%"
    assert set(source.predictions["percentage"]) == {50.0}
    assert kinds(source) == ["fewshot", *DETAILS]
    words = draw(source, "fewshot").words
    for name, part in source.result["percentages"].items():
        assert f"{name} {part['pooled']['UA']['mean']:.3f}" in words


def test_bars_are_as_long_as_the_scores_and_begin_at_zero(source: Source) -> None:
    axes = draw(source, "speakers").figure.axes[0]
    best = max(v["UA"] for v in source.result["groups"]["speaker"].values())
    lengths = [float(bar.get_width()) for bar in axes.patches if bar.get_width() > 0]  # type: ignore[attr-defined]
    assert lengths[0] == pytest.approx(best)
    assert len(lengths) == len(source.result["groups"]["speaker"])
    assert axes.get_xlim() == (0, 1)


def test_no_interval_of_two_runs(tmp_path: Path, write_experiment: Write, simulate: Simulate) -> None:
    source = Source(*write_experiment(tmp_path, frame=simulate(runs=2)))
    assert "no intervals: fewer than 3 runs" in draw(source, "classes").figure.get_suptitle().replace("\n", " ")
    assert not draw(source, "classes").figure.axes[0].lines


def test_many_trainings_are_a_band(source: Source) -> None:
    record = source.records[0]
    many = [{**record, "curves": {"loss": [1.0 + 0.01 * k] * (10 + k % 3)}} for k in range(101)]
    again = Source(source.path, source.result)
    again.__dict__["records"] = many
    curves = style.curves_of(many)
    assert len(curves["loss"]) == 101
    figure = Figure()
    axes = figure.add_subplot()
    style._curves(axes, "loss", curves["loss"], "#0072B2")
    (line,) = axes.lines
    assert np.asarray(line.get_ydata())[0] == pytest.approx(1.5)  # the median of 1.00 ... 2.00
    assert len(axes.collections) == 1
    assert "101 trainings" in load(PICTURES, "curves").words(again, "UA")


def test_speakers_of_a_large_corpus_are_cut_in_words(
    tmp_path: Path, write_experiment: Write, simulate: Simulate
) -> None:
    source = Source(*write_experiment(tmp_path, frame=simulate(runs=1, speakers=60, a_speaker=4)))
    picture = draw(source, "speakers")
    assert len(picture.figure.axes[0].get_yticklabels()) == 40
    assert "the best and the worst 20 of 60" in picture.figure.get_suptitle().replace("\n", " ")


def test_colours_are_told_apart() -> None:
    """By relative luminance (WCAG 2): neighbours in a group of bars differ in grey too."""

    def luminance(colour: str) -> float:
        parts = [int(to_hex(colour)[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    from ser.results.plotting.bars import BARS

    light = [luminance(c) for c in BARS]
    assert all((max(a, b) + 0.05) / (min(a, b) + 0.05) > 1.4 for a, b in pairwise(light))


def _plot(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["results", "plot", *map(str, arguments)])


def test_all_kinds_in_all_formats(source: Source, tmp_path: Path) -> None:
    result = _plot(source.path, "--kind", "all", "--format", "svg,pdf", "--output", tmp_path / "figures")
    assert result.exit_code == 0, result.output
    files = sorted(p.name for p in (tmp_path / "figures").iterdir())
    assert files == sorted(f"emodb-mlp.{kind}.{ending}" for kind in DETAILS for ending in ("svg", "pdf"))
    svg = (tmp_path / "figures" / "emodb-mlp.classes.svg").read_text()
    assert ">precision</text>" in svg  # text stays text
    assert b"/FontFile2" in (tmp_path / "figures" / "emodb-mlp.classes.pdf").read_bytes()  # TrueType, embedded


def test_without_a_title(source: Source, tmp_path: Path) -> None:
    assert _plot(source.path, "--no-title", "--format", "svg", "--output", tmp_path).exit_code == 0
    assert source.result["experiment"] not in (tmp_path / "emodb-mlp.confusion.svg").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ["fewshot"]}, "nothing for a picture of kind fewshot; expected confusion, classes"),
        ({"kinds": ["clases"]}, "unknown kind of picture 'clases'.*Did you mean 'classes'"),
        ({"formats": ["jpg"]}, "unknown format 'jpg'; expected one of png, svg, pdf"),
        ({"kinds": ["all"], "output": Path("x.png")}, "is one file; expected a folder"),
    ],
)
def test_refused(source: Source, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list(export.plot_into(source, **options))


def test_every_plugin_has_its_parts() -> None:
    for name in names(PICTURES):
        plugin = load(PICTURES, name)
        assert all(callable(getattr(plugin, part)) for part in ("fits", "draw", "words"))
        assert isinstance(plugin.ORDER, int)
