"""Zero-shot transfer and its matrix: nothing of the target is used, records are shared, what is swapped is named."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.preprocessing import StandardScaler

from ser.cli import cli, main
from ser.errors import ConfigError
from ser.features.tensors import load_tensors
from ser.jsonfile import check, plain
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.folds.protocols import train_and_validation
from ser.metadata.languages import crossing, spoken
from ser.metadata.table import load_table, make_table, write_table
from ser.results.plotting.gallery import draw
from ser.results.records.kinds import read_record, read_summary
from ser.results.result import Result
from ser.results.stored.runs import read_predictions
from ser.results.studies.transfer_matrix import Study
from ser.train.checkpoint import load_head
from ser.train.experiments.adapt import adapt
from ser.train.experiments.fit import fit
from ser.train.experiments.transfer import transfer
from ser.train.experiments.transfer_matrix import matrix
from ser.train.runs import scheduler

FAST: dict[str, Any] = {
    "epochs": 6,
    "lr": 2e-2,
    "batch_size": 8,
    "jobs": 1,
    "head_options": {"hidden": 16},
    "runs": 2,
    "protocol": "session",
}
EMOTIONS = ("anger", "happiness", "neutral", "sadness")
SWAPPED = {"neutral": "sadness", "sadness": "neutral"}


def _by_pair(study: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(c["source"], c["target"]): c for c in study["cells"]}


def relabel(maker: Any, name: str, how: Any) -> None:
    """Write a table again with other labels: `how` of the old ones."""
    table = load_table(name, maker.space)
    frame = table.frame.assign(emotion=how(table.frame["emotion"]))
    rows = frame.assign(label=frame["emotion"]).to_dict("records")
    write_table(make_table(rows, name, {k: table.facts[k] for k in ("corpus", "language")}), maker.space)


def corpora(maker: Any, *names: str, language: tuple[str, ...] = ("en", "de", "en"), **options: Any) -> None:
    for name, code in zip(names, language, strict=False):
        maker.table(name, language=code, **options)
        maker.store(name, strength=3.0)


def predictions(maker: Any, found: dict[str, Any]) -> pd.DataFrame:
    return read_predictions(maker.space.results / f"{found['experiment']}.json")


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The units that are trained: job, folds and runs of each."""
    found: list[Any] = []
    real = scheduler.run_units

    def counting(function: Any, given: Any, jobs: int) -> Any:
        found.extend(given)
        return real(function, given, jobs)

    monkeypatch.setattr(scheduler, "run_units", counting)
    return found


def test_languages_in_words() -> None:
    assert spoken(pd.DataFrame({"language": ["", "de", "en-US", "xx"]})) == ["english", "german", "xx"]
    assert crossing(["german"], ["english"]) == "german -> english"
    assert crossing(["german"], []) is crossing(["german", "english"], ["english"]) is None


def test_zero_shot_is_the_source_only_of_adapt(maker: Any, units: list[Any]) -> None:
    corpora(maker, "here", "there")
    summary = transfer("here", "there", maker.space, **FAST)
    assert [(len(folds), runs) for _, folds, runs, _ in units] == [(3, [0, 1])]
    assert plain(read_summary(maker.space.results / f"{summary['experiment']}.json")) == json.loads(json.dumps(summary))
    assert summary["data"]["languages"] == {"source": ["english"], "target": ["german"]}
    assert "cross-language: english -> german" in summary["stamps"]
    assert summary["suspects"] == []
    frame = predictions(maker, summary)
    test = frame[frame["split"] == "test"]
    assert set(test["dataset"]) == {"there"} != set(frame.loc[frame["split"] == "validation", "dataset"]) == {"here"}
    for run, own in test.groupby("run"):
        assert own["utterance_id"].nunique() == len(own) == 96
        ua = recall_score(own["true"], own["predicted"], average="macro")
        assert summary["pooled"]["UA"]["values"][run] == pytest.approx(ua)
    units.clear()
    study = adapt("here", "there", maker.space, methods=["coral"], **FAST)
    assert "source-only" not in " ".join(job.experiment for job, _, _, _ in units)
    first = study["variants"][0]
    assert (first["experiment"], first["pooled"]) == (summary["experiment"], summary["pooled"])
    again = plain(read_summary(maker.space.results / first["record"]))
    assert {k: v for k, v in again.items() if k not in ("command", "time")} == {
        k: v for k, v in json.loads(json.dumps(summary)).items() if k not in ("command", "time")
    }


def test_labels_of_the_target_change_nothing_but_test_scores(maker: Any) -> None:
    corpora(maker, "here", "there")
    before = transfer("here", "there", maker.space, **FAST)
    seen = predictions(maker, before)
    relabel(maker, "there", lambda e: e.to_numpy()[np.random.default_rng(0).permutation(len(e))])
    after = transfer("here", "there", maker.space, **FAST)
    assert after["experiment"] != before["experiment"]
    other = predictions(maker, after)
    columns = ["utterance_id", "run", "fold", "split", "predicted", *(f"p_{e}" for e in EMOTIONS)]
    pd.testing.assert_frame_equal(seen[columns], other[columns])
    assert after["validation"] == before["validation"]
    assert after["pooled"]["UA"]["mean"] < before["pooled"]["UA"]["mean"] - 0.3


@pytest.mark.parametrize("language", [("en", "en"), ("en", "")])
def test_no_stamp_where_a_language_is_shared_or_not_known(maker: Any, language: tuple[str, ...]) -> None:
    corpora(maker, "here", "there", language=language)
    found = transfer("here", "there", maker.space, **{**FAST, "epochs": 1, "runs": 1, "protocol": "random"})
    # Speakers that a random protocol shares do not concern a head that has seen none of them.
    assert found["stamps"] == []


def test_a_swapped_label_map_is_a_suspect(maker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    corpora(maker, "here", "there")
    relabel(maker, "there", lambda e: e.replace(SWAPPED))
    found = transfer("here", "there", maker.space, **FAST)
    assert [s["classes"] for s in found["suspects"]] == [["neutral", "sadness"]]
    assert main(["results", "show", found["experiment"], "--workspace", str(maker.space.root)]) == 0
    shown = capsys.readouterr().out
    assert "neutral and sadness may be swapped between the corpora's label maps" in shown
    assert "normalised  all corpora by the statistics of the training utterances" in shown


def test_classifiers_of_scikit_learn(maker: Any) -> None:
    """Against scikit-learn by itself: scaled by the source's training part, fitted on all of the source."""
    corpora(maker, "here", "there")
    given = {"head": "sklearn:LogisticRegression", "runs": 1, "jobs": 1, "protocol": "session"}
    found = transfer("here", "there", maker.space, **given)
    here, there = (load_tensors(n, maker.space) for n in ("here", "there"))
    train, validation = train_and_validation(here.frame, here.labels, FoldOptions())
    scaler = StandardScaler().fit(here.blocks[0].values[train])
    x, z = (np.clip(scaler.transform(d.blocks[0].values), -3, 3) for d in (here, there))
    rows = np.concatenate([train, validation])
    head = LogisticRegression(class_weight="balanced").fit(x[rows], here.labels[rows])
    expected = pd.DataFrame(head.predict_proba(z), index=there.frame["utterance_id"], columns=list(there.classes))
    frame = predictions(maker, found)
    test = frame[frame["split"] == "test"].set_index("utterance_id")
    for name in there.classes:
        np.testing.assert_allclose(test[f"p_{name}"], expected.loc[test.index, name], atol=2e-4)
    assert found["data"]["normalization"].startswith("all corpora by the statistics of the training")
    saved = transfer("here", "there", maker.space, save=True, **given)
    (file, *_) = (maker.space.results / saved["experiment"]).glob("*.fold-source.safetensors")
    again = pd.DataFrame(load_head(file).probabilities(list(there.blocks)), index=expected.index)
    np.testing.assert_allclose(again.loc[test.index], test[[f"p_{n}" for n in there.classes]], atol=1e-6)
    corpus = transfer("here", "there", maker.space, normalize="corpus", **given)
    assert any("transductive" in s for s in corpus["stamps"])
    assert corpus["data"]["normalization"] == "each corpus by the statistics of all its own utterances"


def test_one_saved_head_a_run_that_predicts_what_the_record_says(maker: Any, units: list[Any]) -> None:
    corpora(maker, "here", "there")
    found = transfer("here", "there", maker.space, save=True, **FAST)
    folder = maker.space.results / found["experiment"]
    assert sorted(p.name for p in folder.glob("*.safetensors")) == [f"run-00{k}.fold-source.safetensors" for k in (0, 1)]
    head = load_head(folder / "run-001.fold-source.safetensors")
    assert head.about.dataset == "here"
    there = load_tensors("there", maker.space)
    shares = pd.DataFrame(head.probabilities(list(there.blocks)), index=there.frame["utterance_id"])
    frame = predictions(maker, found)
    test = frame[(frame["split"] == "test") & (frame["run"] == 1)].set_index("utterance_id")
    np.testing.assert_allclose(test[[f"p_{c}" for c in head.classes]], shares.loc[test.index], atol=1e-5)
    units.clear()
    (folder / "run-000.fold-source.safetensors").unlink()
    transfer("here", "there", maker.space, save=True, **FAST)
    assert [runs for _, _, runs, _ in units] == [[0]]


def test_a_matrix_of_two_is_both_directions_and_both_fits(maker: Any, units: list[Any]) -> None:
    corpora(maker, "one", "two")
    study = matrix(["one", "two"], maker.space, **FAST)
    path = maker.space.results / f"{study['experiment']}.json"
    assert plain(read_record(path)) == json.loads(json.dumps(study))
    cells = _by_pair(study)
    for source, target in (("one", "two"), ("two", "one")):
        before = (maker.space.results / cells[source, target]["record"]).read_bytes()
        alone = transfer(source, target, maker.space, **FAST)
        assert (maker.space.results / cells[source, target]["record"]).read_bytes() == before
        assert cells[source, target]["experiment"] != alone["experiment"]
        assert cells[source, target]["pooled"] == alone["pooled"]
        values = [part["validation"]["UA"]["values"] for part in (cells[source, target], alone)]
        assert values[0] == pytest.approx(values[1])
        within = fit(source, maker.space, refit="never", **FAST)
        assert (cells[source, source]["experiment"], within["experiment"]) == (within["experiment"],) * 2
        assert cells[source, source]["pooled"] == within["pooled"]
        assert study["sources"][source]["UA"]["values"] == alone["pooled"]["UA"]["values"]
        assert study["targets"][target]["UA"]["values"] == alone["pooled"]["UA"]["values"]
    assert cells["one", "two"]["cross_language"] == "english -> german"
    assert cells["one", "one"]["cross_language"] is None
    assert "cross-language: german -> english" in study["stamps"]


@pytest.mark.parametrize("ending", [".csv", ".matrix.png"])
def test_a_matrix_takes_no_place_of_other_files(maker: Any, tmp_path: Path, ending: str) -> None:
    corpora(maker, "one", "two")
    (tmp_path / f"mine{ending}").write_text("my own")
    with pytest.raises(ConfigError, match=rf"mine\{ending} is there already, and would be lost"):
        matrix(["one", "two"], maker.space, output=tmp_path / "mine.json", **FAST)
    assert (tmp_path / f"mine{ending}").read_text() == "my own"


def test_a_matrix_takes_all_corpora_that_have_the_named_stores(maker: Any) -> None:
    corpora(maker, "one", "two")
    maker.table("other")
    maker.store("other", "another")
    store = maker.space.stores("one")[0]
    assert matrix(workspace=maker.space, audio=store, **FAST)["datasets"] == ["one", "two"]


def test_a_matrix_of_three_over_what_all_have(maker: Any, units: list[Any]) -> None:
    corpora(maker, "one", "two", emotions=EMOTIONS)
    maker.table("three", emotions=("anger", "happiness", "sadness", "fear"), language="en")
    maker.store("three", strength=3.0)
    relabel(maker, "two", lambda e: e.replace({"anger": "sadness", "sadness": "anger"}))
    study = matrix(None, maker.space, **FAST)
    assert study["datasets"] == ["one", "three", "two"]
    space = study["data"]["label_space"]
    assert space["classes"] == ["anger", "happiness", "sadness"]
    assert {c["dataset"]: c["left_out"] for c in space["corpora"]} == {
        "one": {"neutral": 24},
        "three": {"fear": 24},
        "two": {"neutral": 24},
    }
    abroad = {job.experiment: (len(folds), runs) for job, folds, runs, _ in units if "source-only" in job.experiment}
    assert sorted(abroad.values()) == [(2, [0, 1])] * 3  # one head a source and seed for both targets
    cells = _by_pair(study)
    flagged = {pair for pair, cell in cells.items() if cell["suspects"]}
    assert flagged == {("one", "two"), ("three", "two"), ("two", "one"), ("two", "three")}
    for (source, target), cell in cells.items():
        frame = read_predictions(maker.space.results / cell["record"])
        test = frame[(frame["split"] == "test") & ((frame["fold"] == cell["fold"]) | (source == target))]
        assert cell["utterances"] == 72
        for run, own in test.groupby("run"):
            assert len(own) == 72
            assert all(own["utterance_id"].str.startswith(target))
            ua = recall_score(own["true"], own["predicted"], average="macro")
            assert cell["pooled"]["UA"]["values"][run] == pytest.approx(ua)
    rows = [cells["one", t]["pooled"]["UA"]["values"] for t in ("two", "three")]
    assert study["sources"]["one"]["UA"]["values"] == pytest.approx(np.mean(rows, axis=0))
    columns = [cells[s, "one"]["pooled"]["WA"]["values"] for s in ("two", "three")]
    assert study["targets"]["one"]["WA"]["values"] == pytest.approx(np.mean(columns, axis=0))
    _check_csv(maker.space.results / f"{study['experiment']}.csv", study)
    assert (maker.space.results / f"{study['experiment']}.matrix.png").read_bytes().startswith(b"\x89PNG")


def _check_csv(path: Path, study: dict[str, Any]) -> None:
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    assert len(rows) == 4 * (9 + 6)
    ua = {(r["source"], r["target"]): r for r in rows if r["metric"] == "UA"}
    for pair, cell in _by_pair(study).items():
        assert float(ua[pair]["mean"]) == cell["pooled"]["UA"]["mean"]
        assert ua[pair]["within"] == str(pair[0] == pair[1]).lower()
    assert float(ua["one", "others"]["mean"]) == study["sources"]["one"]["UA"]["mean"]
    assert float(ua["others", "two"]["mean"]) == study["targets"]["two"]["UA"]["mean"]


def test_a_matrix_goes_on_where_it_was_stopped(maker: Any, units: list[Any]) -> None:
    corpora(maker, "one", "two")
    first = matrix(["one", "two"], maker.space, **FAST)
    cells = _by_pair(first)
    units.clear()
    folder = maker.space.results
    (folder / cells["one", "two"]["experiment"] / "run-001.fold-two.json").unlink()
    lost = sorted((folder / cells["two", "two"]["experiment"]).glob("run-000*.csv"))[1]
    lost.write_text("damaged")
    again = matrix(["one", "two"], maker.space, **FAST)
    assert sorted((job.experiment, len(folds), runs) for job, folds, runs, _ in units) == sorted(
        [(cells["one", "two"]["experiment"], 1, [1]), (cells["two", "two"]["experiment"], 1, [0])]
    )
    assert again["cells"] == first["cells"]
    units.clear()
    more = matrix(["one", "two"], maker.space, **{**FAST, "runs": 3})
    assert {tuple(runs) for _, _, runs, _ in units} == {(2,)}
    assert more["cells"][0]["pooled"]["UA"]["values"][:2] == first["cells"][0]["pooled"]["UA"]["values"]


def test_the_picture_says_what_the_study_says(maker: Any) -> None:
    corpora(maker, "one", "two")
    relabel(maker, "two", lambda e: e.replace(SWAPPED))
    study = matrix(["one", "two"], maker.space, **FAST)
    texts = [
        t.get_text()
        for t in draw(Result(Path("matrix.json"), check(study, Study, "matrix")), "matrix", "WA").figure.axes[0].texts
    ]
    for cell in study["cells"]:
        value = cell["pooled"]["WA"]
        assert f"{value['mean']:.3f}\n± {value['std']:.3f}" in texts
    assert texts.count("/?") == 2
    with pytest.raises(ConfigError, match="nothing for a picture of kind matrix"):
        draw(Result(Path("fit.json"), study.record.time), "matrix")
    runner, root = CliRunner(), str(maker.space.root)
    shown = runner.invoke(cli, ["results", "show", study["experiment"], "--workspace", root])
    assert "- one -> two: neutral and sadness may be swapped" in shown.output
    assert f"[{study['cells'][0]['pooled']['UA']['mean']:.3f}" in shown.output
    plotted = runner.invoke(cli, ["results", "plot", study["experiment"], "--metric", "WA", "--workspace", root])
    assert plotted.output.strip().endswith(".matrix.WA.png")
    table = runner.invoke(cli, ["results", "show", study["experiment"], "--format", "csv", "--workspace", root])
    assert table.output == (maker.space.results / f"{study['experiment']}.csv").read_text(encoding="utf-8")


def test_the_command(maker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    corpora(maker, "one", "two")
    fast = ["--epochs", "2", "--runs", "1", "--jobs", "1", "--head", "linear", "--workspace", str(maker.space.root)]
    assert main(["transfer", "--source", "one", "--target", "two", *fast]) == 0
    assert "cross-language: english -> german" in capsys.readouterr().out
    output = maker.space.root / "m.json"
    assert main(["transfer", "--matrix", "--datasets", "two,one", "--output", str(output), *fast]) == 0
    assert {p.name for p in maker.space.root.glob("m.*")} == {"m.json", "m.csv", "m.matrix.png"}
    capsys.readouterr()
    for wrong in (["--matrix", "--source", "one"], ["--datasets", "one,two"], ["--matrix", "--datasets", "one"]):
        assert main(["transfer", *wrong, *fast]) == 2
        assert capsys.readouterr().err.startswith("ser: ")
