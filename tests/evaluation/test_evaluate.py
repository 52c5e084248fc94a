"""`ser evaluate` from records and saved heads to its own record: what is tested, and what may not be."""

import json
import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax
from sklearn.metrics import recall_score, roc_auc_score

from ser.cli import main
from ser.errors import ConfigError, StoreError
from ser.evaluation import head_outputs
from ser.evaluation.evaluate import evaluate
from ser.evaluation.evaluated_model import SHARED_FOLDS, EvaluatedModel
from ser.evaluation.record import safe
from ser.features.blocks import stored_block
from ser.features.stores.layout import Facts, Record
from ser.features.stores.names import TTA_VIEWS
from ser.features.stores.store import FeatureStore
from ser.features.stores.writer import StoreWriter
from ser.features.tensors import load_tensors
from ser.jsonfile import plain
from ser.metadata.table import load_table, write_table
from ser.results.listing import list_results
from ser.results.metrics import calibration
from ser.results.metrics.conformal import conformal_sets
from ser.results.records.find import find_summary
from ser.results.records.kinds import read_record, read_summary
from ser.results.report.compose import text_of
from ser.results.stored.runs import read_predictions
from ser.train.checkpoint import load_head
from ser.train.experiments.combine import combine
from ser.train.experiments.fewshot import fewshot
from ser.train.experiments.fit import fit
from ser.train.experiments.transfer import transfer
from ser.workers.engine import Engine
from ser.workspace import Workspace

FAST: dict[str, Any] = {"epochs": 6, "lr": 1e-2, "jobs": 1, "head_options": {"hidden": 16}, "runs": 2}
SHARED = {"encoder": "toy"}
P = ["p_anger", "p_happiness", "p_neutral", "p_sadness"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, maker_type: Any) -> Path:
    """Corpora a, b, c; heads of a, of a without sadness, and of a on b."""
    root = tmp_path_factory.mktemp("workspace")
    maker = maker_type(root)
    for name, speakers in (("a", 6), ("b", 4), ("c", 3)):
        maker.table(name, speakers=speakers)
        maker.store(name, identity=SHARED, strength=0.6)
    fit("a", maker.space, save=True, protocol="speaker", output=root / "results" / "whole.json", **FAST)
    few = {**FAST, "scheme": "4-without-sadness", "protocol": "speaker"}
    fit("a", maker.space, save=True, output=root / "results" / "less.json", **few)
    fit("a", maker.space, protocol="speaker", output=root / "results" / "bare.json", **{**FAST, "runs": 1})
    transfer("a", "b", maker.space, save=True, protocol="speaker", output=root / "results" / "moved.json", **FAST)
    return root


@pytest.fixture(autouse=True)
def _in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No workers for a test that a busy machine holds up; one asks for them."""
    monkeypatch.setattr(head_outputs, "START_SECONDS", math.inf)


@pytest.fixture
def space(tmp_path: Path, trained: Path) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def predictions(space: Path, name: str) -> pd.DataFrame:
    path = space / "results" / f"{name}.json"
    return read_predictions(path)


def evaluated(space: Path, model: str, **options: Any) -> dict[str, Any]:
    record, path = evaluate(model, space, **options)
    assert plain(read_record(path)) == json.loads(json.dumps(record))  # valid by its schema, and as it was given
    assert text_of(record, path).startswith(record["experiment"])
    return record


def test_conformal_sets_are_those_of_the_sorted_validation_scores(space: Path) -> None:
    record = evaluated(space, "whole", conformal=0.8)
    rows, found = predictions(space, "whole"), record["conformal"]
    held, sizes = [], []
    for _, own in rows.groupby(["run", "fold"]):
        scores = {}
        for split, part in own.groupby("split"):
            true = np.array([P.index(f"p_{t}") for t in part["true"]])
            p = part[P].to_numpy(dtype=float)
            scores[split] = 1 - p[np.arange(len(p)), true], p
        ordered = sorted(scores["validation"][0])
        needed = math.ceil((len(ordered) + 1) * 0.8)
        limit = ordered[needed - 1] if needed <= len(ordered) else 1.0
        held += list(scores["test"][0] <= limit)
        sizes += list((1 - scores["test"][1] <= limit).sum(1))
    assert found["asked"] == 0.8
    assert found["coverage"]["mean"] == pytest.approx(np.mean(held))
    assert found["size"]["mean"] == pytest.approx(np.mean(sizes))
    low, high = found["ci_95_speakers"]
    assert low <= found["coverage"]["mean"] <= high
    assert any("the limits of the sets are of the heads before" in note for note in record["notes"])
    with pytest.raises(ConfigError, match="--conformal 90; expected a share between 0 and 1"):
        evaluate("whole", space, conformal=90)
    with pytest.raises(ConfigError, match="--examples 3 is of explanations; expected --explain"):
        evaluate("whole", space, examples=3)


def test_conformal_sets_of_exchangeable_utterances_keep_their_promise() -> None:
    random = np.random.default_rng(0)
    coverage = []
    for _ in range(40):
        p = random.dirichlet(np.ones(4), size=300)
        true = np.array([random.choice(4, p=row) for row in p])
        frame = pd.DataFrame(p, columns=[f"p_{c}" for c in "abcd"]).assign(
            true=np.array(list("abcd"))[true], run=0, fold="0", speaker="s"
        )
        found = conformal_sets(frame[:200], frame[200:], list("abcd"), True, 0.9)
        coverage.append(found["coverage"].mean)
        assert found["ci_95_speakers"] is None
    # with n = 100 validation utterances the expected coverage is ceil(101 * 0.9) / 101
    assert np.mean(coverage) == pytest.approx(91 / 101, abs=0.015)
    few = conformal_sets(frame[:200], frame[200:205], list("abcd"), True, 0.9)
    assert few["size"].mean == 4


def test_of_its_own_corpus_the_recorded_test_rows_are_evaluated(space: Path) -> None:
    record = evaluated(space, "whole", calibrate=True)
    summary = plain(read_summary(space / "results" / "whole.json"))
    assert record["scores"] == json.loads(json.dumps(summary["pooled"]))
    for name, scores in summary["per_class"].items():
        assert record["per_class"][name] == {**scores, "support": 2 * scores["support"]}  # of two runs
    assert record["data"]["own"] is True
    assert record["unit"] == "run"
    assert record["notes"] == []
    assert record["temperature"]["fitted_on"].endswith("fold, of a")
    rows = predictions(space, "whole")
    held, test = rows[rows["split"] == "validation"], rows[rows["split"] == "test"]
    assert len(record["temperature"]["values"]) == 2 * 6
    assert record["temperature"]["refitted"] is True
    one = record["temperature"]["values"][3]
    own = held[(held["run"] == one["run"]) & (held["fold"] == one["fold"])]
    labels = np.array([P.index(f"p_{t}") for t in own["true"]])
    fitted = calibration.fit_temperature(np.log(own[P].to_numpy(dtype=float)), labels)
    assert one["temperature"] == pytest.approx(fitted)
    assert one["n"] == len(own)
    first = test[test["run"] == 0]
    nll = -np.log(first[P].to_numpy(dtype=float))[np.arange(len(first)), [P.index(f"p_{t}") for t in first["true"]]]
    assert record["probabilities"]["uncalibrated"]["NLL"]["values"][0] == pytest.approx(nll.mean())
    mean = test.groupby("utterance_id")[P].mean()
    truth = test.groupby("utterance_id")["true"].first()
    ua = recall_score(truth, [P[k][2:] for k in mean.to_numpy().argmax(1)], average="macro")
    assert record["ensemble"]["scores"]["UA"]["mean"] == pytest.approx(ua)
    gap = record["ensemble"]["scores"]["UA"]["mean"] - record["scores"]["UA"]["mean"]
    assert record["ensemble"]["comparison"]["difference"] == pytest.approx(gap)


def test_a_head_that_replaces_another_is_read_anew(space: Path) -> None:
    def probabilities(seed: int) -> Any:
        fit(
            "c",
            space,
            save=True,
            protocol="speaker",
            output=space / "results" / "mine.json",
            **{**FAST, "runs": 1, "seed": seed},
        )
        _, path = evaluate("mine", space, dataset="b")
        (space / "results" / "mine.json").unlink()
        shutil.rmtree(space / "results" / "mine")
        return path.with_suffix(".predictions.csv").read_text()

    first, other = probabilities(0), probabilities(1)
    assert first != other
    assert probabilities(0) == first


def test_test_labels_do_not_touch_the_temperature(space: Path) -> None:
    before = evaluated(space, "whole", calibrate=True)
    for file in (space / "results" / "whole").glob("*.csv"):
        rows = pd.read_csv(file, dtype={"fold": str}, keep_default_na=False)
        test = rows["split"] == "test"
        rows.loc[test, "true"] = np.random.default_rng(0).permutation(rows.loc[test, "true"].to_numpy())  # in all runs
        rows.to_csv(file, index=False)
    after = evaluated(space, "whole", calibrate=True)
    assert after["temperature"] == before["temperature"]
    assert after["scores"] != before["scores"]


def test_a_head_is_tested_on_its_folds_rows_alone(space: Path) -> None:
    file = space / "results" / "whole" / "run-001.fold-s3.safetensors"
    record = evaluated(space, str(file), calibrate=True)
    rows = predictions(space, "whole")
    rows = rows[(rows["run"] == 1) & (rows["fold"] == "s3") & (rows["split"] == "test")]
    assert record["data"]["utterances"] == len(rows) == 16
    assert record["scores"]["UA"]["mean"] == pytest.approx(recall_score(rows["true"], rows["predicted"], average="macro"))
    assert record["ensemble"] is None
    assert [v["fold"] for v in record["temperature"]["values"]] == ["s3"]


def test_a_head_without_its_record_is_not_tested_on_what_it_may_have_learnt(space: Path, tmp_path: Path) -> None:
    lone = tmp_path / "lone" / "head.safetensors"
    lone.parent.mkdir()
    shutil.copy(space / "results" / "whole" / "run-000.fold-s1.safetensors", lone)
    with pytest.raises(ConfigError, match="without its record it is not known"):
        evaluate(str(lone), space, dataset="a")
    with pytest.raises(ConfigError, match="expected --scheme, with the classes anger"):
        evaluate(str(lone), space, dataset="b")
    with pytest.raises(ConfigError, match="--calibrate"):
        evaluate(str(lone), space, dataset="b", scheme="4", calibrate=True)
    record = evaluated(space, str(lone), dataset="b", scheme="4", novelty=["c"])
    assert record["data"]["utterances"] == 64
    assert record["novelty"][0]["scores"]["knn"] is None
    assert "training utterances are not known" in record["novelty"][0]["notes"][0]


def test_another_corpus_is_predicted_by_each_head(space: Path) -> None:
    record = evaluated(space, "whole", dataset="b", calibrate=True)
    assert record["unit"] == "head"
    assert record["scores"]["UA"]["n"] == 12
    table = pd.read_csv(space / "results" / record["files"]["predictions"]["path"], dtype={"fold": str})
    assert len(table) == 12 * 64
    each = [recall_score(g["true"], g["predicted"], average="macro") for _, g in table.groupby(["run", "fold"])]
    assert record["scores"]["UA"]["mean"] == pytest.approx(np.mean(each))
    assert record["scores"]["UA"]["mean"] > 0.4  # the emotions lie in the same places
    assert record["temperature"]["values"][0]["n"] == 16
    head = load_head(space / "results" / "whole" / "run-000.fold-s0.safetensors")
    data = load_tensors("b", space, classes=head.classes)
    first = table[(table["run"] == 0) & (table["fold"] == "s0")]
    np.testing.assert_allclose(first[P].to_numpy(), head.probabilities(list(data.blocks)), atol=1e-5)


@pytest.mark.parametrize(
    ("own", "other", "stamps"),
    [("de", "it", ["cross-language: german -> italian"]), ("de", "de", []), ("", "it", []), ("de", "", [])],
)
def test_a_corpus_of_another_language_is_stamped(space: Path, own: str, other: str, stamps: list[str]) -> None:
    for name, language in (("a", own), ("b", other)):
        table = load_table(name, space)
        write_table(type(table)(table.frame.assign(language=language), name, table.facts), Workspace(space))
    assert evaluated(space, "whole", dataset="b")["stamps"] == [*evaluated(space, "whole")["stamps"], *stamps]


def test_a_class_without_utterances_is_named(space: Path) -> None:
    record, path = evaluate("whole", space, dataset="b")
    assert ": 64 utterances, 4 classes, " in " ".join(text_of(record, path).split())
    changed = {**record, "data": {**record["data"], "classes": {**record["data"]["classes"], "anger": 0}}}
    said = " ".join(text_of(changed, path).split())
    assert ": 64 utterances, 3 of the head's 4 classes (none of anger), " in said


def test_audio_that_was_trained_on_is_left_out_of_another_corpus(space: Path, maker_type: Any) -> None:
    maker = maker_type(space)
    maker.store("a", identity=SHARED, strength=0.6, source=bytes([7]) * 32)
    with FeatureStore(maker.space.store("b", "toy")) as store:
        values, ids = np.asarray(store.read(store.ids)), store.ids
    facts = Facts("toy", "audio", "utterance", 8, SHARED, 0, 0)
    with StoreWriter(maker.space.store("b", "toy"), facts, overwrite=True) as writer:
        writer.commit(
            [Record(i, v, bytes([7 if k < 10 else 8]) * 32) for k, (i, v) in enumerate(zip(ids, values, strict=True))]
        )
        writer.merge(ids)
    record = evaluated(space, "whole", dataset="b")
    assert record["data"]["utterances"] == 54
    assert any("10 utterances whose audio" in stamp for stamp in record["stamps"])


def test_parts_of_files_that_were_trained_on_are_left_out_too(space: Path) -> None:
    for name, root in (("a", space), ("b", space)):
        table = load_table(name, space)
        table.facts["root"] = str(root)
        if name == "a":  # parts of files, whose hashes are others; the corpora's paths are the same
            table.frame["start"] = 0.5
            table.frame["end"] = 1.2
        else:
            table.frame.loc[:2, "end"] = 0.5  # what lies before
            table.frame.loc[3:, "path"] = [p if n < 10 else f"own/{n}.wav" for n, p in enumerate(table.frame["path"][3:])]
        write_table(table, Workspace(space))
    record = evaluated(space, "whole", dataset="b")
    assert record["data"]["utterances"] == 54
    assert any("10 utterances whose audio" in stamp for stamp in record["stamps"])


def test_a_transfers_head_is_tested_on_the_target_and_never_on_the_source(space: Path) -> None:
    record = evaluated(space, "moved", dataset="b", calibrate=True)
    assert record["scores"] == json.loads(json.dumps(plain(read_summary(space / "results" / "moved.json"))["pooled"]))
    with pytest.raises(ConfigError, match="trained on a, and not tested on it"):
        evaluate("moved", space, dataset="a")
    assert evaluated(space, "moved")["data"]["dataset"] == "b"
    assert "of a, not of b, and may not fit it" in record["notes"][0]
    assert record["temperature"]["corpora"] == ["a"]
    other = evaluated(space, "moved", dataset="c", calibrate=True)
    assert "validation predictions of a, not of c" in other["notes"][0]
    assert other["scores"]["UA"]["n"] == 2  # one head for each run serves all folds
    assert {v["fold"] for v in other["temperature"]["values"]} == {"source"}


def test_names_of_files_differ_for_words_of_other_alphabets() -> None:
    words = ["emotion:anger", "emotion:怒", "emotion:喜", "emotion:", "emotion:anger+emotion:fear"]
    assert len({safe(word) for word in words}) == len(words)
    assert safe("emotion:anger") == "emotion_anger"  # as in records of before


def test_novelty_of_an_emotion_left_out_is_of_the_folds_test_speakers(space: Path) -> None:
    record = evaluated(space, "less", novelty=["emotion:sadness", "c"])
    sad, corpus = record["novelty"]
    assert sad["n"] == {"known": 72, "novel": 24}
    assert corpus["n"] == {"known": 72, "novel": 48}
    table = pd.read_csv(space / "results" / record["files"]["novelty-emotion_sadness"]["path"], dtype={"fold": str})
    assert len(table) == 2 * 6 * 16
    speaker = table["utterance_id"].str.split("-").str[1]
    assert (speaker == table["fold"]).all()
    for name in ("energy", "max_softmax", "mahalanobis", "knn"):
        each = table.groupby(["run", "fold"]).apply(lambda g, n=name: roc_auc_score(g["novel"], g[n]), include_groups=False)
        assert sad["scores"][name]["AUROC"]["mean"] == pytest.approx(each.mean(), abs=1e-6)
    assert sad["scores"]["mahalanobis"]["AUROC"]["mean"] > 0.5


def test_training_rows_alone_teach_the_distances(space: Path) -> None:
    before = evaluated(space, "less", novelty=["c"])
    maker_path = space / "features" / "c" / "toy.h5"
    with FeatureStore(maker_path) as store:
        values, ids = np.asarray(store.read(store.ids)), store.ids
    facts = Facts("toy", "audio", "utterance", 8, SHARED, 0, 0)
    with StoreWriter(maker_path, facts, overwrite=True) as writer:
        writer.commit([Record(i, v + 100, bytes(32)) for i, v in zip(ids, values, strict=True)])
        writer.merge(ids)
    after = evaluated(space, "less", novelty=["c"])
    tables = [pd.read_csv(space / "results" / r["files"]["novelty-c"]["path"]) for r in (before, after)]
    known = [t[t["novel"] == 0][["mahalanobis", "knn"]].to_numpy() for t in tables]
    np.testing.assert_array_equal(known[0], known[1])
    assert after["novelty"][0]["scores"]["mahalanobis"]["AUROC"]["mean"] == 1


def test_what_validation_is_of_is_said_where_it_is_not_what_is_tested(space: Path) -> None:
    record = evaluated(space, "whole", dataset="b", calibrate=True)
    (note,) = record["notes"]
    assert note.startswith("the temperature and the thresholds of abstention come from validation predictions of a, not of b")
    assert record["temperature"]["fitted_on"].endswith("fold, of a")
    assert note in " ".join(text_of(record, space / "evaluation.json").split())
    (note,) = evaluated(space, "whole", dataset="b")["notes"]
    assert note.startswith("thresholds of abstention come")


def test_no_evaluation_takes_anothers_place(space: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("{anger: anger, happiness: happiness, neutral: neutral}")
    asked: list[dict[str, Any]] = [{}, {"scheme": "native"}, {"scheme": str(own)}, {"calibrate": True}]
    paths = [evaluate("whole", space, dataset="b", **options)[1] for options in asked]
    assert len(set(paths)) == len(paths)
    assert paths[0].name == "whole.evaluation-b.json"
    assert evaluate("whole", space, dataset="b", scheme="4")[1] == paths[0]  # the record's, so the same
    assert [plain(read_record(p))["data"]["scheme"] for p in paths[:2]] == ["4", "native"]
    own.write_text("{anger: anger, neutral: neutral}")
    assert evaluate("whole", space, dataset="b", scheme=str(own))[1] not in paths


@pytest.fixture
def two_modalities(tmp_path: Path, maker_type: Any) -> Path:
    maker = maker_type(tmp_path)
    for name, speakers in (("a", 4), ("b", 3)):
        maker.table(name, speakers=speakers)
        maker.store(name, identity=SHARED, strength=0.6)
        maker.store(name, "words", modality="text", identity=SHARED)
    return tmp_path


@pytest.mark.parametrize("way", ["adapt", "finetune"])
def test_adapted_and_fine_tuned_heads_are_saved_and_evaluated(
    way: str, two_modalities: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = ["--workspace", str(two_modalities)]
    more = ["--method", "coral"] if way == "adapt" else []
    words = [way, "--source", "a", "--target", "b", "--scheme", "4-without-sadness", "--protocol", "speaker"]
    words += ["--runs", "1", "--epochs", "3", "--head-option", "hidden=16", "--jobs", "1", *more]
    assert main([*words, *space]) == 0
    capsys.readouterr()
    variant = "coral-1" if way == "adapt" else "fine-tuned"
    (path,) = (two_modalities / "results").glob(f"a-b-{variant}-*.json")
    with pytest.raises(ConfigError, match="needs the saved heads"):
        evaluate(path.stem, two_modalities, novelty=["emotion:sadness"])
    assert main([*words, "--save", *space]) == 0
    record = evaluated(two_modalities, path.stem, novelty=["emotion:sadness"], explain=True)
    assert record["model"]["heads"] == 3
    assert record["novelty"][0]["n"] == {"known": 36, "novel": 12}
    assert (record["novelty"][0]["scores"]["mahalanobis"] is None) is (way == "finetune")
    assert (path.parent / str(record["explanations"])).with_name("modalities.png").is_file()
    plain_path = evaluate(path.stem, two_modalities, novelty=["emotion:sadness"])[1]
    assert plain(read_record(plain_path))["explanations"] is None
    assert (path.parent / str(record["explanations"])).parent.name.endswith("-explained.explanations")
    (head,) = (two_modalities / "results" / path.stem).glob("run-000.fold-s1.safetensors")
    rows = predictions(two_modalities, path.stem)
    rows = rows[(rows["fold"] == "s1") & (rows["split"] == "test")]
    saved = load_head(head)
    ids = [str(i).removeprefix("b/") for i in rows["utterance_id"]]
    blocks = [stored_block(two_modalities / "features" / "b" / f"{i.name}.h5", i.name, ids) for i in saved.inputs]
    found = saved.probabilities(blocks)
    np.testing.assert_allclose(found, rows[[f"p_{c}" for c in saved.classes]].to_numpy(), atol=1e-5)


def test_a_folder_of_heads_is_called_so(trained: Path) -> None:
    folder = next(f.parent for f in (trained / "results").rglob("*.safetensors"))
    with pytest.raises(ConfigError, match=r"is a folder with \d+ saved heads; expected one of them, such as .*safetensors"):
        evaluate(f"{folder}/", trained)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("whole", {"novelty": ["emotion:sadness"]}, "fit --scheme 4-without-sadness --save"),
        ("whole", {"novelty": ["emotion:envy"]}, "expected one of anger, happiness, neutral, sadness"),
        ("whole", {"novelty": ["a"]}, "knows it"),
        ("whole", {"novelty": ["nowhere"]}, "there is no table"),
        ("whole", {"scheme": "6"}, "Leave --scheme out"),
        ("whole", {"amount": "10%"}, "is not a few-shot record"),
        ("whole", {"tta": True}, "ser extract --dataset a --audio toy --views"),
        ("bare", {"novelty": ["c"]}, "needs the saved heads"),
        ("bare", {"dataset": "b"}, "needs the saved heads"),
        ("nothing", {}, "there is no model nothing; expected an experiment, its record"),
        ("whole", {"output": Path("x.txt")}, "ends in .json"),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_to_do(
    trained: Path, model: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(Exception, match=re.escape(message)) as caught:
        evaluate(model, trained, **options)
    assert type(caught.value).__module__ == "ser.errors"
    assert not list((trained / "results").glob("*.evaluation-*"))


def test_a_record_of_another_kind_is_not_written_over(trained: Path, tmp_path: Path) -> None:
    other = trained / "results" / "whole.json"
    before = other.read_bytes()
    words = "whole.json is there already, and would be lost; expected a new file, or one of ser.evaluation/1 or"
    with pytest.raises(ConfigError, match=words):
        evaluate("whole", trained, output=other)
    assert other.read_bytes() == before
    output = tmp_path / "mine.json"
    for _ in range(2):  # an evaluation takes the place of an evaluation
        assert evaluate("whole", trained, output=output)[1] == output


def test_tables_beside_a_record_that_was_named_take_no_place_of_other_files(trained: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.json"
    for name in ("mine.predictions.csv", "mine.novelty-b.csv"):
        (tmp_path / name).write_text("my own\n")
        with pytest.raises(ConfigError, match=rf"{name} is there already, and would be lost"):
            evaluate("whole", trained, output=output, dataset="b", novelty=["b"] if "novelty" in name else [])
        assert (tmp_path / name).read_text() == "my own\n"
        (tmp_path / name).unlink()
    (tmp_path / "mine.predictions.csv").write_text("my own\n")
    evaluate("whole", trained, output=output)  # of the heads' own corpus there is none
    (tmp_path / "mine.predictions.csv").unlink()
    for _ in range(2):  # tables of an evaluation are written again with it
        evaluate("whole", trained, output=output, dataset="b")
    (tmp_path / "other.explanations").mkdir()
    with pytest.raises(ConfigError, match=r"other\.explanations is there already"):
        evaluate("whole", trained, output=tmp_path / "other.json", explain=True)


def views_of(
    space: Path,
    change: float,
    identity: dict[str, Any] | None = None,
    source: bytes = bytes(32),
    views: Sequence[str] = TTA_VIEWS,
) -> None:
    with FeatureStore(space / "features" / "a" / "toy.h5") as store:
        values, ids, own = np.asarray(store.read(store.ids)), store.ids, store.facts
    for k, view in enumerate(views):
        name = f"toy@{view}"
        facts = replace(own, identity={**own.identity, "view": {"name": view}, **(identity or {})})
        with StoreWriter(space / "features" / "a" / f"{name}.h5", facts, overwrite=True) as writer:
            writer.commit([Record(i, v + change * (k + 1), source) for i, v in zip(ids, values, strict=True)])
            writer.merge(ids)


def test_views_are_averaged_and_those_that_tell_the_label_are_refused(space: Path) -> None:
    views_of(space, 0.0)
    record = evaluated(space, "whole", tta=True, calibrate=True)
    assert record["tta"]["views"] == ["original", *TTA_VIEWS]
    assert record["tta"]["scores"] == record["scores"]
    assert record["tta"]["comparison"]["difference"] == 0
    views_of(space, 0.3)
    record = evaluated(space, "whole", tta=True)
    assert record["tta"]["probabilities"]["uncalibrated"]["NLL"] != record["probabilities"]["uncalibrated"]["NLL"]
    rows = pd.read_csv(space / "results" / record["files"]["tta"]["path"], dtype={"fold": str})
    head = load_head(space / "results" / "whole" / "run-000.fold-s2.safetensors")
    own = rows[(rows["run"] == 0) & (rows["fold"] == "s2")]
    ids = list(own["utterance_id"])
    files = ["toy.h5", *(f"toy@{view}.h5" for view in TTA_VIEWS)]
    mean = np.mean([head.probabilities([stored_block(space / "features" / "a" / file, "toy", ids)]) for file in files], axis=0)
    np.testing.assert_allclose(own[P].to_numpy(), mean, atol=1e-5)
    views_of(space, 0.3, {"view": {"scheme": "4"}})
    with pytest.raises(ConfigError, match="gives its true label away"):
        evaluate("whole", space, tta=True)
    views_of(space, 0.3, source=b"x" * 32)
    with pytest.raises(StoreError, match="views of other audio"):
        evaluate("whole", space, tta=True)
    views_of(space, 0.3, {"encoder": "other"})
    with pytest.raises(StoreError, match="a difference in encoder"):
        evaluate("whole", space, tta=True)


@pytest.mark.usefixtures("forked_workers")
def test_heads_that_run_in_workers_have_the_numbers_of_one_process(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views_of(space, 0.3)
    options = {**FAST, "scheme": "4-without-sadness", "normalize": "speaker"}
    fit("a", Workspace(space), save=True, protocol="speaker", output=space / "results" / "own.json", **options)
    spread: list[Engine] = []
    real = head_outputs.run_units

    def counting(function: Any, units: Any, engine: Engine, what: str) -> Any:
        spread.append(engine)
        return real(function, units, engine, what)

    monkeypatch.setattr(head_outputs, "run_units", counting)
    monkeypatch.setattr(head_outputs, "START_SECONDS", 0.0)
    asked: list[dict[str, Any]] = [
        {"model": "whole", "tta": True, "novelty": ["b"]},
        {"model": "whole", "dataset": "b"},
        {"model": "own", "novelty": ["emotion:sadness"]},
    ]
    for options in asked:
        found = []
        for jobs, backend in ((1, "loky"), (2, "loky"), (2, "threads")):
            spread.clear()
            output = space / "results" / f"{jobs}-{backend}.json"
            record, path = evaluate(workspace=space, jobs=jobs, backend=backend, output=output, **options)
            files = [(path.parent / file["path"]).read_bytes() for file in record["files"].values()]
            found.append(({**record, "files": sorted(record["files"]), "time": {}}, files))
            assert {engine.jobs for engine in spread} == {1, jobs}
        assert found[0] == found[1] == found[2]


def test_the_suite_tests_heads_on_each_view_and_judges_by_limits(space: Path) -> None:
    with pytest.raises(ConfigError, match="ser extract --dataset a --audio toy --views noise20,noise10,reverb,opus16,gsm"):
        evaluate("whole", space, suite=True)
    views = ["gsm", "gain-12"]
    views_of(space, 0.0, views=["gain-12"])
    views_of(space, 1.5, views=["gsm"])
    record = evaluated(space, "whole", suite=True, views=views, limits=["gain-12=0", "gender=1"])
    gsm, gain, gender, speaker = record["suite"]["checks"]
    assert (gain["name"], gain["value"], gain["unchanged"], gain["limit"], gain["passed"]) == ("gain-12", 0, 1, 0, True)
    assert gain["UA"] == record["scores"]["UA"]["mean"]
    rows = pd.read_csv(space / "results" / record["files"]["suite"]["path"], dtype={"fold": str})
    rows = rows[rows["view"] == "gsm"]
    head = load_head(space / "results" / "whole" / "run-001.fold-s4.safetensors")
    own = rows[(rows["run"] == 1) & (rows["fold"] == "s4")]
    block = stored_block(space / "features" / "a" / "toy@gsm.h5", "toy", list(own["utterance_id"]))
    np.testing.assert_allclose(own[P].to_numpy(), head.probabilities([block]), atol=1e-5)
    ua = np.mean([recall_score(g["true"], g["predicted"], average="macro") for _, g in rows.groupby("run")])
    assert gsm["UA"] == pytest.approx(ua)
    assert gsm["value"] == pytest.approx(record["scores"]["UA"]["mean"] - ua)
    test = predictions(space, "whole").query("split == 'test'").sort_values(["run", "utterance_id"])
    again = rows.sort_values(["run", "utterance_id"])
    assert gsm["unchanged"] == pytest.approx((test["predicted"].to_numpy() == again["predicted"].to_numpy()).mean())
    assert gsm["passed"] is (gsm["value"] <= 0.05)
    assert gender["value"] == abs(record["groups"]["gender"]["gaps"][0]["UA"]["difference"])
    assert gender["passed"]
    gap = record["groups"]["speaker"]["gap"]
    assert speaker["value"] == pytest.approx(gap["difference"] - gap["chance"]["mean"])
    assert record["suite"]["not_checked"] == ["language", "corpus"]
    text = " ".join(text_of(record, space / "evaluation.json").split())
    assert "The test audio in other conditions" in text
    assert f"{sum(c['passed'] for c in record['suite']['checks'])} of 4 checks passed" in text
    with pytest.raises(ConfigError, match="expected NAME=NUMBER of robustness, gender"):
        evaluate("whole", space, suite=True, views=views, limits=["noise=0.1"])
    with pytest.raises(ConfigError, match="expected --suite"):
        evaluate("whole", space, limits=["gender=0.1"])
    views_of(space, 0.0, {"view": {"scheme": "4"}}, views=["gsm"])
    with pytest.raises(ConfigError, match="gives its true label away"):
        evaluate("whole", space, suite=True, views=views)


def test_the_suite_compares_languages_and_corpora_of_one_experiment(tmp_path: Path, maker_type: Any) -> None:
    maker = maker_type(tmp_path)
    for name, language in (("a", "de"), ("b", "it")):
        maker.table(name, speakers=4)
        maker.store(name, identity=SHARED, strength=0.6)
        table = load_table(name, maker.space)
        write_table(type(table)(table.frame.assign(language=language), name, table.facts), maker.space)
    views_of(tmp_path, 0.5, views=["gsm"])
    options = {**FAST, "save": True, "protocol": "speaker", "output": tmp_path / "results" / "joint.json"}
    combine(["a", "b"], maker.space, **options)
    record = evaluated(tmp_path, "joint", dataset="a", suite=True, views=["gsm"])
    found = {c["name"].split(":")[0]: c for c in record["suite"]["checks"]}
    rows = predictions(tmp_path, "joint").query("split == 'test'")
    right = rows.assign(right=rows["true"] == rows["predicted"])
    ua = right.groupby(["dataset", "true"])["right"].mean().groupby("dataset").mean()
    assert found["corpus"]["value"] == pytest.approx(abs(ua["a"] - ua["b"]))
    assert found["language"]["value"] == found["corpus"]["value"]
    assert {"de", "it"} <= set(re.findall(r"\w+", found["language"]["name"]))


def test_views_of_a_head_on_one_layer_are_that_layer(tmp_path: Path, maker_type: Any) -> None:
    maker = maker_type(tmp_path)
    maker.table("a", speakers=4)
    layers: dict[str, Any] = {"identity": {**SHARED, "layers": [0, 6, 9]}, "layers": (0.1, 0.6, 0.2)}
    maker.store("a", **layers)
    views_of(tmp_path, 0.0)
    options = {**FAST, "runs": 1, "layer": 6, "save": True, "protocol": "speaker"}
    fit("a", maker.space, output=tmp_path / "results" / "sixth.json", **options)
    record = evaluated(tmp_path, "sixth", tta=True)
    assert record["tta"]["scores"] == record["scores"]


def test_features_that_are_no_longer_those_of_the_record_are_refused(space: Path) -> None:
    path = space / "features" / "a" / "toy.h5"
    with FeatureStore(path) as store:
        values, ids = np.asarray(store.read(store.ids)), store.ids
    facts = Facts("toy", "audio", "utterance", 8, SHARED, 0, 0)
    with StoreWriter(path, facts, overwrite=True) as writer:
        writer.commit([Record(i, v * 1.5 + 1, bytes(32)) for i, v in zip(ids, values, strict=True)])
        writer.merge(ids)
    with pytest.raises(StoreError, match="no longer gives the probabilities of its record"):
        evaluate("less", space, novelty=["c"])


def test_votes_are_compared_where_the_table_has_them(space: Path) -> None:
    table = load_table("a", space)
    shares = [json.dumps({e: 0.8, "anger" if e != "anger" else "fear": 0.2}) for e in table.frame["emotion"]]
    write_table(type(table)(table.frame.assign(votes=shares), "a", table.facts), Workspace(space))
    record = evaluated(space, "whole", calibrate=True)
    votes = record["votes"]
    assert votes["n"] == votes["complete"] == 96
    assert votes["human"] == {"WA": pytest.approx(0.8), "UA": pytest.approx(0.8)}
    assert votes["head"]["UA"] == {k: v for k, v in record["scores"]["UA"].items() if k != "ci_95_speakers"}
    assert votes["pairwise"]["annotators"] == pytest.approx((4 * 3 + 0) / (5 * 4), abs=0.15)
    assert votes["uncalibrated"]["cross_entropy"]["mean"] > votes["uncalibrated"]["entropy"]["mean"]
    assert votes["calibrated"] is not None
    assert "votes" not in record["temperature"]["fitted_on"]
    summary = fit("a", Workspace(space), target="votes", **FAST, output=space / "results" / "on-votes.json")
    record = evaluated(space, "on-votes", calibrate=True)
    assert record["temperature"]["fitted_on"].startswith("validation predictions and their votes")
    first = record["temperature"]["values"][0]
    rows = predictions(space, "on-votes").query("split == 'validation'")
    rows = rows[(rows["run"] == first["run"]) & (rows["fold"].astype(str) == first["fold"])]
    p, q = (rows[[f"{start}{name}" for name in summary.classes]].to_numpy(dtype=float) for start in ("p_", "q_"))

    def cross_entropy(temperature: float) -> float:
        return float(-(q * log_softmax(np.log(p) / temperature, axis=1)).sum(1).mean())

    found = first["temperature"]
    assert cross_entropy(found) <= min(cross_entropy(found * 1.01), cross_entropy(found / 1.01), cross_entropy(1.0))


def test_snapshots_are_set_beside_the_last_one(space: Path) -> None:
    options = {**FAST, "snapshots": 3, "epochs": 6}
    fit("a", Workspace(space), save=True, protocol="speaker", output=space / "results" / "shots.json", **options)
    record = evaluated(space, "shots")
    rows = predictions(space, "shots")
    assert record["snapshots"]["members"] == 3 == len(record["snapshots"]["UA_of_each"])
    test = rows[rows["split"] == "test"]
    ua = np.mean([recall_score(g["true"], g["predicted"], average="macro") for _, g in test.groupby("run")])
    gap = ua - record["snapshots"]["UA_of_each"][-1]
    assert record["snapshots"]["comparison_with_last"]["difference"] == pytest.approx(gap)


def test_the_command_writes_beside_the_summary_and_lists_stay_as_they_were(
    space: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # of a terminal: no cell is wrapped
    before = [line.experiment for line in list_results(space / "results")[0]]
    assert main(["evaluate", "--model", "less", "--calibrate", "--novelty", "c", "--workspace", str(space)]) == 0
    out = capsys.readouterr().out
    for word in ("temperature", "ECE", "AURC", "mahalanobis", "mean of runs minus one by one", "female minus male"):
        assert word in out
    (path,) = (space / "results").glob("less.evaluation-*.json")
    assert path.name == "less.evaluation-a-calibrated-novelty-c.json"
    assert [line.experiment for line in list_results(space / "results")[0]] == before
    assert find_summary("les", space / "results").name == "less.json"
    assert find_summary("less.evaluation", space / "results") == path
    assert main(["results", "show", path.name.removesuffix(".json"), "--workspace", str(space)]) == 0
    assert f"{capsys.readouterr().out.rstrip()}\n\nwritten: {path}\n" == out
    assert main(["evaluate", "--model", "none", "--workspace", str(space)]) == 2
    assert main(["evaluate", "--workspace", str(space)]) == 2


def test_where_speakers_standardise_themselves_the_novel_are_among_the_known(space: Path) -> None:
    options = {**FAST, "scheme": "4-without-sadness", "normalize": "speaker"}
    fit("a", Workspace(space), save=True, protocol="speaker", output=space / "results" / "own.json", **options)
    record = evaluated(space, "own", novelty=["emotion:sadness"])
    assert record["novelty"][0]["n"] == {"known": 72, "novel": 24}
    data = load_tensors("a", space).blocks[0].values
    frame = load_table("a", space).frame
    speaker = (frame["speaker"] == "s0").to_numpy()
    head = load_head(space / "results" / "own" / "run-000.fold-s0.safetensors")
    block = load_tensors("a", space).blocks[0]
    expected = head.probabilities([type(block)("toy", "audio", data[speaker])]).max(1)  # all of one speaker's
    table = pd.read_csv(space / "results" / record["files"]["novelty-emotion_sadness"]["path"], dtype={"fold": str})
    rows = table[(table["run"] == 0) & (table["fold"] == "s0")].set_index("utterance_id")
    found = -rows.loc[frame["utterance_id"][speaker], "max_softmax"].to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_few_shot_record_is_evaluated_at_an_amount(space: Path) -> None:
    options = {k: v for k, v in FAST.items() if k != "jobs"}
    output = space / "results" / "few.json"
    fewshot("b", "a", Workspace(space), percentages=[20, 50], protocol="speaker", output=output, **options)
    summary = plain(read_summary(output))
    for amount in ("20%", None):
        record = evaluated(space, "few", amount=amount)
        assert record["model"]["amount"] == (amount or "50%")
        assert record["data"]["dataset"] == "b"
        part = summary["percentages"][amount or "50%"]["pooled"]
        assert record["scores"] == json.loads(json.dumps(part))
        _, path = evaluate("few", space, amount=amount)
        assert path.name == f"few.evaluation-b-{'20pct' if amount else '50pct'}.json"
    with pytest.raises(ConfigError, match="have no validation part, as they learned from all"):
        evaluate("few", space, calibrate=True)
    with pytest.raises(ConfigError, match=r"fewshot saves no heads: train with one of ser fit, .* ser adapt, ser finetune"):
        evaluate("few", space, novelty=["c"])
    with pytest.raises(ConfigError, match="expected one of 20%, 50%"):
        evaluate("few", space, amount="30%")
    with pytest.raises(ConfigError, match="trained on a, and not tested on it"):
        evaluate("few", space, dataset="a")


def test_a_union_is_evaluated_on_each_of_its_corpora(space: Path) -> None:
    combine(["a", "c"], Workspace(space), protocol="speaker", output=space / "results" / "union.json", **FAST)
    rows = predictions(space, "union")
    with pytest.raises(ConfigError, match="--dataset a or c"):
        evaluate("union", space)
    for name, size in (("a", 96), ("c", 48)):
        record = evaluated(space, "union", dataset=name, calibrate=True)
        assert record["temperature"]["corpora"] == ["a", "c"]
        assert "of a and c, together" in record["notes"][0]
        test = rows[(rows["split"] == "test") & (rows["dataset"] == name)]
        assert record["data"]["utterances"] == size == test["utterance_id"].nunique()
        ua = np.mean([recall_score(g["true"], g["predicted"], average="macro") for _, g in test.groupby("run")])
        assert record["scores"]["UA"]["mean"] == pytest.approx(ua)


@pytest.mark.parametrize("head", ["late", "linear", "cross_attention"])
def test_heads_of_several_modalities_frames_and_parts(head: str, tmp_path: Path, maker_type: Any) -> None:
    maker = maker_type(tmp_path)
    for name in ("a", "c"):
        maker.table(name, speakers=3)
        maker.store(name, "frames", framewise=True, identity=SHARED)
        maker.store(name, "words", modality="text", identity=SHARED)
    small = {"late": {"hidden": 16}, "linear": {}, "cross_attention": {"hidden": 32, "heads": 4}}
    options = {**FAST, "runs": 1, "head_options": small[head], "epochs": 2}
    output = tmp_path / "results" / "both.json"
    fit("a", maker.space, head=head, save=True, protocol="speaker", output=output, **options)
    record = evaluated(tmp_path, "both", novelty=["c"], calibrate=True)  # the heads give what their record has
    assert all(found is not None for found in record["novelty"][0]["scores"].values())
    assert evaluated(tmp_path, "both", dataset="c")["data"]["utterances"] == 48


@pytest.mark.parametrize("context", ["dialogue", "utterance"])
def test_a_dialogue_head_that_folds_share_is_not_run_again(context: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fold tested it on sequences of its own turns; beside other turns its predictions would be others."""
    head = SimpleNamespace(config=SimpleNamespace(context=context))
    monkeypatch.setattr(EvaluatedModel, "head", lambda *_: head)
    model = EvaluatedModel("x", Path("x"), None, [], {(0, next(iter(SHARED_FOLDS))): Path("head")}, False)
    test = pd.DataFrame({"run": [0, 0, 1], "fold": ["1", "2", "1"]})
    if context == "dialogue":
        with pytest.raises(ConfigError, match="that 2 folds share cannot be run again"):
            model.head_rows(test)
        test = test[test["fold"] == "1"]
    ((key, rows),) = model.head_rows(test)
    assert (key[0], set(rows["run"])) == (0, {0})
