"""Classifiers of scikit-learn as heads: the numbers of scikit-learn used directly, and every refusal."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, LinearSVC

from ser.cli import main
from ser.errors import ConfigError, SerError, TrainingError
from ser.features.blocks import Block
from ser.features.tensors import load_tensors
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.folds.protocols import make_folds
from ser.results.stored.runs import read_predictions
from ser.train.classical.classifier import Classical, make_classical
from ser.train.classical.learner import ClassicalLearner
from ser.train.experiments.fit import fit
from ser.train.nn import streams

WRONG = [
    (
        "SVC",
        {"kernel": "rbff"},
        "kernel of head sklearn:SVC; expected one of linear, poly, precomputed, rbf, sigmoid; found 'rbff'",
    ),
    ("LogisticRegression", {"C": -1}, "option C of head sklearn:LogisticRegression; expected a float in the range"),
    ("RandomForestClassifier", {"n_estimators": "many"}, "expected an int in the range [1, inf); found 'many'"),
    (
        "MLPClassifier",
        {"hidden_layer_sizes": "100,50", "activation": 3},
        "activation of head sklearn:MLPClassifier; expected a str",
    ),
]
TOY: dict[str, Any] = {"protocol": "speaker", "jobs": 1}


def predictions(maker: Any, summary: dict[str, Any]) -> pd.DataFrame:
    return read_predictions(maker.space.results / f"{summary['experiment']}.json")


DIRECT: dict[str, tuple[dict[str, Any], Callable[[int], ClassifierMixin]]] = {
    "LogisticRegression": ({"C": 0.1}, lambda seed: LogisticRegression(C=0.1, class_weight="balanced")),
    "SVC": ({"kernel": "linear"}, lambda seed: SVC(kernel="linear", class_weight="balanced")),
    "LinearSVC": ({}, lambda seed: LinearSVC(class_weight="balanced", random_state=seed)),
    "RandomForestClassifier": (
        {"n_estimators": 9},
        lambda seed: RandomForestClassifier(9, class_weight="balanced", random_state=seed),
    ),
    "HistGradientBoostingClassifier": (
        {"max_iter": 5},
        lambda seed: HistGradientBoostingClassifier(max_iter=5, class_weight="balanced", random_state=seed),
    ),
    "KNeighborsClassifier": ({"n_neighbors": 3}, lambda seed: KNeighborsClassifier(3)),
    "LinearDiscriminantAnalysis": ({}, lambda seed: LinearDiscriminantAnalysis()),
}


@pytest.mark.parametrize("name", list(DIRECT))
def test_the_numbers_are_those_of_scikit_learn_used_directly(maker: Any, name: str) -> None:
    maker.table("toy")
    maker.store("toy", strength=0.4)
    options, build = DIRECT[name]
    summary = fit("toy", maker.space, head=f"sklearn:{name}", head_options=options, runs=1, **TOY)
    found = predictions(maker, summary).set_index(["fold", "split", "utterance_id"]).sort_index()
    data = load_tensors("toy", maker.space)
    x = data.blocks[0].values.astype(np.float64)
    for fold in make_folds("speaker", data.table, data.frame, data.labels, FoldOptions()):
        mean, std = x[fold.train].mean(0), x[fold.train].std(0)
        scaled = np.clip((x - mean) / std, -3, 3).astype(np.float32).astype(np.float64)
        both = np.concatenate([fold.train, fold.validation])
        for split, rows, test in (("validation", fold.train, fold.validation), ("test", both, fold.test)):
            seed = streams.derive(0, 0, fold.name) % 2**32
            direct = build(seed).fit(scaled[rows], data.labels[rows])
            if hasattr(direct, "predict_proba"):
                shares = direct.predict_proba(scaled[test])
            else:
                shares = softmax(direct.decision_function(scaled[test]), axis=1)
            ours = found.loc[(fold.name, split)].loc[data.frame["utterance_id"].iloc[test]]
            np.testing.assert_allclose(ours[[f"p_{c}" for c in data.classes]].to_numpy(), shares, atol=2e-4)
            named = np.array(data.classes)[shares.argmax(1)]
            assert (ours["predicted"].to_numpy() == named).mean() > 0.97  # float32 statistics move a tie here and there


def test_what_is_not_random_is_fitted_once_a_fold(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    maker.table("toy")
    maker.store("toy")
    calls: list[int] = []
    real = ClassicalLearner._fit

    def counting(self: ClassicalLearner, rows: Any, seed: int) -> Any:
        calls.append(seed)
        return real(self, rows, seed)

    monkeypatch.setattr(ClassicalLearner, "_fit", counting)
    summary = fit("toy", maker.space, head="sklearn:SVC", runs=5, **TOY)
    assert len(calls) == 6 * 2  # folds; training, then training and validation
    assert len(summary["runs"]) == 30
    assert set(summary["pooled"]["UA"]["values"]) == {summary["pooled"]["UA"]["mean"]}
    assert "UA" in repr(summary)
    assert "over runs" not in repr(summary)
    stamps = " ".join(summary["stamps"])
    assert stamps.count("all runs are equal") == 1
    assert "softmax of decision_function, not calibrated" in stamps
    calls.clear()
    fit("toy", maker.space, head="sklearn:SVC", runs=5, refit="never", **TOY)
    assert len(calls) == 6


def test_random_runs_differ_and_are_themselves(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", strength=0.3)
    options: dict[str, Any] = {"head": "sklearn:RandomForestClassifier", "head_options": {"n_estimators": 5}, **TOY}
    few = fit("toy", maker.space, runs=2, output=maker.space.results / "few.json", **options)
    many = fit("toy", maker.space, runs=3, output=str(maker.space.results / "many.json"), **options)
    assert few["pooled"]["UA"]["values"] == many["pooled"]["UA"]["values"][:2]
    assert len(set(many["pooled"]["UA"]["values"])) > 1
    assert "equal" not in " ".join(many["stamps"])
    assert "(95 % over runs " in repr(many)


@pytest.mark.parametrize(
    ("name", "options", "random"),
    [
        ("LogisticRegression", {}, False),
        ("LogisticRegression", {"solver": "saga"}, True),
        ("SVC", {}, False),
        ("KNeighborsClassifier", {}, False),
        ("LinearSVC", {}, True),
        ("LinearSVC", {"dual": False}, False),
        ("RandomForestClassifier", {}, True),
        ("MLPClassifier", {}, True),
    ],
)
def test_which_ones_are_random(name: str, options: dict[str, Any], random: bool) -> None:
    config = make_classical(f"sklearn:{name}", head_options=options)
    assert config.random is random
    assert ("equal" in " ".join(config.stamps())) is not random


@pytest.mark.parametrize(
    ("name", "given", "balance"),
    [
        ("SVC", {}, "class_weight"),
        ("SVC", {"class_weights": "none"}, "none"),
        ("SVC", {"class_weights": "none", "head_options": {"class_weight": "balanced"}}, "class_weight"),
        ("GaussianNB", {}, "sample_weight"),
        ("KNeighborsClassifier", {}, "none"),
    ],
)
def test_classes_are_balanced_as_the_classifier_allows(name: str, given: dict[str, Any], balance: str) -> None:
    config = make_classical(f"sklearn:{name}", **given)
    assert config.balance == balance
    assert ("not balanced" in " ".join(config.stamps())) is (name == "KNeighborsClassifier")


def test_sample_weights_are_those_of_balanced_classes(maker: Any) -> None:
    from sklearn.naive_bayes import GaussianNB

    maker.table("toy")
    maker.store("toy", strength=0.2)
    data = load_tensors("toy", maker.space)
    rows = np.flatnonzero((data.labels > 0) | (np.arange(len(data.labels)) % 3 == 0))
    learner = ClassicalLearner(data, make_classical("sklearn:GaussianNB"))
    (parts,) = learner.train(rows, rows[:0], [1])
    (model,) = learner.weights([parts])
    np.testing.assert_allclose(model.class_prior_, [0.25] * 4)
    direct = GaussianNB(priors=[0.25] * 4).fit(learner.values[rows], data.labels[rows])
    np.testing.assert_allclose(model.theta_, direct.theta_)


def test_a_class_that_training_lacks_has_no_probability_and_two_classes_are_logistic(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    data = load_tensors("toy", maker.space)
    rows = np.flatnonzero(np.isin(data.labels, [1, 3]))
    learner = ClassicalLearner(data, make_classical("sklearn:LinearSVC"))
    weights = learner.weights(learner.train(rows, rows[:0], [0]))
    shares = learner.predict(weights, np.arange(len(data.labels)))[0]
    assert (shares[:, [0, 2]] == 0).all()
    direct = weights[0].decision_function(learner.values)
    np.testing.assert_allclose(shares[:, 3], 1 / (1 + np.exp(-direct)))
    with pytest.raises(TrainingError, match="fewer than two classes"):
        learner.train(np.flatnonzero(data.labels == 1), rows[:0], [0])


def test_frames_and_layers_are_averaged_and_stores_concatenated(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    maker.store("toy", "frames", modality="text", framewise=True, dim=5)
    data = load_tensors("toy", maker.space)
    pooled, frames = data.blocks
    layers = Block("layers", "visual", np.stack([pooled.values, 3 * pooled.values], axis=1))
    values = ClassicalLearner(data.with_blocks([pooled, frames, layers]), Classical("sklearn:SVC")).values
    assert values.shape == (96, 8 + 5 + 8)
    assert frames.offsets is not None
    for row in (0, 41, 95):
        own = frames.values[frames.offsets[row] : frames.offsets[row + 1]].mean(0)
        np.testing.assert_allclose(values[row, 8:13], own, rtol=1e-5)
    np.testing.assert_allclose(values[:, 13:], 2 * values[:, :8], rtol=1e-6)


def test_what_does_not_converge_is_noted(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", strength=0.1)
    options = {"max_iter": 1}
    summary = fit("toy", maker.space, head="sklearn:LogisticRegression", head_options=options, runs=2, **TOY)
    (note,) = summary["notes"]
    assert note.startswith("12 of 12 runs x folds: ConvergenceWarning: lbfgs failed to converge")
    run = json.loads((maker.space.results / summary["runs"][0]["record"]).read_text())
    assert len(run["notes"]) == 1
    assert run["probabilities"] == "predict_proba"
    assert run["selection"] == "nothing is chosen, then fitted again on training and validation"
    assert "curves" not in run


@pytest.mark.parametrize(
    ("head", "given", "words"),
    [
        ("sklearn:LogisticRegresion", {}, "Did you mean 'sklearn:LogisticRegression"),
        ("sklearn:svc", {}, "'sklearn:SVC'"),
        ("sklearn:Ridge", {}, "no classifier 'Ridge'"),
        ("sklearn:xyzzy", {}, "expected the name of a class"),
        ("sklearn:StackingClassifier", {}, "made of other classifiers"),
        ("sklearn:SVC", {"head_options": {"c": 1}}, "unknown option of head sklearn:SVC: 'c'"),
        ("sklearn:SVC", {"head_options": {"random_state": 1}}, "Choose another --seed"),
        ("sklearn:SVC", {"lr": 1e-3, "batch_size": 8}, "--batch-size, --lr means nothing to head sklearn:SVC"),
        ("sklearn:SVC", {"patience": 0}, "--patience means nothing"),
        ("sklearn:SVC", {"class_weights": "some"}, "balanced or none"),
        ("sklearn:SVC", {"stack": 3}, "--stack"),
        ("sklearn:SVC", {"device": "cuda"}, "--device cuda"),
        ("sklearn:SVC", {"head_options": {"C": -1.0}}, "option C of head sklearn:SVC; expected a float in the range"),
        ("sklearn:SVC", {"head_options": {"decision_function_shape": "ovo"}}, "decision_function_shape=ovr"),
        ("sklearn:MultinomialNB", {}, "sklearn:MultinomialNB: Negative values"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(maker: Any, head: str, given: dict[str, Any], words: str) -> None:
    maker.table("toy")
    maker.store("toy")
    with pytest.raises(SerError, match=words.replace("(", r"\(")):
        fit("toy", maker.space, head=head, runs=1, **TOY, **given)


def test_word_ids_are_refused(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", "words", modality="text", framewise=True, vocabulary=13)
    with pytest.raises(ConfigError, match="cannot take the word ids of words"):
        fit("toy", maker.space, head="sklearn:SVC", runs=1, **TOY)


def test_numbers_with_commas_are_several(maker: Any) -> None:
    config = make_classical("sklearn:MLPClassifier", head_options={"hidden_layer_sizes": "8,4", "solver": "adam"})
    assert config.head_options == {"hidden_layer_sizes": (8, 4), "solver": "adam"}
    assert replace(config, scikit_learn="") == Classical(
        "sklearn:MLPClassifier", config.head_options, "balanced", config.balance
    )


def test_the_command_line_takes_them(maker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    maker.table("toy")
    maker.store("toy")
    base = ["fit", "--workspace", str(maker.space.root), "--runs", "2", "--jobs", "1", "--head"]
    assert main([*base, "sklearn:SVC", "--head-option", "C=1e-1", "--head-option", "kernel=linear"]) == 0
    said = capsys.readouterr().out
    assert "head sklearn:SVC" in said
    assert "all runs are equal" in said
    (path,) = maker.space.results.glob("fit-toy-sklearn-SVC-*.json")
    assert json.loads(path.read_text())["config"]["head_options"] == {"C": 0.1, "kernel": "linear"}
    assert main([*base, "sklearn:SVC", "--epochs", "3"]) == 2
    assert "--epochs means nothing to head sklearn:SVC" in capsys.readouterr().err
    assert main([*base, "sklern:SVC"]) == 2
    assert "sklern" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "options", "said"), WRONG)
def test_a_value_that_scikit_learn_refuses_is_refused_before_anything_is_trained(
    name: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_classical(f"sklearn:{name}", head_options=options)
    assert said in caught.value.line()
