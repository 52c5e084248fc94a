"""Saved classifiers of scikit-learn: the same probabilities again, nothing run that a file names, and who may use them."""

import io
import json
import shutil
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.datasets import make_classification

import ser
from ser.cli import main
from ser.errors import ConfigError
from ser.evaluation.evaluate import evaluate
from ser.explain.inside import attention_maps
from ser.explain.modalities import contributions
from ser.explain.opened_head import open_head
from ser.features.blocks import stored_block
from ser.features.tensors import load_tensors
from ser.jsonfile import plain
from ser.results.records.kinds import read_summary
from ser.results.stored.runs import read_predictions
from ser.synthesis import make_corpus
from ser.train.checkpoint import CLASSIFIER, SavedHead, head_facts, load_head
from ser.train.classical.classifier import Classical, _classes, make_classical
from ser.train.classical.classifier import estimator as unfitted
from ser.train.classical.learner import shares_of
from ser.train.classical.saved import pack, unpack
from ser.train.classical.treecheck import check_trees
from ser.train.experiments.fit import fit
from ser.train.runs import worker as units

HEADS: dict[str, dict[str, Any]] = {
    "LogisticRegression": {},
    "SVC": {"C": 2},
    "RandomForestClassifier": {"n_estimators": 9},
    "LinearSVC": {},  # no predict_proba
}
X, Y = make_classification(120, 18, n_informative=8, n_classes=4, random_state=0)


def fitted(name: str, **options: Any) -> tuple[Any, Classical]:
    config = make_classical(f"sklearn:{name}", head_options=options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return unfitted(config, 0).fit(X, Y), config


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, maker_type: Any) -> Path:
    """Corpora a (sound and words) and b (sound), and heads of a."""
    root = tmp_path_factory.mktemp("workspace")
    maker = maker_type(root)
    for name, speakers in (("a", 3), ("b", 3)):
        maker.table(name, speakers=speakers)
        maker.store(name, identity={"encoder": "toy"}, strength=0.6)
    for name, options in HEADS.items():
        given: dict[str, Any] = {"head": f"sklearn:{name}", "head_options": options, "protocol": "speaker", "jobs": 1}
        fit("a", maker.space, runs=2, save=True, output=root / "results" / f"{name}.json", **given)
    maker.store("a", "words", modality="text", dim=6, identity={"encoder": "words"}, strength=0.6)
    given = {"head": "sklearn:LogisticRegression", "protocol": "speaker", "jobs": 1, "runs": 1}
    fit("a", maker.space, save=True, output=root / "results" / "both.json", **given)
    return root


def head_in(space: Path, name: str, run: int = 0, fold: str = "s1") -> Path:
    return space / "results" / name / f"run-{run:03d}.fold-{fold}.safetensors"


@pytest.mark.parametrize("name", list(HEADS))
@pytest.mark.parametrize("run", [0, 1])
def test_the_probabilities_are_those_of_the_record_to_the_last_bit(space: Path, name: str, run: int) -> None:
    path = space / "results" / f"{name}.json"
    head = load_head(head_in(space, name, run))
    rows = read_predictions(path)
    rows = rows[(rows["run"] == run) & (rows["fold"] == "s1") & (rows["split"] == "test")]
    block = stored_block(space / "features" / "a" / "toy.h5", "toy", list(rows["utterance_id"]))
    found = head.probabilities([block])
    recorded = rows[[f"p_{c}" for c in head.classes]].to_numpy()
    np.testing.assert_array_equal(found.astype(np.float32), recorded.astype(np.float32))  # records hold float32
    assert head.notes == ()
    facts = head_facts(head_in(space, name, run))
    assert facts == head.about
    assert (facts.run, facts.fold, facts.dataset) == (run, "s1", "a")
    assert facts.stores["toy"]["identity"]["encoder"] == "toy"
    assert facts.config["head"] == f"sklearn:{name}"
    assert set(head.statistics["toy"]) == {"mean", "std"}


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_every_classifier_of_scikit_learn_comes_back_as_it_was() -> None:
    seen = []
    for name in _classes("classifier"):
        try:
            config = make_classical(f"sklearn:{name}")
        except ConfigError:
            continue  # made of other classifiers
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = unfitted(config, 0)
            if "n_estimators" in made.get_params():
                made.set_params(n_estimators=5)
            try:
                made.fit(np.abs(X), Y)
            except ValueError:
                continue  # fitted by no features or labels of this kind
            try:
                expected = shares_of(made, config, np.abs(X), 4)
            except (ValueError, ser.SerError):
                continue
        again, notes = unpack(pack(made, config.head), config, X.shape[1], "file")
        np.testing.assert_allclose(shares_of(again, config, np.abs(X), 4), expected, rtol=0, atol=1e-15, err_msg=name)
        assert not notes
        seen.append(name)
    assert {"GaussianProcessClassifier", "MLPClassifier", "HistGradientBoostingClassifier", "BaggingClassifier"} < set(seen)
    assert len(seen) > 25


def test_what_cannot_be_saved_is_known_before_training(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser.train.classical.saved.TRUSTED", ())
    monkeypatch.setattr("ser.train.classical.learner.ClassicalLearner.train", lambda *_, **__: pytest.fail("trained"))
    given: dict[str, Any] = {"head": "sklearn:DecisionTreeClassifier", "protocol": "speaker", "jobs": 1, "stores": ["toy"]}
    with pytest.raises(ConfigError, match=r"--save: sklearn:DecisionTreeClassifier cannot be saved"):
        fit("a", space, save=True, output=space / "results" / "no.json", **given)
    assert not (space / "results" / "no").exists()


VALUES = np.abs(X[:, :2] + X[:, 2:4] ** 2)


def regressors(name: str, **options: Any) -> tuple[Any, Classical]:
    config = make_classical(f"sklearn:{name}", head_options=options, target="dimensions")
    made = unfitted(config, 0)
    if "n_estimators" in made.estimator.get_params():
        made.estimator.set_params(n_estimators=5)
    return made.fit(np.abs(X), VALUES), config


@pytest.mark.filterwarnings("ignore")
def test_every_regressor_of_scikit_learn_comes_back_as_it_was() -> None:
    seen = []
    for name in _classes("regressor"):
        try:
            made, config = regressors(name)
        except (ConfigError, ValueError, IndexError):
            continue  # made of others, or of one feature, or of several values alone
        expected = made.predict(np.abs(X))
        again, notes = unpack(pack(made, config.head), config, X.shape[1], "file")
        np.testing.assert_array_equal(shares_of(again, config, np.abs(X), 2), expected, err_msg=name)
        assert not notes
        seen.append(name)
    assert {"Ridge", "SVR", "MLPRegressor", "BaggingRegressor", "TweedieRegressor", "AdaBoostRegressor"} < set(seen)
    assert len(seen) > 40
    made, config = regressors("KNeighborsRegressor", algorithm="kd_tree")
    again, _ = unpack(pack(made, config.head), config, X.shape[1], "file")
    np.testing.assert_array_equal(again.predict(X), made.predict(X))


@pytest.mark.parametrize("name", ["DecisionTreeRegressor", "RandomForestRegressor", "BaggingRegressor"])
def test_trees_of_each_dimension_are_looked_at(name: str) -> None:
    made, config = regressors(name)
    last = made.estimators_[1]
    tree_of(last.estimators_[3] if hasattr(last, "estimators_") else last, feature=10**6)
    with pytest.raises(ConfigError, match="leads out of its nodes or features"):
        unpack(pack(made, config.head), config, X.shape[1], "file")
    other = make_classical("sklearn:Ridge", target="dimensions")
    with pytest.raises(ConfigError, match="does not hold what it says"):
        unpack(pack(made, other.head), other, X.shape[1], "file")
    with pytest.raises(ConfigError, match="is of 2 dimensions; expected of 3"):
        shares_of(made, config, X[:1], 3)


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
def test_neighbours_are_found_in_a_tree_that_is_built_again(algorithm: str) -> None:
    made, config = fitted("KNeighborsClassifier", algorithm=algorithm, n_neighbors=3)
    content = pack(made, config.head)
    assert made._tree is not None  # the one that goes on predicting has its own still
    again, _ = unpack(content, config, X.shape[1], "file")
    assert type(again._tree) is type(made._tree)
    np.testing.assert_array_equal(again.predict_proba(X[::-1] + 0.1), made.predict_proba(X[::-1] + 0.1))


def rewritten(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A skops file with another description of its objects."""
    source, out = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    schema = json.loads(source.read("schema.json"))
    change(schema)
    with zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            target.writestr(name, json.dumps(schema) if name == "schema.json" else source.read(name))
    return out.getvalue()


def forged(source: Path, target: Path, change: Callable[[bytes], bytes]) -> Path:
    """A head with another classifier inside."""
    with safe_open(source, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    inside = change(tensors[CLASSIFIER].numpy().tobytes())
    tensors[CLASSIFIER] = torch.frombuffer(bytearray(inside), dtype=torch.uint8)
    save_file(tensors, target, metadata=metadata)
    return target


def test_a_file_that_names_a_foreign_type_is_refused_before_anything_is_made(space: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    def foreign(schema: dict[str, Any]) -> None:
        attributes = schema["content"]["content"]
        attributes["tol"] = {
            "__class__": "system",
            "__module__": "os",
            "__loader__": "ConstructorFromReduceNode",
            "content": {
                "__class__": "tuple",
                "__module__": "builtins",
                "__loader__": "TupleNode",
                "content": [
                    {
                        "__class__": "str",
                        "__module__": "builtins",
                        "__loader__": "JsonNode",
                        "content": json.dumps(f"touch {mark}"),
                        "is_json": True,
                    }
                ],
            },
        }

    bad = forged(head_in(space, "LogisticRegression"), tmp_path / "bad.safetensors", lambda c: rewritten(c, foreign))
    with pytest.raises(ConfigError, match=r"bad.safetensors holds types .* nothing was loaded.*(os|posix)\.system"):
        load_head(bad)
    assert not mark.exists()
    with pytest.raises(ConfigError, match="nothing was loaded"):
        ser.Predictor(bad)


def test_a_file_that_holds_another_class_or_nothing_is_refused(space: Path, tmp_path: Path) -> None:
    made, config = fitted("GaussianNB")
    other = pack(made, config.head)
    swapped = forged(head_in(space, "LogisticRegression"), tmp_path / "swapped.safetensors", lambda _: other)
    with pytest.raises(ConfigError, match=r"does not hold what it says; .*LogisticRegression.*GaussianNB"):
        load_head(swapped)
    half = forged(head_in(space, "SVC"), tmp_path / "half.safetensors", lambda c: c[: len(c) // 2])
    with pytest.raises(ConfigError, match=r"cannot read the classifier in .*half.*sklearn:SVC"):
        load_head(half)


def tree_of(made: Any, **values: int) -> None:
    """Write other numbers into the root of a tree."""
    tree = made.tree_
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    for field, value in values.items():
        state["nodes"][field][0] = value
    tree.__setstate__(state)


@pytest.mark.parametrize("wrong", [{"feature": 10**6}, {"feature": -7}, {"left_child": 10**9}, {"right_child": 0}])
@pytest.mark.parametrize("name", ["DecisionTreeClassifier", "RandomForestClassifier", "BaggingClassifier"])
def test_a_tree_that_leads_nowhere_is_refused(name: str, wrong: dict[str, int]) -> None:
    made, config = fitted(name)
    tree_of(made.estimators_[3] if hasattr(made, "estimators_") else made, **wrong)
    with pytest.raises(ConfigError, match="leads out of its nodes or features"):
        unpack(pack(made, config.head), config, X.shape[1], "file")


def test_trees_of_gradient_boosting_and_of_subsets_of_features_are_looked_at_too() -> None:
    made, config = fitted("HistGradientBoostingClassifier", max_iter=3)
    made._predictors[1][2].nodes["feature_idx"][0] = X.shape[1]
    with pytest.raises(ConfigError, match="leads out"):
        unpack(pack(made, config.head), config, X.shape[1], "file")
    made, config = fitted("BaggingClassifier", max_features=5)
    again, _ = unpack(pack(made, config.head), config, X.shape[1], "file")
    np.testing.assert_array_equal(again.predict_proba(X), made.predict_proba(X))
    made.estimators_features_[2] = made.estimators_features_[2][:3]
    with pytest.raises(ConfigError, match="leads out"):
        unpack(pack(made, config.head), config, X.shape[1], "file")


def test_another_scikit_learn_is_named(space: Path, tmp_path: Path) -> None:
    def older(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["_sklearn_version"]["content"] = json.dumps("1.2.3")

    path = forged(head_in(space, "SVC"), tmp_path / "old.safetensors", lambda c: rewritten(c, older))
    head = load_head(path)
    (note,) = head.notes
    assert note.startswith("sklearn:SVC was saved by scikit-learn 1.2.3, and this is ")
    assert isinstance(head.config, Classical)
    del head.weights[0].support_vectors_
    with pytest.raises(ConfigError, match=r"sklearn:SVC cannot be run.*scikit-learn .*, which saved it.*AttributeError"):
        head.classified(X[:, :8])


def test_what_has_no_head_is_fitted_again(space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("features", "metadata"):
        shutil.copytree(space / part, tmp_path / part)
    done: list[list[int]] = []
    real = units._stack

    def seen(job: Any, folds: Any, runs: list[int], *half: Any) -> Any:
        done.append(runs)
        return real(job, folds, runs, *half)

    monkeypatch.setattr(units, "_stack", seen)
    given: dict[str, Any] = {"head": "sklearn:GaussianNB", "stores": ["toy"], "protocol": "speaker", "jobs": 1, "runs": 1}
    first = fit("a", tmp_path, **given)
    folder = tmp_path / "results" / first["experiment"]
    assert len(done) == 3
    assert not list(folder.glob("*.safetensors"))
    again = fit("a", tmp_path, save=True, **given)
    assert len(done) == 6
    assert again["pooled"] == first["pooled"]
    (folder / "run-000.fold-s2.safetensors").unlink()
    fit("a", tmp_path, save=True, **given)
    assert len(done) == 7
    assert len(list(folder.glob("*.safetensors"))) == 3


def test_an_experiment_is_evaluated_on_its_own_corpus_and_on_another(space: Path) -> None:
    own, _ = evaluate("RandomForestClassifier", space, calibrate=True)
    assert own["temperature"]["mean"] > 0
    assert own["groups"]["gender"]
    assert own["ensemble"]["members"] == 2
    other, _ = evaluate("RandomForestClassifier", space, dataset="b", novelty=[])
    assert other["model"]["heads"] == 6
    rows = pd.read_csv(space / "results" / other["files"]["predictions"]["path"], dtype={"fold": str})
    head = load_head(head_in(space, "RandomForestClassifier", 1))
    data = load_tensors("b", space, classes=head.classes)
    mine = rows[(rows["run"] == 1) & (rows["fold"] == "s1")]
    np.testing.assert_allclose(mine[[f"p_{c}" for c in head.classes]], head.probabilities(list(data.blocks)), atol=1e-6)


def test_novelty_is_told_by_what_a_classical_head_has(space: Path) -> None:
    record, _ = evaluate("LinearSVC", space, dataset="a", novelty=["b"])
    (entry,) = record["novelty"]
    assert entry["scores"]["energy"] is None
    assert any("no energy" in n for n in entry["notes"])
    for name in ("max_softmax", "mahalanobis", "knn"):
        assert 0 <= entry["scores"][name]["AUROC"]["mean"] <= 1


def test_what_only_a_neural_head_has_is_refused_in_words(space: Path) -> None:
    with pytest.raises(ConfigError, match=r"LogisticRegression has neither layers nor gradients.*ser predict"):
        evaluate("LogisticRegression", space, explain=True)
    saved = load_head(head_in(space, "LogisticRegression"))
    data = load_tensors("a", space, stores=["toy"])
    opened = open_head(saved, data)
    with pytest.raises(ConfigError, match="neither layers"):
        _ = opened.module
    with pytest.raises(ConfigError, match="neither layers"):
        saved.parts(saved.standardised(data.blocks))
    assert attention_maps(opened, 0) == []
    assert opened.layer_weights() == {}


def test_what_each_modality_adds_is_told_of_a_classical_head_too(space: Path) -> None:
    record, path = evaluate("both", space, explain=True)
    found = json.loads((path.parent / record["explanations"]).read_text())
    assert found["modalities"]["players"] == ["audio", "text"]
    saved, data = load_head(head_in(space, "both")), load_tensors("a", space)
    opened, rows = open_head(saved, data), np.arange(12)
    np.testing.assert_array_equal(opened.probabilities(rows), saved.probabilities(list(data.blocks))[rows])
    values = contributions(opened, rows, draws=3)
    total = values.coalitions[frozenset({"audio", "text"})] - values.coalitions[frozenset()]
    np.testing.assert_allclose(values.values.sum(0), total, atol=1e-12)
    # With the words of another, by hand: swapping rows of the second block is what "absent" means.
    partner = np.roll(rows, 1)
    everyone = np.arange(len(data.frame))
    everyone[rows] = partner
    words = replace(data.blocks[1], values=data.blocks[1].values[everyone])
    expected = saved.probabilities([data.blocks[0], words])[rows]
    np.testing.assert_array_equal(opened.probabilities(rows, {"words": everyone}), expected)


def test_new_recordings_get_what_the_stored_features_got(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_corpus(tmp_path / "corpus", seed=3, speakers=4, sentences=2, emotions=("ANG", "SAD"))
    common = ["--workspace", str(tmp_path), "--quiet"]
    from_ = ["--dataset", "mine", "--format", "cremad", "--root", str(tmp_path / "corpus")]
    assert main(["metadata", *from_, *common]) == 0
    assert main(["extract", "--dataset", "mine", "--audio", "mfcc", "--level", "utterance", "--jobs", "1", *common]) == 0
    given = ["--head", "sklearn:SVC", "--protocol", "speaker", "--runs", "1", "--jobs", "1", "--save"]
    assert main(["fit", *given, "--output", str(tmp_path / "results" / "mine.json"), *common]) == 0
    summary = plain(read_summary(tmp_path / "results" / "mine.json"))
    entry = summary["runs"][0]
    model = (tmp_path / "results" / entry["record"]).with_suffix(".safetensors")
    recorded = pd.read_csv(tmp_path / "results" / entry["predictions"])
    recorded = recorded[recorded["split"] == "test"].head(3)
    files = [str(tmp_path / "corpus" / "AudioWAV" / f"{i}.wav") for i in recorded["utterance_id"]]
    capsys.readouterr()
    assert main(["predict", *files, "--model", str(model), "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    np.testing.assert_allclose([r["p_anger"] for r in rows], recorded["p_anger"], atol=1e-5)
    assert [r["predicted"] for r in rows] == list(recorded["predicted"])
    assert isinstance(ser.Predictor(model).head, SavedHead)


def zipped(content: bytes, change: Callable[[str, bytes], bytes], **more: bytes) -> bytes:
    """A skops file with other members."""
    source, out = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, change(name, source.read(name)))
        for name, value in more.items():
            target.writestr(name, value)
    return out.getvalue()


def test_an_archive_that_declares_more_than_its_size_is_not_unpacked() -> None:
    made, config = fitted("GaussianNB")
    content = pack(made, config.head)

    def huge(name: str, value: bytes) -> bytes:
        """The header of a million million numbers, and nothing behind it."""
        if not name.endswith(".npy"):
            return value
        out = io.BytesIO()
        np.lib.format.write_array_header_1_0(out, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
        return out.getvalue()

    begin = time.process_time()
    for bad, said in (
        (zipped(content, huge), "declares 8000000000000 bytes"),
        (zipped(content, lambda _, v: v, zeros=bytes(2**28)), "are read at most"),
        (zipped(content, lambda n, v: b"[" * 10**6 if n == "schema.json" else v), "cannot read the classifier in file"),
        (zipped(content, lambda n, v: b"\xff" if n == "schema.json" else v), "cannot read the classifier in file"),
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            unpack(bad, config, X.shape[1], "file")
        assert "\n" not in str(caught.value)
    assert time.process_time() - begin < 10


def test_lists_in_lists_are_refused() -> None:
    """Twelve levels of a list that holds the next one twice: four thousand numbers for NumPy; thirty would not end."""
    made, config = fitted("GaussianNB")
    inner: list[Any] = [1.0]
    for _ in range(12):
        inner = [inner, inner]
    made.theta_ = inner
    with pytest.raises(ConfigError, match="nested more than 8 levels"):
        unpack(pack(made, config.head), config, X.shape[1], "file")
    itself: list[Any] = []
    itself.append(itself)
    made.theta_ = itself
    with pytest.raises(ConfigError, match="nested more than 8 levels"):
        check_trees(made, X.shape[1], "file")
