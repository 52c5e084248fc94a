"""Evaluations as pictures and in reports: what is drawn and written is what the record says."""

import base64
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from msgspec import convert, structs

from ser.cli import cli
from ser.errors import ConfigError
from ser.evaluation.evaluate import evaluate
from ser.jsonfile import dumps
from ser.results.cells import interval, number, score
from ser.results.metrics.intervals import describe
from ser.results.metrics.suite import check
from ser.results.plotting.gallery import draw, kinds
from ser.results.plotting.pictures.suite import COLOURS
from ser.results.plotting.style import save
from ser.results.records.evaluation import Suite
from ser.results.records.numbers import METRICS
from ser.results.report.compose import compose, text_of
from ser.results.report.formats.html import render
from ser.results.report.score_rows import score_rows
from ser.results.report.summary import gender_table
from ser.results.result import Result

Write = Callable[..., tuple[Path, dict[str, Any]]]
SCORES = {"energy": 0.3, "max_softmax": 0.4, "mahalanobis": 0.9, "knn": None}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, write_experiment: Write) -> Path:
    """An experiment and its evaluation; of that novelty and explanations are made up, for they need heads."""
    root = tmp_path_factory.mktemp("workspace")
    write_experiment(root / "results", "one")
    record, path = evaluate("one", root, calibrate=True)
    found = {n: v and {"AUROC": describe([v, v + 0.01, v + 0.02]), "FPR95": describe([0.5])} for n, v in SCORES.items()}
    entry = {"novel": "emotion:<envy>", "dataset": "emodb", "n": {"known": 72, "novel": 9}, "heads": 6, "without_novel": 1}
    folder = path.with_name("looks")
    figure = Figure()
    figure.add_subplot().plot([0, 1])
    save(figure, folder / "u.activation.png")
    example = {"utterance_id": 'u"<1>', "true": "anger", "predicted": "sadness", "probability": 0.75, "attention": []}
    shown = {
        "schema": "ser.explanations/1",
        "experiment": "one",
        "dataset": "emodb",
        "heads": [{"file": "h.safetensors", "run": 0, "fold": "1", "utterances": 3}],
        "layers": {},
        "modalities": {},
        "examples": [
            {**example, "head": "h.safetensors", "arrays": "u.npz", "pictures": ["u.activation.png", "gone.attention.png"]}
        ],
    }
    (folder / "explanations.json").write_text(json.dumps(shown))
    record |= {"novelty": [{**entry, "neighbour": 10, "scores": found, "notes": ["no knn: <why>"]}]}
    path.write_text(dumps({**record, "explanations": "looks/explanations.json"}))
    return root


@pytest.fixture(scope="module")
def source(space: Path) -> Result:
    return Result.find("one.evaluation", space / "results")


@pytest.fixture
def suite(source: Result) -> Result:
    """The evaluation with a suite of two conditions and one gap; made up, for views need heads."""
    rows = [
        check("robustness", "gsm", 0.1, (0.06, 0.15), 0.05, ua=source.record.scores.main.mean - 0.1, unchanged=0.7, p=0.01),
        check("robustness", "<noise20>", -0.01, (-0.03, 0.08), 0.05, ua=source.record.scores.main.mean + 0.01, unchanged=0.9),
        check("fairness", "gender: female minus male", 0.2, None, 0.1, both=True),
    ]
    limits, part = {"robustness": 0.05, "gender": 0.1}, {"not_checked": ["language"], "stores": {}}
    made = convert({"checks": rows, "limits": limits, **part}, Suite)
    return Result(source.path, structs.replace(source.record, suite=made))


def test_the_suite_is_a_picture_and_tables_with_verdicts(suite: Result) -> None:
    assert kinds(suite) == ["suite", "reliability", "coverage", "novelty", "gaps"]
    axes = draw(suite, "suite").figure.axes[0]
    original = suite.record.scores.main.mean
    assert [bar.get_width() for bar in axes.patches[:2]] == pytest.approx([original - 0.1, original + 0.01])
    page = render(compose([suite]))
    assert "&lt;noise20&gt;" in page
    text = " ".join(text_of(suite.record, suite.path).split())
    assert "1 of 3 checks passed, 1 of them unsure; failed: gsm; gender: female minus male." in text
    assert "pass, unsure" in text
    colours = [to_hex(bar.get_facecolor()).upper() for bar in axes.patches[:2]]
    assert colours == [COLOURS["failed"], COLOURS["unsure"]]
    assert "What a pass is worth" not in text
    main = structs.replace(suite.record.scores.main, ci_95_speakers=(0.2, 0.3))
    guess = structs.replace(suite.record, scores=structs.replace(suite.record.scores, UA=main))
    told = " ".join(text_of(guess, suite.path).split())
    assert "(95 % 0.200 to 0.300), not surely above chance (0.250)" in told
    assert "language: not known, or one group alone" in text


def test_the_kinds_of_an_evaluation(source: Result) -> None:
    assert kinds(source) == ["reliability", "coverage", "novelty", "gaps"]
    for kind in kinds(source):
        picture = draw(source, kind)
        assert picture.words.endswith(".")
        assert "one" in picture.figure.get_suptitle().split("\n")


def test_reliability_is_before_and_after_in_the_same_axes_with_both_errors(source: Result) -> None:
    picture = draw(source, "reliability")
    before, after = picture.figure.axes
    for axes, state in ((before, "uncalibrated"), (after, "calibrated")):
        found = getattr(source.record.probabilities, state)
        (line,) = [x for x in axes.lines if x.get_label() == "head"]
        np.testing.assert_allclose(line.get_xdata(), found.reliability.confidence)
        np.testing.assert_allclose(line.get_ydata(), found.reliability.accuracy)
        told = f"ECE {score(found.ECE)} (by chance {number(found.ECE_by_chance.mean)})"
        assert told in axes.get_title()
        assert told in picture.words
        assert axes.get_xlim() == axes.get_ylim() == (0, 1)


def test_coverage_has_the_curves_and_a_perfect_order_by_hand(source: Result) -> None:
    axes = draw(source, "coverage").figure.axes[0]
    curve = source.record.selective.curve
    lines = {str(x.get_label()): np.asarray(x.get_ydata(), dtype=float) for x in axes.lines}
    np.testing.assert_allclose(next(v for k, v in lines.items() if k.startswith("one by one")), curve.risk)
    assert any(k.startswith("mean of runs") for k in lines)
    wrong = np.sort(np.arange(1000) < round(1000 * curve.risk[-1]))  # all right answers first
    order = np.cumsum(wrong) / np.arange(1, 1001)
    np.testing.assert_allclose(lines["perfect order"], order[9::10], atol=2e-3)
    held = source.record.selective.from_validation
    (points,) = [v for k, v in lines.items() if k.startswith("threshold")]
    np.testing.assert_allclose(points, [v.risk.mean for v in held.values() if v.risk is not None])


def test_novelty_is_bars_from_zero_beside_chance(source: Result) -> None:
    picture = draw(source, "novelty")
    axes = picture.figure.axes[0]
    np.testing.assert_allclose([p.get_width() for p in axes.patches], [0.31, 0.41, 0.91])
    assert [t.get_text() for t in axes.get_yticklabels()][2] == "emotion:<envy>: mahalanobis"
    assert any(list(x.get_xdata()) == [0.5, 0.5] for x in axes.lines)
    assert "mahalanobis 0.910" in picture.words


def test_gaps_have_the_intervals_of_the_record(source: Result) -> None:
    axes = draw(source, "gaps").figure.axes[0]
    spans = [tuple(x.get_xdata()) for x in axes.lines if len(np.atleast_1d(x.get_xdata())) == 2]
    for group in (source.record.groups.gender, source.record.groups.speaker):
        for g in group.groups.values():
            assert tuple(g.UA.ci_95) in spans


def test_a_summarys_report_takes_in_the_evaluations_beside_it(space: Path) -> None:
    record = Result.find("one.evaluation", space / "results").record
    page = render(compose([Result.find("one", space / "results")]))
    assert "Evaluation: emodb-calibrated" in page
    for state in ("uncalibrated", "calibrated"):
        found = getattr(record.probabilities, state)
        for measure in ("NLL", "Brier", "ECE"):
            assert score(getattr(found, measure)) in page
        assert number(found.ECE_by_chance.mean) in page
    (gap,) = record.groups.gender.gaps
    assert f"{gap.UA.difference:+.3f} ({interval(gap.UA.ci_95)})" in page
    assert "emotion:&lt;envy&gt;" in page
    assert "no knn: &lt;why&gt;" in page
    assert "no temperature was fitted" not in page
    assert len(set(re.findall(r' id="([^"]+)"', page))) == len(re.findall(r' id="([^"]+)"', page))


def test_pictures_of_explanations_are_inside_the_page_with_words(space: Path, source: Result) -> None:
    page = render(compose([source]))
    ((data, words),) = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"', page)
    assert base64.b64decode(data) == (space / "results" / "looks" / "u.activation.png").read_bytes()
    assert words == "Class activation of u&#34;&lt;1&gt;: anger, recognised as sadness (0.75), by h.safetensors."
    assert "gone.attention.png" in page  # said to be missing
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)


def test_the_other_formats(space: Path, tmp_path: Path) -> None:
    from docx import Document

    for ending in ("md", "tex", "docx", "csv"):
        wanted = [*("results", "report", str(space / "results" / "one.evaluation-emodb-calibrated.json"))]
        result = CliRunner().invoke(cli, [*wanted, "--output", str(tmp_path / f"e.{ending}")])
        assert result.exit_code == 0, result.output
    (image,) = (tmp_path / "e_files").glob("*.png")
    assert f"(e_files/{image.name})" in (tmp_path / "e.md").read_text()
    shapes = Document(str(tmp_path / "e.docx")).inline_shapes
    assert len(shapes) == 5
    assert "by chance" in (tmp_path / "e.tex").read_text()


def test_rows_have_scores_and_probability_scores(source: Result) -> None:
    rows = {(r.of, r.metric): r.mean for r in score_rows(source.record)}
    record = source.record
    for metric in METRICS:
        assert rows["emodb, one by one", metric] == record.scores.of(metric).mean
    for state in ("uncalibrated", "calibrated"):
        assert rows[f"emodb, one by one, {state}", "ECE"] == getattr(record.probabilities, state).ECE.mean
        ensemble = getattr(record.ensemble.probabilities, state)
        assert rows[f"emodb, mean of runs, {state}", "NLL"] == ensemble.NLL.mean


def test_what_is_not_of_this_summary_is_named_and_left_out(tmp_path: Path, write_experiment: Write) -> None:
    write_experiment(tmp_path / "results", "one[1]")
    record, path = evaluate("one[1]", tmp_path)
    other = {**record, "model": {**record["model"], "config_hash": "0" * 12}}
    path.with_name("one[1].evaluation-other.json").write_text(json.dumps(other))
    path.with_name("one[1].evaluation-torn.json").write_text("{")
    page = render(compose([Result.find("one[1]", tmp_path / "results")]))
    assert page.count("Evaluation: emodb<") == 2  # in the contents, and above its section
    assert "Evaluation: other" not in page
    assert "one[1].evaluation-other.json is of another configuration" in page
    assert "one[1].evaluation-torn.json" in page


def test_an_evaluation_is_not_put_beside_other_results(space: Path) -> None:
    sources = [Result.find(name, space / "results") for name in ("one", "one.evaluation")]
    with pytest.raises(ConfigError, match="is of the kind 'evaluation', which is reported by itself"):
        compose(sources)


def test_the_p_of_both_kinds_of_luck_is_printed(source: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # of a terminal: no cell is wrapped
    comparison = source.record.ensemble.comparison
    changed = structs.replace(source.record.ensemble, comparison=structs.replace(comparison, p=0.0123))
    for record in (source.record, structs.replace(source.record, ensemble=changed)):
        lines = text_of(record, source.path).split("\n")
        row = next(line for line in lines if line.startswith("mean of runs minus"))
        head = lines[lines.index("What averaging changes, on the same utterances") + 1]
        assert head.split()[-1] == "p"
        assert row.split()[-1] == f"{record.ensemble.comparison.p:.4f}"


def test_intervals_of_few_speakers_are_said_to_be_too_narrow(source: Result) -> None:
    found = source.record.groups.gender
    assert "Of so few speakers, 4 (female) and 2 (male)" in gender_table(found, "").note
    groups = {name: structs.replace(g, speakers=12) for name, g in found.groups.items()}
    assert gender_table(structs.replace(found, groups=groups), "").note == "Speakers drawn again within each gender."


def test_a_forged_explanation_shows_no_other_file(space: Path, tmp_path: Path) -> None:
    """Pictures by an absolute path, by `..`, or of another type, and a record of explanations elsewhere."""
    shutil.copytree(space, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "results"
    (tmp_path / "secret.png").write_text("a secret")
    (folder / "looks" / "text.png").write_text("a secret")
    shown = json.loads((folder / "looks" / "explanations.json").read_text())
    shown["examples"][0]["pictures"] = ["/./etc/passwd", "../../secret.png", "text.png", str(tmp_path / "secret.png")]
    (folder / "looks" / "explanations.json").write_text(json.dumps(shown))
    page = render(compose([Result.find("one.evaluation", folder)]))
    assert "data:image" not in page
    assert page.count("names a file outside its folder") == 3
    assert "which is not a PNG picture" in page
    record = json.loads((folder / "one.evaluation-emodb-calibrated.json").read_text())
    (folder / "one.evaluation-emodb-calibrated.json").write_text(json.dumps(record | {"explanations": "/etc/passwd"}))
    page = render(compose([Result.find("one.evaluation", folder)]))
    assert "Explanations that cannot be shown" in page
    assert "names a file outside its folder: /etc/passwd" in page
