"""Results of `ser.fit` and its siblings: the record as a dict, which also shows, draws and compares itself."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ser
from ser.errors import ConfigError
from ser.results.report.compose import text_of

SMALL: dict[str, Any] = {"epochs": 2, "runs": 3, "folds": 3, "protocol": "speaker", "head": "linear", "jobs": 1}
ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, maker_type: Any) -> dict[str, ser.Result]:
    """A result of a fit on each of two stores, and a search; no test writes into them."""
    maker = maker_type(tmp_path_factory.mktemp("workspace"))
    maker.table("toy")
    maker.store("toy", "good")
    maker.store("toy", "poor", strength=0.3)
    found = {name: ser.fit("toy", maker.space, audio=name, **SMALL) for name in ("good", "poor")}
    return {**found, "search": ser.search("toy", maker.space, audio="good", grid={"lr": [5e-3, 2e-2]}, **SMALL)}


def test_a_result_is_the_content_of_its_file(results: dict[str, ser.Result]) -> None:
    for result in results.values():
        assert result == json.loads(result.path.read_text(encoding="utf-8"))
        assert json.loads(json.dumps(result)) == dict(result)
        again = ser.load_result(result["experiment"], result.path.parents[1])
        assert (again, again.path) == (result, result.path)
        copy = pickle.loads(pickle.dumps(result))
        assert (copy, copy.path) == (result, result.path)


def test_a_result_is_shown_in_two_lines_with_its_score(results: dict[str, ser.Result]) -> None:
    ua = results["good"]["pooled"]["UA"]
    name, lead = repr(results["good"]).split("\n")
    assert name == results["good"]["experiment"]
    assert lead.startswith(f"UA {ua['mean']:.3f} (95 % over runs {ua['ci_95'][0]:.3f} to {ua['ci_95'][1]:.3f};")
    assert "Chosen: lr=" in repr(results["search"])


def test_a_notebook_shows_the_tables_of_the_report(results: dict[str, ser.Result]) -> None:
    for result in results.values():
        shown = result._repr_html_()
        assert shown.count("<table>") == shown.count("</table>") == 1
        words = re.sub(r"<style>.*?</style>|<[^>]+>", " ", shown, flags=re.DOTALL)
        told = text_of(result.record, result.path)
        numbers = re.findall(r"\d\.\d{3}", words)
        assert numbers
        assert set(numbers) <= set(re.findall(r"\d\.\d{3}", told))
        assert not re.search(r"(?<!\.ser-record )\b(body|table|th|h2) \{", shown.split("</style>")[0]), "styles the page"


def test_text_in_a_record_is_no_markup(write_experiment: Callable[..., Any], tmp_path: Path) -> None:
    write_experiment(tmp_path / "results", "one", stamps=["<script>alert(1)</script>"])
    shown = ser.load_result("one", tmp_path)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_frames_predictions_and_pictures(results: dict[str, ser.Result]) -> None:
    frame = results["good"].to_frame()
    row = frame[(frame["split"] == "pooled") & (frame["metric"] == "WA")].iloc[0]
    own = results["good"]["pooled"]["WA"]
    assert row["mean"] == own["mean"]
    assert [row["ci_95_speakers_low"], row["ci_95_speakers_high"]] == own["ci_95_speakers"]
    assert len(results["good"].predictions.query("split == 'test'")) == 3 * 96
    of = results["search"].predictions["of"].value_counts()
    assert dict(of) == {"lr=0.005": 3 * 144, "lr=0.02": 3 * 144}  # test 96 and validation 48 of each run
    assert "confusion" in results["good"].kinds_of_pictures
    assert results["good"].plot("confusion")._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match="nothing for a picture of kind layers; expected confusion"):
        results["good"].plot("layers")


def test_numbers_that_no_row_has_are_numbers(
    simulate: Callable[..., Any], write_experiment: Callable[..., Any], tmp_path: Path
) -> None:
    """Of one run there is no interval."""
    write_experiment(tmp_path / "results", "one", frame=simulate(runs=1))
    frame = ser.load_result("one", tmp_path).to_frame()
    assert frame["ci_95_low"].isna().all()
    assert {frame[name].dtype.name for name in ("mean", "std", "ci_95_low", "ci_95_speakers_high")} == {"float64"}


def test_a_result_writes_its_report(results: dict[str, ser.Result], tmp_path: Path) -> None:
    assert results["good"].report() == results["good"].path.with_suffix(".report.html")
    page = results["good"].report(tmp_path / "page.md")
    assert results["good"]["experiment"] in page.read_text(encoding="utf-8")


def test_results_are_compared(results: dict[str, ser.Result]) -> None:
    good, poor = results["good"], results["poor"]
    found = good.compare(poor)
    row = found.to_frame().iloc[0]
    assert row["difference"] == pytest.approx(good["pooled"]["UA"]["mean"] - poor["pooled"]["UA"]["mean"])
    assert row["p"] == found["pairs"][0]["p"]
    assert not found.path.exists()
    within = f"{row['ci_95_low']:.3f} to {row['ci_95_high']:.3f}"
    assert repr(found).endswith(f"\nA - B: UA {row['difference']:+.3f} (95 % {within}), p {row['p']:.4f}")
    assert good.compare(poor["experiment"], metric="WA")["metric"] == "WA"
    with pytest.raises(ConfigError, match="has no predictions of its own"):
        _ = found.predictions


def test_nothing_that_python_returns_is_shown_by_its_address(results: dict[str, ser.Result]) -> None:
    folder = results["good"].path.parents[1]
    with ser.FeatureStore(folder / "features" / "toy" / "good.h5") as store:
        shown = [
            *results.values(),
            results["good"].compare(results["poor"]),
            results["good"].plot(),
            ser.load_table("toy", folder),
            store,
            ser.load_tensors("toy", folder, stores="good"),
            ser.HeadClassifier(),
        ]
        assert repr(shown[-4]) == ("toy: 96 utterances, 6 speakers; anger 24, happiness 24, neutral 24, sadness 24")
        assert repr(store).startswith("toy good: 96 utterances, audio, utterance level, 8 float32")
        frame = store.to_frame()
        assert (frame.loc[store.ids[5]].to_numpy() == store[store.ids[5]]).all()
        for thing in shown:
            assert not ADDRESS.search(repr(thing))
            assert len(repr(thing)) < 400
        for thing in shown[:-1]:
            html = getattr(thing, "_repr_html_", lambda: "")() or ""
            assert not ADDRESS.search(html)
