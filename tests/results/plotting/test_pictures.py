"""Kinds of pictures: each plugin draws what the record says, whole; classes, speakers and bins are recomputed here."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from click.testing import Result as Done
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from msgspec import structs
from scipy import stats
from sklearn.metrics import precision_recall_fscore_support, recall_score

from ser.cli import cli
from ser.errors import ConfigError
from ser.jsonfile import check
from ser.metadata.labels import CANONICAL
from ser.registry import load, names
from ser.results.metrics.calibration import ece, reliability
from ser.results.metrics.spread import SCORES, over_classes, over_groups, reliability_over_runs
from ser.results.plotting import style
from ser.results.plotting.bars import Estimate, Series, bars
from ser.results.plotting.gallery import PICTURES, draw, kinds, plot_into
from ser.results.plotting.pictures import learning_curves
from ser.results.records.kinds import model_of
from ser.results.records.numbers import Described
from ser.results.result import Result

Write = Callable[..., tuple[Path, dict[str, Any]]]
Simulate = Callable[..., pd.DataFrame]
DETAILS = ["confusion", "classes", "genders", "speakers", "folds", "learning_curves", "reliability"]


def result_of(path: Path, content: dict[str, Any]) -> Result:
    """A result as if it had been read."""
    return Result(path, check(content, model_of(content), path.name))


def _value(described: Described | None) -> Described:
    assert described is not None
    return described


def _inside(figure: Figure) -> bool:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box, (width, height) = figure.get_tightbbox(canvas.get_renderer()), figure.get_size_inches()
    return bool(box.x0 >= -0.01 and box.y0 >= -0.01 and box.x1 <= width + 0.01 and box.y1 <= height + 0.01)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, write_experiment: Write) -> Result:
    return result_of(*write_experiment(tmp_path_factory.mktemp("results"), "emodb-mlp"))


def _t_interval(values: list[float]) -> list[float]:
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    return [float(low), float(high)]


def test_classes_are_as_scikit_learn_has_them(source: Result) -> None:
    found = over_classes(source.test, source.classes)
    runs = [
        precision_recall_fscore_support(part["true"], part["predicted"], labels=source.classes, zero_division=0)
        for _, part in source.test.groupby("run")
    ]
    for k, name in enumerate(source.classes):
        for position, score in enumerate(SCORES):
            values = [float(run[position][k]) for run in runs]
            assert _value(found[name][score]).values == pytest.approx(values)
            assert list(_value(found[name][score]).ci_95 or ()) == pytest.approx(_t_interval(values))
            assert _value(found[name][score]).mean == pytest.approx(getattr(source.record.per_class[name], score))


@pytest.mark.parametrize("column", ["speaker", "gender"])
def test_groups_are_as_scikit_learn_has_them(source: Result, column: str) -> None:
    found = over_groups(source.test, source.classes, column)
    assert set(found) == set(source.test[column])
    for name, group in source.test.groupby(column):
        recalls = [
            recall_score(p["true"], p["predicted"], labels=sorted(set(p["true"])), average="macro", zero_division=0)
            for _, p in group.groupby("run")
        ]
        assert _value(found[str(name)].scores["UA"]).values == pytest.approx(recalls)
        assert _value(found[str(name)].scores["UA"]).mean == pytest.approx(getattr(source.groups, column)[name].UA)
        assert found[str(name)].n == getattr(source.groups, column)[name].n


def test_a_class_that_no_run_has_is_none_and_groups_without_a_name_are_left_out(source: Result) -> None:
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


def test_reliability_by_hand(source: Result) -> None:
    found = reliability_over_runs(source.test)
    assert sum(found.n) == len(source.test)
    one = source.test[source.test["run"] == source.test["run"].min()]
    shares = one[[f"p_{c}" for c in source.classes]].to_numpy(dtype=float)
    rows = sorted(zip(shares.max(axis=1), one["true"] == one["predicted"], strict=True), key=lambda row: row[0])
    bins = [rows[k * len(rows) // 15 : (k + 1) * len(rows) // 15] for k in range(15)]
    gaps = [len(b) * abs(float(np.mean([r[0] for r in b])) - float(np.mean([r[1] for r in b]))) for b in bins if b]
    assert found.ECE.values[0] == pytest.approx(sum(gaps) / len(rows), abs=0.02)  # bins differ by one utterance
    assert found.gap.values[0] == pytest.approx(shares.max(axis=1).mean() - np.mean(one["true"] == one["predicted"]))


def test_kinds_of_a_summary(source: Result, tmp_path: Path) -> None:
    assert kinds(source) == DETAILS
    (first,) = plot_into(source, output=tmp_path)
    assert first.name == "emodb-mlp.confusion.png"


@pytest.mark.parametrize("kind", DETAILS)
def test_every_picture_is_whole_and_has_words(source: Result, kind: str) -> None:
    picture = draw(source, kind)
    assert _inside(picture.figure)
    assert picture.words.endswith(".")
    assert source.record.experiment in picture.figure.get_suptitle()
    assert all(axes.get_xlabel() or axes.get_ylabel() for axes in picture.figure.axes)


def test_pictures_of_fewshot(tmp_path: Path, write_experiment: Write, simulate_fewshot: Simulate) -> None:
    source = result_of(*write_experiment(tmp_path, frame=simulate_fewshot()))
    assert source.amount == "50%"
    assert set(source.predictions["percentage"]) == {50.0}
    assert kinds(source) == ["fewshot", *DETAILS]
    words = draw(source, "fewshot").words
    for name, part in source.record.percentages.items():
        assert f"{name} {part.pooled.UA.mean:.3f}" in words


def test_bars_are_as_long_as_the_scores_and_begin_at_zero(source: Result) -> None:
    axes = draw(source, "speakers").figure.axes[0]
    best = max(v.UA for v in source.groups.speaker.values())
    lengths = [float(bar.get_width()) for bar in axes.patches if bar.get_width() > 0]  # type: ignore[attr-defined]
    assert lengths[0] == pytest.approx(best)
    assert len(lengths) == len(source.groups.speaker)
    assert axes.get_xlim() == (0, 1)


def test_a_caption_of_synthesised_audio_is_in_sentences(tmp_path: Path, write_experiment: Write, simulate: Simulate) -> None:
    source = result_of(*write_experiment(tmp_path, frame=simulate(), stamps=["synthetic: no recording of people"]))
    assert style.strip_title(draw(source, "confusion").figure).endswith(" runs. SYNTHETIC audio, no recording of people")


def test_no_interval_of_two_runs(tmp_path: Path, write_experiment: Write, simulate: Simulate) -> None:
    source = result_of(*write_experiment(tmp_path, frame=simulate(runs=2)))
    title = draw(source, "classes").figure.get_suptitle().replace("\n", " ")
    assert "no intervals: fewer than 3 runs" in title
    assert "lines" not in title  # there are none
    assert not draw(source, "classes").figure.axes[0].lines


def test_many_trainings_are_a_band(source: Result) -> None:
    record = source.records[0]
    many = [structs.replace(record, curves={"loss": [1.0 + 0.01 * k] * (10 + k % 3)}) for k in range(101)]
    again = Result(source.path, source.record)
    again.__dict__["records"] = many
    curves = learning_curves.curves_of(many)
    assert len(curves["loss"]) == 101
    figure = Figure()
    axes = figure.add_subplot()
    learning_curves.draw_curve(axes, "loss", curves["loss"], "#0072B2")
    (line,) = axes.lines
    assert np.asarray(line.get_ydata())[0] == pytest.approx(1.5)  # the median of 1.00 ... 2.00
    assert len(axes.collections) == 1
    assert "101 trainings" in load(PICTURES, "learning_curves").words(again, "UA")


def test_speakers_of_a_large_corpus_are_cut_in_words(tmp_path: Path, write_experiment: Write, simulate: Simulate) -> None:
    source = result_of(*write_experiment(tmp_path, frame=simulate(runs=1, speakers=60, a_speaker=4)))
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
    assert all((max(a, b) + 0.05) / (min(a, b) + 0.05) > 1.4 for a, b in itertools.pairwise(light))


def _plot(*arguments: object) -> Done:
    return CliRunner().invoke(cli, ["results", "plot", *map(str, arguments)])


def test_all_kinds_in_all_formats(source: Result, tmp_path: Path) -> None:
    result = _plot(source.path, "--kind", "all", "--format", "svg,pdf", "--output", tmp_path / "figures")
    assert result.exit_code == 0, result.output
    files = sorted(p.name for p in (tmp_path / "figures").iterdir())
    assert files == sorted(f"emodb-mlp.{kind}.{ending}" for kind in DETAILS for ending in ("svg", "pdf"))
    svg = (tmp_path / "figures" / "emodb-mlp.classes.svg").read_text()
    assert ">precision</text>" in svg  # text stays text
    assert b"/FontFile2" in (tmp_path / "figures" / "emodb-mlp.classes.pdf").read_bytes()  # TrueType, embedded


def test_a_file_that_is_there_is_replaced_only_where_that_is_said(source: Result, tmp_path: Path) -> None:
    own, folder = tmp_path / "mine.png", tmp_path / "figures"
    folder.mkdir()
    beside = folder / "emodb-mlp.confusion.png"
    for file, output in ((own, own), (beside, folder)):
        file.write_text("mine")
        asked = [source.path, "--kind", "classes,confusion" if output == folder else "confusion", "--output", output]
        refused = _plot(*asked)
        assert str(refused.exception) == f"{file} is there already. Name another file, or write over it: --overwrite."
        assert file.read_text() == "mine"
        assert not (folder / "emodb-mlp.classes.png").exists()  # none was drawn
        assert _plot(*asked, "--overwrite").exit_code == 0
        assert file.read_bytes().startswith(b"\x89PNG")
    (tmp_path / "text").write_text("mine")
    refused = _plot(source.path, "--output", tmp_path / "text")
    assert "text is not a folder; found a file" in str(refused.exception)


def test_a_picture_of_another_metric_does_not_replace_that_of_the_first(source: Result, tmp_path: Path) -> None:
    kinds = ["--kind", "confusion,speakers", "--output", tmp_path]
    assert _plot(source.path, *kinds).exit_code == 0
    before = (tmp_path / "emodb-mlp.speakers.png").read_bytes()
    # The matrix shows no metric: it is the same picture, under the same name.
    assert "emodb-mlp.confusion.png is there already" in str(_plot(source.path, *kinds, "--metric", "wa").exception)
    assert _plot(source.path, *kinds, "--metric", "wa", "--overwrite").exit_code == 0
    named = sorted(path.name for path in tmp_path.iterdir())
    assert named == ["emodb-mlp.confusion.png", "emodb-mlp.speakers.WA.png", "emodb-mlp.speakers.png"]
    assert (tmp_path / "emodb-mlp.speakers.png").read_bytes() == before != (tmp_path / "emodb-mlp.speakers.WA.png").read_bytes()


def test_without_a_title(source: Result, tmp_path: Path) -> None:
    assert _plot(source.path, "--no-title", "--format", "svg", "--output", tmp_path).exit_code == 0
    assert source.record.experiment not in (tmp_path / "emodb-mlp.confusion.svg").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ["fewshot"]}, "nothing for a picture of kind fewshot; expected confusion, classes"),
        ({"kinds": [3]}, "the name of a picture; expected a text: one of ablation, .* found 3"),
        ({"kinds": ["clases"]}, "unknown kind of picture 'clases'.*Did you mean 'classes'"),
        ({"formats": ["jpg"]}, "unknown format 'jpg'; expected one of png, svg, pdf"),
        ({"metric": "nosuch"}, "unknown metric 'nosuch'; expected one of UA, WA, WF1, Macro_F1"),
        ({"kinds": ["all"], "output": Path("x.png")}, "is one file; expected a folder"),
    ],
)
def test_refused(source: Result, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list(plot_into(source, **options))


def test_bars_of_an_error_above_one_are_shown_whole() -> None:
    high = bars(["a", "b"], [Series("", [Estimate(1.6, (1.2, 2.5)), Estimate(0.4, None)])], "RMSE").axes[0]
    assert high.get_xlim() == pytest.approx((0, 1.6 * 1.05))
    usual = bars(["a"], [Series("", [Estimate(0.99, (0.9, 1.1))])], "UA").axes[0]
    assert usual.get_xlim() == (0, 1)


def test_every_plugin_has_its_parts() -> None:
    for name in names(PICTURES):
        plugin = load(PICTURES, name)
        assert all(callable(getattr(plugin, part)) for part in ("fits", "draw", "words"))
        assert isinstance(plugin.ORDER, int)


def _figure(path: Path, summary: dict[str, Any], kind: str, metric: str = "UA") -> Figure:
    return draw(result_of(path, summary), kind, metric).figure


def _boxes(figure: Figure, texts: list[Any]) -> list[Any]:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    return [t.get_window_extent(renderer) for t in texts if t.get_text()]


@pytest.mark.parametrize("classes", [["a", "b"], list(CANONICAL[:4]), list(CANONICAL)])
def test_confusion_cells(tmp_path: Path, write_experiment: Write, simulate: Simulate, classes: list[str]) -> None:
    frame = simulate(classes=classes, a_speaker=60, runs=2)
    path, summary = write_experiment(tmp_path, "a-name-" * 12, frame=frame)
    figure = _figure(path, summary, "confusion")
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
    path, summary = write_experiment(tmp_path, frame=simulate().assign(p_fear=np.float32(0)))
    figure = _figure(path, summary, "confusion")
    assert [t.get_text() for t in figure.axes[0].texts][-5:] == ["none"] * 5


@pytest.mark.parametrize("shares", [(0, 10, 20, 50), (0, 1, 2, 5, 10, 20, 50, 100), (10,)])
def test_fewshot_curve(tmp_path: Path, write_experiment: Write, simulate_fewshot: Simulate, shares: tuple[float, ...]) -> None:
    path, summary = write_experiment(tmp_path, frame=simulate_fewshot(shares, a_speaker=6))
    figure = _figure(path, summary, "fewshot", "WA")
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
    path, summary = write_experiment(tmp_path, frame=simulate_fewshot(runs=3))
    next(iter(summary["percentages"].values()))["pooled"]["UA"]["ci_95"] = [-1.5, 2.0]
    low, high = _figure(path, summary, "fewshot").axes[0].get_ylim()
    assert low == pytest.approx(0, abs=0.05)
    assert high == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_fewshot_curve_of_few_runs_has_no_interval(
    tmp_path: Path, write_experiment: Write, simulate_fewshot: Simulate, runs: int
) -> None:
    path, summary = write_experiment(tmp_path, frame=simulate_fewshot(runs=runs))
    figure = _figure(path, summary, "fewshot")
    assert bool(figure.axes[0].collections) == (runs > 2)
    assert ("95 % intervals" in figure.get_suptitle()) == (runs > 2)


def test_fewshot_curve_shows_chance_of_ua_alone(tmp_path: Path, write_experiment: Write, simulate_fewshot: Simulate) -> None:
    path, summary = write_experiment(tmp_path, frame=simulate_fewshot())
    figure = _figure(path, summary, "fewshot")
    assert _inside(figure)
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    assert np.unique(np.asarray(lines["chance, 0.250"].get_ydata())).tolist() == [1 / 4]
    assert not any("chance" in str(line.get_label()) for line in _figure(path, summary, "fewshot", "WA").axes[0].lines)


@pytest.mark.parametrize("runs", [3, 12])
def test_the_words_of_learning_curves_are_where_their_lines_end(
    tmp_path: Path, write_experiment: Write, simulate: Simulate, runs: int
) -> None:
    """Six trainings are drawn with their mean, 24 with their median."""
    path, summary = write_experiment(tmp_path, frame=simulate(runs=runs, a_speaker=4))
    figure = _figure(path, summary, "learning_curves")
    words = load("ser.results.plotting.pictures", "learning_curves").words(result_of(path, summary), "UA")
    assert ("the median" if runs == 12 else "the mean") in words
    named = [line for axes in figure.axes for line in axes.lines if not str(line.get_label()).startswith("_")]
    assert len(named) == 3
    assert "validation loss (cross-entropy)" in words
    for line in named:
        ends = np.asarray(line.get_ydata(), dtype=float)
        assert f"{line.get_label()} {ends[-1]:.3f} (epoch {len(ends)})" in words


def test_learning_curves_show_every_run(tmp_path: Path, write_experiment: Write) -> None:
    path, summary = write_experiment(tmp_path)
    figure = _figure(path, summary, "learning_curves")
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
    result = CliRunner().invoke(cli, ["results", "plot", "v1.2", "--kind", "learning_curves", "--workspace", str(tmp_path)])
    assert result.exit_code == 0
    assert (tmp_path / "results" / "v1.2-mlp.learning_curves.png").stat().st_size > 1000
    assert str(mpl.get_backend()).lower() != "tkagg"


def test_files_that_cannot_be_drawn_or_read(tmp_path: Path, write_experiment: Write) -> None:
    path, summary = write_experiment(tmp_path)
    with pytest.raises(ConfigError, match="nothing for a picture of kind fewshot"):
        draw(result_of(path, summary), "fewshot")
    with pytest.raises(ConfigError, match=r"\.png, \.svg, \.pdf"):
        style.save(_figure(path, summary, "confusion"), tmp_path / "x.jpg")
    (tmp_path / summary["runs"][0]["record"]).unlink()
    with pytest.raises(ConfigError, match=r"names emodb-mlp/run-000\.fold-01\.json, which cannot be read"):
        _figure(path, summary, "learning_curves")


def test_names_with_signs_of_a_formula_are_shown_as_they_are(
    tmp_path: Path, write_experiment: Write, simulate: Simulate
) -> None:
    frame = simulate(classes=["a$b$c", r"$\foo$"])
    frame["speaker"] = "$" + frame["speaker"] + "$_^{"
    found = result_of(*write_experiment(tmp_path, frame=frame))
    for path in plot_into(found, kinds=DETAILS, formats=["svg"], output=tmp_path / "out"):
        text = path.read_text()
        assert path.stem.split(".")[-1] not in ("confusion", "classes") or r"$\foo$" in text
        assert "speakers" not in path.stem or "$s00$_^{" in text
