"""Verification: what was written is found as it was; every number, prediction and file that was changed is found."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from ser.cli import cli, main
from ser.errors import ConfigError
from ser.jsonfile import plain
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.records.kinds import read_summary
from ser.results.stored.runs import read_predictions
from ser.results.stored.verdict import Verdict
from ser.results.verification.data import own_scheme
from ser.results.verification.verify import verify, verify_all
from ser.workspace import Workspace

Write = Callable[..., tuple[Path, dict[str, Any]]]
Place = list[Any]
CLASSES = ["anger", "happiness", "neutral", "sadness"]
SECONDS = 9.0  # of six runs of 1.5 s


@pytest.fixture
def path(tmp_path: Path, write_experiment: Write) -> Path:
    return write_experiment(tmp_path / "results", seconds=SECONDS)[0]


def differences(path: Path) -> list[str]:
    return [d.where for d in verify(path, Workspace(path.parent.parent)).differences]


def test_what_was_written_is_as_recorded(path: Path) -> None:
    found = verify(path, Workspace(path.parent.parent))
    assert found.differences == []
    assert found.missing == []
    assert found.numbers > 300
    assert found.files == 6


def leaves(value: Any, place: Place) -> Iterator[Place]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, [*place, key])
    elif isinstance(value, list):
        for k, item in enumerate(value):
            yield from leaves(item, [*place, k])
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield place


def changed(content: Any, place: Place, by: float) -> Any:
    """A copy with one number a little larger or smaller, within 0 and 1 where it is there."""
    content = json.loads(json.dumps(content))
    inner = content
    for step in place[:-1]:
        inner = inner[step]
    old = inner[place[-1]]
    inner[place[-1]] = old + 1 if isinstance(old, int) else old - by if old > 0.5 else old + by
    return content


def test_each_single_number_that_is_changed_is_found(path: Path) -> None:
    """All of them, one after another, by a millionth."""
    summary = read_summary(path)
    again = metrics_from_predictions(read_predictions(path), CLASSES)
    numbers = {key: plain(summary[key]) for key in plain(again)}
    places = list(leaves(numbers, []))
    assert len(places) > 200
    for place in places:
        verdict = Verdict(path)
        verdict.compare(changed(numbers, place, 1e-6), again)
        (found,) = verdict.differences
        assert found.where == "$" + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in place)
    fine = Verdict(path)
    fine.compare(numbers, again)
    assert fine.differences == []


@pytest.mark.parametrize(
    "place",
    [
        ["validation", "UA", "mean"],
        ["test", "WA", "std"],
        ["test", "UA", "n"],
        ["pooled", "WF1", "ci_95", 0],
        ["pooled", "UA", "ci_95_speakers", 1],
        ["pooled", "Macro_F1", "values", 2],
        ["confusion_matrix", "counts", 1, 2],
        ["confusion_matrix", "runs"],
        ["per_class", "anger", "precision"],
        ["per_class", "neutral", "recall"],
        ["per_class", "sadness", "F1"],
        ["per_class", "sadness", "support"],
        ["groups", "gender", "female", "UA"],
        ["groups", "gender", "male", "n"],
        ["groups", "gender_gap", "WA"],
        ["groups", "speaker", "s03", "UA"],
        ["groups", "speaker_gap", "UA"],
        ["folds", "1", "UA", "mean"],
        ["folds", "2", "n"],
        ["time", "seconds"],
        ["config", "runs"],
        ["runs", 0, "seed"],
        ["runs", 1, "best_epoch"],
        ["runs", 2, "seconds"],
    ],
)
def test_a_changed_number_in_the_file_is_found(path: Path, place: Place) -> None:
    path.write_text(json.dumps(changed(json.loads(path.read_text()), place, 1e-4)))
    found = differences(path)
    assert len(found) == 1
    if place[0] == "config":
        assert found == ["$.config_hash"]
    elif place[0] == "runs":
        assert found[0].endswith(f".json.{place[2]}")
    else:
        assert found[0].startswith(f"$.{place[0]}.")


@pytest.mark.parametrize(
    "place", [["test", "UA"], ["validation", "WF1"], ["n", "test"], ["seed"], ["best_epoch"], ["run"], ["seconds"]]
)
def test_a_changed_number_in_a_run_is_found(path: Path, place: Place) -> None:
    run = path.parent / "emodb-mlp" / "run-001.fold-02.json"
    run.write_text(json.dumps(changed(json.loads(run.read_text()), place, 1e-4)))
    assert any(f"run-001.fold-02.json{' $' if len(place) > 1 else ''}.{'.'.join(place)}" in w for w in differences(path))


def alter(run: Path, change: Callable[[pd.DataFrame], pd.DataFrame], signed: bool) -> None:
    """Change the predictions of a run; signed: with their new hash in the run's record."""
    frame = pd.read_csv(run.with_suffix(".csv"), dtype={"fold": str}, keep_default_na=False)
    frame = change(frame)
    frame.to_csv(run.with_suffix(".csv"), index=False, lineterminator="\n")
    if signed:
        content = json.loads(run.read_text())
        content["predictions_sha256"] = hashlib.sha256(run.with_suffix(".csv").read_bytes()).hexdigest()
        run.write_text(json.dumps(content))


def other_class(frame: pd.DataFrame) -> pd.DataFrame:
    row = int(np.flatnonzero((frame["split"] == "test") & (frame["predicted"] == frame["true"]))[0])
    frame.loc[row, "predicted"] = next(c for c in CLASSES if c != frame.loc[row, "predicted"])
    return frame


def other_truth(frame: pd.DataFrame) -> pd.DataFrame:
    row = int(np.flatnonzero(frame["split"] == "test")[0])
    frame.loc[row, "true"] = next(c for c in CLASSES if c != frame.loc[row, "true"])
    return frame


def other_share(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[3, [f"p_{c}" for c in CLASSES]] = [0.25 + 0.01 * k for k in range(4)]
    frame.loc[3, "predicted"] = frame.loc[3, "predicted"] if frame.loc[3, "predicted"] != "sadness" else "anger"
    return frame


@pytest.mark.parametrize("change", [other_class, other_truth, other_share])
def test_a_changed_prediction_is_found_also_under_a_new_hash(
    path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    run = path.parent / "emodb-mlp" / "run-002.fold-01.json"
    alter(run, change, signed=False)
    assert any("SHA-256" in where for where in differences(path))
    alter(run, lambda frame: frame, signed=True)
    found = differences(path)
    assert found
    assert not any("SHA-256" in where for where in found)


def test_a_prediction_less_or_of_another_run_is_found(path: Path) -> None:
    run = path.parent / "emodb-mlp" / "run-000.fold-01.json"
    alter(run, lambda frame: frame.drop(index=frame.index[-1]), signed=True)
    assert any("$.n." in where for where in differences(path))
    alter(run, lambda frame: frame.assign(run=5), signed=True)
    assert any("run and fold of" in where for where in differences(path))


@pytest.mark.parametrize("ending", [".json", ".csv"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_missing_or_damaged_file_is_found(path: Path, ending: str, damage: str) -> None:
    file = path.parent / "emodb-mlp" / f"run-001.fold-01{ending}"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:200])
    verdict = verify(path, Workspace(path.parent.parent))
    assert any(file.name in d.where for d in verdict.differences)


def test_few_shot_amounts_and_the_source_are_recomputed(
    tmp_path: Path, write_experiment: Write, simulate_fewshot: Callable[..., pd.DataFrame]
) -> None:
    path, _ = write_experiment(tmp_path / "results", "few", frame=simulate_fewshot((0, 10, 20)))
    assert differences(path) == []
    content = json.loads(path.read_text())
    for place in (
        ["percentages", "10%", "pooled", "UA", "mean"],
        ["percentages", "20%", "n_samples"],
        ["source", "zero_shot", "test", "WA", "std"],
        ["source", "validation", "UA", "mean"],
    ):
        path.write_text(json.dumps(changed(content, place, 1e-4)))
        assert differences(path) == ["$." + ".".join(place)]


def test_a_file_that_is_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.json").write_text('{"schema": "ser.audit/1"}')
    with pytest.raises(ConfigError, match="cannot be recomputed"):
        verify(tmp_path / "x.json", Workspace(tmp_path))
    (tmp_path / "y.json").write_text('{"schema": "ser.summary/1"}')
    (found,) = verify(tmp_path / "y.json", Workspace(tmp_path)).differences
    assert "required" in found.line()
    (tmp_path / "z.json").write_text("{")
    asked: list[int] = []

    def here(function: Any, units: Any, jobs: int, what: str) -> Any:
        asked.append(jobs)
        return starmap(function, units)

    monkeypatch.setattr("ser.results.verification.verify.in_order", here)  # starting processes takes seconds
    for jobs in (1, 2):
        assert [len(v.differences) for v in verify_all(tmp_path, Workspace(tmp_path), jobs)] == [1, 1]
    assert asked == [2]


def test_a_long_seed_is_compared_to_the_last_digit() -> None:
    seed = 5_123_456_789_012_345_678
    for other in (seed + 1, seed + 100):
        verdict = Verdict(Path("x.json"))
        verdict.compare({"seed": other}, {"seed": seed})
        assert len(verdict.differences) == 1
    fine = Verdict(Path("x.json"))
    fine.compare([seed, 0.1 + 0.2, 1], [seed, 0.3, 1.0])
    assert fine.differences == []


def test_the_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = ["--workspace", str(path.parent.parent)]
    done = CliRunner().invoke(cli, ["results", "verify", "emodb", *space])
    assert (done.exit_code, "as recorded" in done.output) == (0, True)
    capsys.readouterr()
    assert main(["results", "verify", "emodb", "--all", *space]) == 2
    assert "--all takes all results; leave it out, or emodb" in capsys.readouterr().err
    assert main(["results", "verify", *space]) == 2
    assert "nothing to verify; name results, or give --all" in capsys.readouterr().err
    assert main(["results", "verify", "emodb", "--jobs", "2", *space]) == 2
    content = changed(json.loads(path.read_text()), ["pooled", "UA", "mean"], 1e-4)
    path.write_text(json.dumps(content))
    done = CliRunner().invoke(cli, ["results", "verify", "--all", *space])
    assert done.exit_code == 3
    stored = content["pooled"]["UA"]["mean"]
    assert f"$.pooled.UA.mean: stored {stored!r}, recomputed " in done.stderr
    assert "1 results, 1 with differences" in done.stdout


FAST: dict[str, Any] = {"epochs": 3, "runs": 2, "jobs": 1, "lr": 1e-2, "head_options": {"hidden": 8}}


@pytest.fixture(scope="module")
def once_trained(tmp_path_factory: pytest.TempPathFactory, maker_type: Any) -> Any:
    """Two corpora with features, and an experiment on the first."""
    from ser.train.experiments.fit import fit

    maker = maker_type(tmp_path_factory.mktemp("workspace"))
    for name, language in (("one", "en"), ("two", "de")):
        maker.table(name, speakers=4, each=2, language=language)
        maker.store(name, strength=0.7)
    maker.fitted = fit("one", maker.space, head="mlp", protocol="speaker", **FAST)
    return maker


@pytest.fixture
def trained(once_trained: Any, maker: Any) -> Any:
    """A copy of these for a test."""
    shutil.copytree(once_trained.space.root, maker.space.root, dirs_exist_ok=True)
    maker.fitted = once_trained.fitted
    return maker


def test_tables_and_stores_are_compared_with_their_hashes(trained: Any) -> None:
    space = trained.space
    path = space.results / f"{trained.fitted['experiment']}.json"
    found = verify(path, space)
    assert (found.differences, found.missing) == ([], [])
    assert found.files == 8 + 2
    store = space.store("one", "toy")
    whole = store.read_bytes()
    trained.store("one", strength=0.71)
    assert any("features/one/toy.h5" in where for where in differences(path))
    store.write_bytes(whole)
    assert differences(path) == []
    trained.table("one", speakers=4, each=2, language="fr")
    trained.table("one", speakers=4, each=3, language="en")
    assert any("metadata/one.csv" in where for where in differences(path))
    space.table("one").unlink()
    store.unlink()
    found = verify(path, space)
    assert found.differences == []
    assert len(found.missing) == 2
    assert main(["results", "verify", path.stem, "--workspace", str(space.root)]) == 0
    assert main(["results", "verify", path.stem, "--strict", "--workspace", str(space.root)]) == 3


EDITS: list[tuple[Place, Any]] = [
    (["stamps"], []),
    (["stamps", 0], "nothing to see"),
    (["notes"], ["all is well"]),
    (["data", "utterances"], 5000),
    (["data", "dataset"], "other"),
    (["data", "classes", "anger"], 9),
    (["data", "rows_sha256"], "0" * 64),
    (["data", "folds_sha256"], "0" * 64),
    (["data", "folds", 0, "train"], 99),
    (["data", "folds", 1, "name"], "s9"),
    (["data", "folds", 1, "validation_by"], "utterance"),
    (["data", "audit", "speaker_independent"], False),
    (["data", "audit", "shares", "speaker", "shared"], 2),
    (["data", "stores", "toy", "features_sha256"], "0" * 64),
    (["data", "normalize"], "train"),
    (["data", "dropped"], {"not in scheme 4: fear": 2}),
]


def test_records_with_the_older_words_for_what_is_left_out_verify(maker: Any) -> None:
    from ser.features.tensors import NOT_IN_USE
    from ser.train.experiments.transfer import transfer

    for name, emotions in (("one", ("anger", "happiness", "sadness")), ("two", ("anger", "sadness", "fear"))):
        maker.table(name, emotions=emotions)
        maker.store(name)
    found = transfer("one", "two", maker.space, head="mlp", protocol="speaker", **FAST)
    path = maker.space.results / f"{found['experiment']}.json"
    text = path.read_text()
    assert f"{NOT_IN_USE}: happiness" in text
    for words in (NOT_IN_USE, "not in scheme 4"):
        path.write_text(text.replace(NOT_IN_USE, words))
        assert differences(path) == []


def test_what_a_record_says_of_its_data_is_made_again(trained: Any) -> None:
    from ser.train.experiments.fit import fit

    fitted = fit("one", trained.space, head="mlp", protocol="speaker", normalize="speaker", **FAST)
    path = trained.space.results / f"{fitted['experiment']}.json"
    content = json.loads(path.read_text())
    assert len(content["stamps"]) == 1
    assert differences(path) == []
    for place, value in EDITS:
        edited = json.loads(json.dumps(content))
        inner = edited
        for step in place[:-1]:
            inner = inner[step]
        assert inner[place[-1]] != value
        inner[place[-1]] = value
        path.write_text(json.dumps(edited))
        assert differences(path), place
    path.write_text(json.dumps({**content, "stamps": [*content["stamps"], "of another kind"], "command": "ser fit"}))
    found = verify(path, trained.space)
    assert found.differences == []
    assert [("command" in line, "of another kind" in line) for line in found.beyond] == [(True, False), (False, True)]


WRONG: list[tuple[Place, Any]] = [
    (["data", "utterances"], "many"),
    (["data", "classes"], ["anger"]),
    (["data", "classes", "anger"], None),
    (["data", "folds", 1], 3),
    (["data", "folds", 0, "train"], "all"),
    (["data", "fold_options", "folds"], "ten"),
    (["data", "stores", "toy"], "0" * 64),
    (["data", "stores", "toy", "sha256"], 5),
    (["data", "table"], []),
    (["data", "audit", "shares"], None),
    (["data", "datasets"], {"one": {"folds": 1}}),
    (["config", "inputs"], {"dataset": "one"}),
]


def test_a_fact_of_another_type_is_one_line_with_its_place(trained: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = trained.space.results / f"{trained.fitted['experiment']}.json"
    whole = path.read_text()
    for place, value in WRONG:
        content = inner = json.loads(whole)
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = value
        path.write_text(json.dumps(content))
        named = ["[...]" if s in ("anger", "toy") else f"[{s}]" if isinstance(s, int) else f".{s}" for s in place]
        for command in ("verify", "show", "report"):
            assert main(["results", command, str(path), "--workspace", str(trained.space.root)]) in (1, 3)
            told = capsys.readouterr().err
            assert f"${''.join(named)}" in told
            assert "Traceback" not in told


def test_an_error_of_the_program_is_not_a_fault_of_the_record(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AttributeError("no such attribute")

    monkeypatch.setattr("ser.results.verification.verify.metrics_from_predictions", broken)
    with pytest.raises(AttributeError, match="no such attribute"):
        verify(path, Workspace(path.parent.parent))


def test_copies_that_were_found_after_training_are_no_fault(trained: Any) -> None:
    from ser.metadata.copies import Copies, write_copies

    path = trained.space.results / f"{trained.fitted['experiment']}.json"
    ids = ("one-s0-anger-0", "one-s1-anger-0")
    digest = hashlib.sha256(trained.space.table("one").read_bytes()).hexdigest()
    write_copies(trained.space, "one", digest, Copies(identical=(ids,)))
    assert differences(path) == []


@pytest.mark.parametrize("options", [{"head": "sklearn:GaussianNB"}, {**FAST, "head": "mlp", "selection": "last"}, FAST])
def test_stamps_speak_of_an_epoch_where_validation_picks_one(trained: Any, options: dict[str, Any]) -> None:
    from ser.train.experiments.fit import fit

    fitted = fit("one", trained.space, protocol="random", **{"runs": 1, "jobs": 1, **options})
    path = trained.space.results / f"{fitted['experiment']}.json"
    shared = "speakers shared: 2 of the test speakers are in validation"
    epoch = f"{shared}, which picks the epoch too"
    expected, other = (epoch, f"{shared} too") if options is FAST else (f"{shared} too", epoch)
    assert expected in fitted["stamps"]
    assert any("epoch" in stamp for stamp in fitted["stamps"]) is (options is FAST)
    assert differences(path) == []
    # Records of heads without one said the same of the epoch until they were told apart.
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "stamps": [other if s == expected else s for s in content["stamps"]]}))
    assert differences(path) == (["$.stamps"] if options is FAST else [])


def test_a_true_label_that_is_not_the_tables_is_found(trained: Any) -> None:
    path = trained.space.results / f"{trained.fitted['experiment']}.json"
    for run in sorted(path.with_suffix("").glob("*.json")):
        alter(run, _mislabel, signed=True)
    assert any(where == "true label of one one-s0-anger-0" for where in differences(path))


def _mislabel(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[frame["utterance_id"] == "one-s0-anger-0", "true"] = "sadness"
    return frame


def _rewritten(path: Path, *places: Place) -> list[str]:
    """Differences with some numbers of the file changed, and the file as it was again."""
    before = path.read_text()
    path.write_text(json.dumps(reduce(lambda content, place: changed(content, place, 1e-4), places, json.loads(before))))
    found = differences(path)
    path.write_text(before)
    return found


def _study(trained: Any, kind: str) -> dict[str, Any]:
    from ser.train.experiments.ablate import ablate
    from ser.train.experiments.adapt import adapt
    from ser.train.experiments.combine import combine
    from ser.train.experiments.fewshot import fewshot
    from ser.train.experiments.layers import layers
    from ser.train.experiments.search import search
    from ser.train.experiments.transfer_matrix import matrix

    space = trained.space
    if kind == "adapt":
        return adapt("one", "two", space, head="mlp", protocol="speaker", methods=["coral"], **FAST)
    if kind == "ablate":
        trained.store("one", "words", modality="text")
        return ablate("one", space, head="early", simple="early", protocol="speaker", **FAST)
    if kind == "layers":
        trained.store("one", "deep", layers=(0.1, 0.9))
        return layers("one", space, stores="deep", protocol="speaker", **{**FAST, "head_options": None})
    if kind == "matrix":
        return matrix(["one", "two"], space, head="mlp", protocol="speaker", **FAST)
    if kind == "combine":
        return combine(["one", "two"], space, head="mlp", protocol="speaker", **FAST)
    if kind == "search":
        return search("one", space, head="mlp", protocol="speaker", grid={"weight_decay": [0.0, 0.1]}, **FAST)
    options = {"protocol": "speaker", "percentages": [50.0, 100.0], "methods": ["scratch", "simpleshot"]}
    return fewshot("two", "one", space, head="mlp", **options, **FAST)


PLACES: dict[str, list[Place]] = {
    "adapt": [
        ["variants", 1, "pooled", "UA", "mean"],
        ["variants", 1, "selection_score"],
        ["comparisons", 0, "difference"],
        ["comparisons", 1, "tests", "speakers", "p"],
    ],
    "ablate": [["variants", 0, "test", "UA", "mean"], ["comparisons", 1, "p_holm"], ["comparisons", 0, "effect_size"]],
    "layers": [
        ["positions", 1, "validation", "UA", "mean"],
        ["all_layers", "pooled", "UA", "mean"],
        ["weights", 1, "weight", "std"],
        ["nested", "pooled", "WA", "mean"],
        ["comparisons", 0, "difference"],
    ],
    "matrix": [["cells", 1, "pooled", "WA", "std"], ["sources", "one", "UA", "mean"], ["cells", 0, "utterances"]],
    "combine": [
        ["datasets", "one", "pooled", "UA", "mean"],
        ["datasets", "two", "alone", "test", "WA", "mean"],
        ["datasets", "two", "comparison", "p"],
    ],
    "search": [["settings", 0, "validation", "UA", "mean"], ["chosen", "pooled", "UA", "mean"], ["nested", "test", "UA", "n"]],
    "fewshot": [
        ["methods", 0, "curve", 0, "pooled", "UA", "mean"],
        ["comparisons", 0, "difference"],
        ["saved_labels", 0, "score"],
    ],
}


@pytest.mark.parametrize("kind", list(PLACES))
def test_the_numbers_of_studies_are_recomputed(trained: Any, kind: str) -> None:
    study = _study(trained, kind)
    path = trained.space.results / f"{study['experiment']}.json"
    assert verify(path, trained.space).differences == []
    found = _rewritten(path, *PLACES[kind])
    for place in PLACES[kind]:
        assert "$" + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in place) in found


@pytest.mark.parametrize("name", ["../../secret", "/etc/x", "..", "a/b", ""])
def test_a_dataset_of_a_record_is_a_bare_name(path: Path, name: str) -> None:
    (path.parent.parent.parent / "secret.csv").write_text("a secret")
    record = json.loads(path.read_text())
    record["data"] = {"dataset": name, "table": {"path": "x", "sha256": "0" * 64}, "stores": {}}
    path.write_text(json.dumps(record))
    verdict = verify(path, Workspace(path.parent.parent))
    assert any("is not the name of a dataset" in d.line() for d in verdict.differences)


def test_a_scheme_outside_the_workspace_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    assert own_scheme("4", Workspace(tmp_path / "w")) == "4"
    inside = str(tmp_path / "w" / "own.yaml")
    assert own_scheme(inside, Workspace(tmp_path / "w")) == inside
    for name in (tmp_path / "other.yaml", tmp_path / "w" / ".." / "other.json"):
        with pytest.raises(ConfigError, match="outside the workspace"):
            own_scheme(str(name), Workspace(tmp_path / "w"))


@pytest.mark.parametrize("other", ["../secret.csv", "/etc/passwd", "link.csv"])
@pytest.mark.parametrize(
    "command", [["show"], ["report", "--format", "csv"], ["verify"], ["plot", "--kind", "all"], ["compare", "two"]]
)
def test_predictions_of_a_record_lie_below_its_folder(
    path: Path, other: str, command: list[str], write_experiment: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write_experiment(path.parent, "two")
    (path.parent.parent / "secret.csv").write_text("a secret")
    (path.parent / "link.csv").symlink_to(path.parent.parent / "secret.csv")
    record = json.loads(path.read_text())
    for row in record["runs"]:
        row["predictions"] = other
    path.write_text(json.dumps(record))
    code = main(["results", command[0], path.stem, *command[1:], "--workspace", str(path.parent.parent)])
    said = capsys.readouterr()
    assert "a secret" not in said.out + said.err
    if command != ["show"]:
        assert code in (1, 3)
        assert f"names a file outside its folder: {other}" in said.err


def test_an_odd_file_by_its_path_is_named_as_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    for name, words in (("fifo", "a named pipe, not a regular file"), ("loop", "Too many levels of symbolic links")):
        for command in ("show", "verify", "report"):
            assert main(["results", command, str(tmp_path / f"{name}.json")]) == 1
            assert words in capsys.readouterr().err


def test_odd_files_among_results_do_not_end_the_list(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(path.parent / "fifo.json")
    (path.parent / "loop.json").symlink_to(path.parent / "loop.json")
    (path.parent / "folder.json").mkdir()
    (path.parent / "zero.json").symlink_to("/dev/zero")
    assert main(["results", "list", "--workspace", str(path.parent.parent)]) == 3
    said = capsys.readouterr()
    assert "emodb-mlp" in said.out
    for name in ("fifo", "loop", "folder", "zero"):
        assert f"{name}.json" in said.err
