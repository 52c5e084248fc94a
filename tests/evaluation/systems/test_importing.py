"""Predictions made elsewhere become records: read, joined by id, mapped, scored, verified."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, recall_score

from ser.cli import main
from ser.errors import SerError
from ser.evaluation.systems.importing import import_predictions
from ser.evaluation.systems.label_map import map_labels, read_map
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.folds.protocols import make_folds
from ser.metadata.labels import SCHEMES
from ser.metadata.table import load_table
from ser.results.comparison.compare import compare_results
from ser.results.records.kinds import read_summary
from ser.results.stored.runs import read_predictions
from ser.results.verification.verify import verify

WORDS = {"anger": "ang", "happiness": "Happy", "neutral": "<|NEUTRAL|>", "sadness": "难过/sad"}  # as systems write them


def answers_of(maker: Any, *, folds: tuple[str, ...] = ("test",), skill: float = 1.0) -> pd.DataFrame:
    """Probabilities of a simulated system for the utterances of some official parts, in a shuffled order."""
    frame = load_table("toy", maker.space).frame
    frame = frame[frame["split"].isin(folds)].sample(frac=1, random_state=0)
    truth = frame["emotion"].to_numpy()[:, None] == np.array(list(WORDS))
    logits = np.random.default_rng(0).normal(size=truth.shape) + skill * truth
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    made = pd.DataFrame(shares.round(5), columns=[f"p_{word}" for word in WORDS.values()])
    made.insert(0, "utterance_id", frame["utterance_id"].to_numpy())
    return made


def written(maker: Any, frame: pd.DataFrame, name: str = "answers.csv") -> Path:
    path: Path = maker.space.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False)
    return path


def imported(maker: Any, frame: pd.DataFrame, **options: Any) -> dict[str, Any]:
    content, _ = import_predictions(written(maker, frame), "toy", maker.space, **options)
    return dict(content)


def predicted(maker: Any, content: dict[str, Any]) -> pd.DataFrame:
    return read_predictions(maker.space.results / f"{content['experiment']}.json")


def faults(maker: Any, content: dict[str, Any]) -> list[str]:
    found = verify(maker.space.results / f"{content['experiment']}.json", maker.space)
    return [fault.line() for fault in found.differences] + found.missing


@pytest.fixture
def toy(maker: Any) -> Any:
    maker.table("toy")
    return maker


def test_scores_are_those_of_the_file(toy: Any) -> None:
    frame = answers_of(toy)
    content = imported(toy, frame)
    table = load_table("toy", toy.space).frame.set_index("utterance_id")
    truth = table.loc[frame["utterance_id"], "emotion"]
    guess = np.array(list(WORDS))[frame.iloc[:, 1:].to_numpy().argmax(1)]
    assert content["pooled"]["UA"]["mean"] == pytest.approx(recall_score(truth, guess, average="macro"))
    assert content["pooled"]["WF1"]["mean"] == pytest.approx(f1_score(truth, guess, average="weighted"))
    assert content["data"]["import"]["labels"] == {word: name for name, word in WORDS.items()}
    assert content["validation"] is None
    assert [s for s in content["stamps"] if s.startswith("imported predictions: answers")]
    assert faults(toy, content) == []


def test_the_record_works_as_that_of_a_head(toy: Any, capsys: pytest.CaptureFixture[str]) -> None:
    toy.store("toy")
    common = ["--workspace", str(toy.space.root)]
    quick = ["--runs", "1", "--epochs", "2", "--jobs", "1", "--protocol", "official", "--quiet"]
    assert main(["fit", "--dataset", "toy", "--head", "linear", *quick, *common]) == 0
    file = str(written(toy, answers_of(toy)))
    assert main(["results", "import", file, "--dataset", "toy", "--name", "other", *common]) == 0
    capsys.readouterr()
    other = "import-toy-other"
    assert main(["results", "list", "--command", "import", *common]) == 0
    assert other in capsys.readouterr().out
    assert main(["results", "show", other, *common]) == 0
    assert "s of training" not in capsys.readouterr().out
    assert main(["results", "verify", "--all", *common]) == 0
    assert "2 results, 0 with differences" in capsys.readouterr().out
    assert main(["results", "compare", other, "fit-toy", "--metric", "WF1", *common]) == 0
    assert "linear" in capsys.readouterr().out
    assert main(["results", "report", other, "--format", "md", *common]) == 0
    assert main(["results", "plot", other, "--kind", "confusion", *common]) == 0
    assert main(["evaluate", "--model", other, *common]) == 0


def _dict(row: dict[str, float]) -> dict[str, Any]:
    return {"probabilities": row}


def _pipeline(row: dict[str, float]) -> dict[str, Any]:
    ranked = sorted(row.items(), key=lambda pair: -pair[1])
    return {"predictions": [{"label": word, "score": share} for word, share in ranked]}


def _funasr(row: dict[str, float]) -> dict[str, Any]:
    return {"labels": list(row), "scores": list(row.values())}


@pytest.mark.parametrize("form", [_dict, _pipeline, _funasr])
def test_json_lines_are_as_a_table(toy: Any, form: Callable[[dict[str, float]], dict[str, Any]]) -> None:
    frame = answers_of(toy)
    table = imported(toy, frame, name="table")
    lines = [
        json.dumps({"key": row["utterance_id"], **form({w: row[f"p_{w}"] for w in WORDS.values()})})
        for row in frame.to_dict("records")
    ]
    path = toy.space.root / "answers.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    content, _ = import_predictions(path, "toy", toy.space, name="lines")
    pd.testing.assert_frame_equal(predicted(toy, dict(content)), predicted(toy, table))


def test_labels_alone_are_certain(toy: Any) -> None:
    frame = answers_of(toy)
    best = np.array(list(WORDS.values()))[frame.iloc[:, 1:].to_numpy().argmax(1)]
    labels = frame[["utterance_id"]].assign(label="wrong", predicted=best)  # a prediction goes before a label
    content = imported(toy, labels)
    assert content["pooled"]["UA"]["mean"] == imported(toy, frame, name="shares")["pooled"]["UA"]["mean"]
    shares = predicted(toy, content).filter(like="p_").to_numpy()
    assert sorted(set(shares.ravel())) == [0, 1]
    assert content["notes"] == [
        "run 0, fold official: labels alone: each probability is 1 or 0, so calibration and abstention say nothing"
    ]
    assert faults(toy, content) == []


def test_runs_folds_and_parts(toy: Any) -> None:
    once = answers_of(toy, folds=("train", "validation", "test"))
    session = load_table("toy", toy.space).frame.set_index("utterance_id")["session"]
    shares = [f"p_{word}" for word in WORDS.values()]
    own = session.loc[once["utterance_id"]].to_numpy()
    tested = once.assign(run=0, fold=own, split="test")
    other = tested.assign(run=1, **{name: once[shares[k - 1]] for k, name in enumerate(shares)})
    first = imported(toy, tested.drop(columns=["fold", "split"]), protocol="session", name="first")
    both = imported(toy, pd.concat([tested, other]), protocol="session")
    assert both["pooled"]["UA"]["values"][0] == first["pooled"]["UA"]["mean"]
    assert both["pooled"]["UA"]["n"] == 2
    assert len(both["runs"]) == 2 * 3
    validated = answers_of(toy, folds=("validation",)).assign(split="dev")
    content = imported(toy, pd.concat([answers_of(toy).assign(split="test"), validated]), name="validated")
    assert content["validation"]["UA"]["n"] == 1
    assert [faults(toy, one) for one in (first, both, content)] == [[], [], []]


def test_folds_and_runs_that_pandas_made_decimal_numbers(toy: Any) -> None:
    table, options = load_table("toy", toy.space), FoldOptions(3)
    folds = make_folds("speaker", table, table.frame, np.zeros(len(table.frame), dtype=np.int64), options)
    assert [fold.name for fold in folds] == ["0", "1", "2"]
    number = {table.frame["utterance_id"][k]: fold.name for fold in folds for k in fold.test}
    whole = answers_of(toy, folds=("train", "validation", "test")).assign(run=0)
    whole["fold"] = whole["utterance_id"].map(number)
    decimal = whole.assign(run=0.0, fold=whole["fold"].astype(float))
    decimal.loc[3, "fold"] = np.nan  # why it is decimal
    assert "1.0" in decimal.to_csv()
    found = [imported(toy, frame, protocol="speaker", name=f"n{k}", folds=options) for k, frame in enumerate((whole, decimal))]
    assert found[0]["pooled"] == found[1]["pooled"]


def test_missing_predictions_are_an_error_or_are_stamped(toy: Any) -> None:
    frame = answers_of(toy)
    with pytest.raises(SerError, match=r"2 of 32 test utterances have no prediction.*--missing drop"):
        imported(toy, frame[2:])
    dropped = imported(toy, frame[2:], missing="drop")
    assert len(predicted(toy, dropped)) == 30
    assert "left out: 2 of 32 test utterances had no prediction" in dropped["stamps"]
    counted = imported(toy, frame[2:], missing="anger")
    lost = predicted(toy, counted).set_index("utterance_id").loc[frame["utterance_id"][:2]]
    assert lost["predicted"].tolist() == ["anger", "anger"]
    assert "2 of 32 test utterances had no prediction, and count as anger" in counted["stamps"]
    assert faults(toy, dropped) == faults(toy, counted) == []
    assert dropped["experiment"] != counted["experiment"]
    with pytest.raises(SerError, match="--missing joy; expected error, drop or one of anger"):
        imported(toy, frame[2:], missing="joy")


def test_labels_beyond_the_classes_leave_a_choice_among_the_classes(toy: Any) -> None:
    frame = answers_of(toy)
    frame["p_fear"] = 0.5
    frame.iloc[:, 1:5] /= 2
    wide, plain = imported(toy, frame), imported(toy, answers_of(toy), name="plain")
    one, other = (predicted(toy, content).filter(like="p_") for content in (wide, plain))
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert [s for s in wide["stamps"] if "no class of toy under scheme 4: fear" in s]
    labels = frame[["utterance_id"]].assign(predicted=["fear"] + ["anger"] * 31)
    with pytest.raises(SerError, match=r"1 of 32 test utterances have no prediction.*labels that are no class: 'fear'"):
        imported(toy, labels)


def test_a_stated_map_decides_and_names_the_record(toy: Any) -> None:
    frame = answers_of(toy)
    swapped = imported(toy, frame, labels={"ang": "happiness", "Happy": "anger"})
    plain = imported(toy, frame)
    assert swapped["config_hash"] != plain["config_hash"] == imported(toy, frame)["config_hash"]
    one, other = predicted(toy, swapped), predicted(toy, plain)
    np.testing.assert_array_equal(one["p_anger"], other["p_happiness"])
    _, remarks = import_predictions(written(toy, frame), "toy", toy.space, labels={"Hppy": "anger", "ang": "anger"})
    assert remarks == ["not used of --map: 'Hppy'; the system has ang, Happy, <|NEUTRAL|>, 难过/sad"]


def test_a_model_of_the_ledger_is_stamped_by_what_it_has_seen(maker: Any) -> None:
    maker.table("toy", corpus="ravdess", utterances_of_release=1440)
    known = imported(maker, answers_of(maker), system="iic/emotion2vec_plus_base", name="plus")
    assert [s for s in known["stamps"] if s.startswith("classifier has seen this corpus: plus (iic/emotion2vec_plus_base)")]
    unknown = imported(maker, answers_of(maker), name="unknown")
    names = [known["experiment"], unknown["experiment"]]
    with pytest.raises(SerError, match="cannot be compared: its encoder or classifier was trained on this corpus's labels"):
        compare_results(names, maker.space.results)


def test_fixed_predictions_meet_every_seed_of_another_result(toy: Any) -> None:
    """One run of a system against three of another: the difference is the mean of three, and the copies count as one."""
    runs = pd.concat([answers_of(toy, skill=2 + run).assign(run=run) for run in range(3)])
    many, one = imported(toy, runs, name="many"), imported(toy, answers_of(toy), name="one")
    found = compare_results([many["experiment"], one["experiment"]], toy.space.results)
    assert (found.runs, found.folds) == (3, ["official"])
    assert found.notes == [f"{one['experiment']}: its one run is fixed, and is compared with each of the 3 runs of the others"]
    scores = [c.pooled.UA for c in found.compared]
    assert (scores[0].n, scores[1].values) == (3, one["pooled"]["UA"]["values"] * 3)
    assert found.pairs[0].difference == pytest.approx(many["pooled"]["UA"]["mean"] - one["pooled"]["UA"]["mean"])
    assert found.pairs[0].tests.models is not None
    assert found.pairs[0].tests.models.units == 3
    low, high = found.pairs[0].ci_95 or (0.0, 0.0)
    assert low < found.pairs[0].difference < high
    alone = compare_results(
        [one["experiment"], imported(toy, answers_of(toy, skill=3), name="two")["experiment"]], toy.space.results
    )
    assert (alone.runs, alone.notes) == (1, [])


def test_a_record_says_that_it_is_of_a_system(toy: Any, capsys: pytest.CaptureFixture[str]) -> None:
    content = imported(toy, answers_of(toy), name="other")
    assert main(["results", "show", content["experiment"], "--workspace", str(toy.space.root)]) == 0
    shown = " ".join(capsys.readouterr().out.split())  # lines are as wide as the terminal
    assert "4 classes, system other, 1 run" in shown
    assert "configuration system other" in shown
    assert main(["results", "list", "--workspace", str(toy.space.root)]) == 0
    assert "head or system" in capsys.readouterr().out


def _set(column: str, row: int, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        changed = frame.astype(object)
        changed.loc[changed.index[row], column] = value
        return changed

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("utterance_id", 3, "toy-s9"), "the table of toy has no utterance 'toy-s9'"),
        (_set("utterance_id", 3, ""), "row 4: no utterance id"),
        (lambda f: pd.concat([f, f[:1]]), "is predicted twice (run 0, fold official, test)"),
        (_set("p_ang", 0, 2), "-3; expected numbers from 0 to 1"),
        (_set("p_ang", 0, -0.1), "expected numbers from 0 to 1"),
        (_set("p_ang", 0, "nan"), "expected numbers from 0 to 1"),
        (_set("p_ang", 0, "inf"), "expected numbers from 0 to 1"),
        (_set("p_ang", 0, "high"), "p_ang; expected a number from 0 to 1; found 'high'"),
        (lambda f: f.drop(columns="p_ang"), "a sum of 1 (within 0.001)"),
        (lambda f: f.rename(columns={"p_ang": "p_wombat"}), "not emotions known here: 'wombat'"),
        (lambda f: f.rename(columns={"utterance_id": "nobody"}), "does not say which utterance"),
        (lambda f: f[["utterance_id"]].assign(x=1), "has no predictions; expected a column predicted"),
        (lambda f: f[:0], "has no predictions"),
        (lambda f: f.assign(fold="9"), "fold '9' of"),
        (lambda f: f.assign(run="one"), "run 'one'"),
        (lambda f: f.assign(split="validation"), "is not in the validation part"),
        (lambda f: f.assign(predicted=WORDS["anger"]), "do not go together"),
        (lambda f: f.assign(predicted="joy"), "the label 'joy' of"),
    ],
)
def test_files_that_do_not_fit_are_refused(toy: Any, change: Callable[[pd.DataFrame], pd.DataFrame], message: str) -> None:
    with pytest.raises(SerError) as caught:
        imported(toy, change(answers_of(toy)))
    assert message in str(caught.value)
    assert not list(toy.space.results.glob("*"))


def test_only_regular_files_are_read(toy: Any) -> None:
    os.mkfifo(toy.space.root / "pipe.csv")
    for name in ("pipe.csv", "metadata", "absent.csv"):
        with pytest.raises(SerError, match="cannot read"):
            import_predictions(toy.space.root / name, "toy", toy.space)


def test_labels_are_known_by_usual_words() -> None:
    words = ["Angry", "hap", "<|NEUTRAL|>", "开心/happy", "fear", "<unk>", "unknown", "excited", "EMO_UNKNOWN"]
    found = map_labels(words, SCHEMES["4"], SCHEMES["4"].classes, {})
    assert found == dict(zip(words, ["anger", "happiness", "neutral", "happiness", "", "", "", "happiness", ""], strict=True))
    given = {"0": "anger", "1": "excitement", "2": "boredom", "3": None}
    assert list(map_labels(list(given), SCHEMES["4"], SCHEMES["4"].classes, given).values()) == ["anger", "happiness", "", ""]
    with pytest.raises(SerError, match="'0' stands for 'angre'"):
        map_labels(["0"], SCHEMES["4"], SCHEMES["4"].classes, {"0": "angre"})
    with pytest.raises(SerError, match="no label of the system stands for a class"):
        map_labels(["fear"], SCHEMES["4"], SCHEMES["4"].classes, {})


def test_maps_are_pairs_and_files(tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    file.write_text("{'0': anger, '1': }")
    assert read_map(["2=happiness", str(file), "x="]) == {"2": "happiness", "0": "anger", "1": None, "x": None}
    with pytest.raises(SerError, match="has the label '0' twice"):
        read_map(["0=anger", str(file)])
    file.write_text("[anger]")
    for wrong in (str(file), "anger"):
        with pytest.raises(SerError, match="expected"):
            read_map([wrong])


def test_the_record_may_lie_elsewhere(toy: Any) -> None:
    content = imported(toy, answers_of(toy), output=toy.space.root / "elsewhere" / "mine.json")
    assert read_summary(toy.space.root / "elsewhere" / "mine.json").experiment == content["experiment"] == "mine"
