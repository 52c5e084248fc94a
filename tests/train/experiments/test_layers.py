"""Layer-wise analysis: the probe of a layer is the experiment on that layer alone; validation chooses, not test."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ser
from ser.errors import ConfigError
from ser.evaluation.evaluate import evaluate
from ser.features.blocks import Block
from ser.features.stores.layout import Facts, Record
from ser.features.stores.writer import StoreWriter
from ser.features.tensors import load_tensors
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.plotting.gallery import draw
from ser.results.result import Result
from ser.results.stored.runs import read_predictions
from ser.results.verification.verify import verify
from ser.train.checkpoint import load_head
from ser.train.nn.layers import Enter
from ser.train.nn.pooling import POOLINGS

FEW: dict[str, Any] = {"protocol": "speaker", "folds": 3, "runs": 2, "epochs": 15, "jobs": 1, "refit": "never"}
ONE: dict[str, Any] = {**FEW, "protocol": "official", "folds": None}  # one fold
STRENGTHS = (0.1, 1.1, 0.5)
IDENTITY = {"level": "utterance", "layers": [0, 4, 9], "last_layer": 9}


@pytest.fixture
def space(maker: Any) -> Any:
    """A corpus with a store of three layers, of which the second tells the emotions best."""
    maker.table("toy")
    maker.store("toy", "deep", layers=STRENGTHS, identity=IDENTITY)
    return maker.space


def pooled_ua(space: Any, experiment: str) -> float:
    """The pooled UA of an experiment by its predictions."""
    frame = read_predictions(space.results / f"{experiment}.json")
    return metrics_from_predictions(frame, sorted(set(frame["true"]))).pooled.UA.mean


def test_validation_chooses_a_layer_that_is_compared_with_the_last_and_with_all(space: Any) -> None:
    study = ser.layers("toy", space, stores="deep", **FEW)
    names = [p["name"] for p in study["positions"]]
    assert names == ["layer 0", "layer 4", "layer 9"]
    validation = {p["name"]: p["validation"]["UA"]["mean"] for p in study["positions"]}
    assert study["chosen"] == "layer 4" == max(validation, key=lambda n: validation[n])
    assert [c["other"] for c in study["comparisons"]] == ["layer 9", "all layers"]
    assert len(study["nested"]["settings"]) == 3
    assert any("chosen among 3" in stamp for stamp in study["stamps"])
    for p in [*study["positions"], study["all_layers"]]:
        assert p["pooled"]["UA"]["mean"] == pytest.approx(pooled_ua(space, p["experiment"]))
    difference = study["comparisons"][0]["difference"]
    of = {p["name"]: p["pooled"]["UA"]["mean"] for p in study["positions"]}
    assert difference == pytest.approx(of["layer 4"] - of["layer 9"])


def test_a_probe_is_the_experiment_on_the_layer_alone(space: Any, maker: Any) -> None:
    """Its record is found again by `fit` with that layer; its numbers are those of a store of that layer's values."""
    study = ser.layers("toy", space, stores="deep", **ONE)
    (second,) = [p for p in study["positions"] if p["layer"] == 4]
    again = ser.fit("toy", space, head="linear", stores="deep", layer=4, **ONE)
    assert again["experiment"] == second["experiment"]
    values = load_tensors("toy", space, stores="deep").blocks[0].values[:, 1]
    ids = list(load_tensors("toy", space, stores="deep").frame["utterance_id"])
    maker.store("toy", "alone")
    facts = Facts("alone", "audio", "utterance", values.shape[1], {"encoder": "alone"})
    with StoreWriter(space.store("toy", "alone"), facts, overwrite=True) as writer:
        writer.commit([Record(i, v, bytes(32)) for i, v in zip(ids, values, strict=True)])
        writer.merge(ids)
    alone = ser.fit("toy", space, head="linear", stores="alone", **ONE)
    assert alone["pooled"]["UA"]["values"] == again["pooled"]["UA"]["values"]
    columns = [f"p_{c}" for c in again["per_class"]]
    frames = [read_predictions(space.results / f"{r['experiment']}.json")[columns] for r in (alone, again)]
    np.testing.assert_array_equal(*(f.to_numpy() for f in frames))


def test_the_learned_weights_are_those_of_the_saved_heads(space: Any) -> None:
    fitted = ser.fit("toy", space, head="linear", stores="deep", **{**ONE, "save": True})
    study = ser.layers("toy", space, stores="deep", **ONE)
    assert study["all_layers"]["experiment"] == fitted["experiment"]
    folder = space.results / fitted["experiment"]
    by_run: dict[int, list[Any]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        head = load_head(path)
        # linear's flat weights begin with those of the layers: its only `Enter` comes first
        raw = head.weights[0][: len(STRENGTHS)].double().numpy()
        by_run.setdefault(head.about.run, []).append(np.exp(raw) / np.exp(raw).sum())
    assert Enter(head.inputs[0]).weights is not None
    means = np.array([np.mean(by_run[run], axis=0) for run in sorted(by_run)])
    for k, row in enumerate(study["weights"]):
        assert row["layer"] == (0, 4, 9)[k]
        np.testing.assert_allclose(row["weight"]["values"], means[:, k], atol=1e-6)
    assert sum(row["weight"]["mean"] for row in study["weights"]) == pytest.approx(1)
    assert max(study["weights"], key=lambda row: row["weight"]["mean"])["layer"] == 4


def test_classifiers_of_scikit_learn_learn_no_weights(space: Any) -> None:
    options = {k: v for k, v in FEW.items() if k != "epochs"}
    study = ser.layers("toy", space, head="sklearn:GaussianNB", stores="deep", **{**options, "runs": 1})
    assert "weights" not in study
    assert study["chosen"] == "layer 4"


def test_a_head_on_one_layer_is_saved_and_evaluated_on_it(space: Any, maker: Any) -> None:
    """`ser predict` loads its encoder by this identity, which is that of an extraction of the layer alone."""
    fitted = ser.fit("toy", space, head="linear", stores="deep", layer=9, **{**ONE, "save": True})
    (path, *_) = sorted((space.results / fitted["experiment"]).glob("*.safetensors"))
    head = load_head(path)
    assert head.about.stores["deep"]["identity"] == {**IDENTITY, "layers": [9]}
    assert head.inputs[0].layers == 1
    maker.table("other")
    maker.store("other", "deep", layers=STRENGTHS, identity=IDENTITY)
    found, _ = evaluate(path, space, dataset="other")
    data = load_tensors("other", space, stores="deep")
    values = data.blocks[0].values[:, 2]
    guess = np.array(head.classes)[head.probabilities([Block("deep", "audio", values)]).argmax(1)]
    truth = np.array(data.classes)[data.labels]
    recalls = [(guess[truth == c] == c).mean() for c in data.classes]
    assert found["scores"]["UA"]["mean"] == pytest.approx(np.mean(recalls))


def test_over_poolings_validation_chooses_among_all(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", "frames", framewise=True, strength=0.7)
    study = ser.layers("toy", maker.space, over="pooling", **{**FEW, "epochs": 3, "runs": 1})
    assert [p["pooling"] for p in study["positions"]] == list(POOLINGS)
    assert {c["other"] for c in study["comparisons"]} == set(POOLINGS) - {study["chosen"]}
    assert "all_layers" not in study
    path = maker.space.results / f"{study['experiment']}.json"
    result = Result.find(str(path), path.parent)
    assert "Chosen on validation" in draw(result, "layers").words
    assert verify(path, maker.space).differences == []


def test_the_picture_has_both_curves_and_the_weights(space: Any) -> None:
    study = ser.layers("toy", space, stores="deep", **ONE)
    path = space.results / f"{study['experiment']}.json"
    picture = draw(Result.find(str(path), path.parent), "layers")
    above, below = picture.figure.axes
    tests = [p["pooled"]["UA"]["mean"] for p in study["positions"]]
    assert list(above.lines[0].get_xdata()) == [0, 4, 9]
    np.testing.assert_allclose(above.lines[1].get_ydata(), tests)
    np.testing.assert_allclose([p.get_height() for p in below.patches], [w["weight"]["mean"] for w in study["weights"]])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stores": "deep", "layer": 4}, r"ser\.layers has no option 'layer'"),
        ({"stores": "flat"}, r"one store, which has several layers; found flat \(1 layer\)"),
        ({"stores": "deep,flat"}, r"found deep \(3 layers\), flat \(1 layer\)"),
        ({"stores": "deep", "over": "pooling"}, "there are no frames to pool; found deep"),
        ({"stores": "deep", "over": "heads"}, "unknown over 'heads'; expected one of layers, pooling"),
        ({"stores": "deep", "over": "pooling", "head_options": {"pooling": "max"}}, "given and compared"),
        ({"stores": "deep", "over": "pooling", "head": "sklearn:SVC"}, "has no option pooling"),
    ],
)
def test_what_cannot_be_analysed_is_refused(space: Any, maker: Any, options: dict[str, Any], said: str) -> None:
    maker.store("toy", "flat", modality="text")
    with pytest.raises(ConfigError, match=said):
        ser.layers("toy", space, **{**FEW, **options})


def test_a_layer_that_is_not_stored_is_refused(space: Any, maker: Any) -> None:
    with pytest.raises(ConfigError, match="deep has no layer 3; expected one of 0, 4, 9"):
        ser.fit("toy", space, stores="deep", layer=3, **ONE)
    maker.store("toy", "flat", modality="text")
    with pytest.raises(ConfigError, match="--layer 3: no store of toy has several layers; found flat"):
        ser.fit("toy", space, stores="flat", layer=3, **ONE)


def test_records_without_the_weights_of_layers_are_read_as_such(space: Any) -> None:
    """Runs that were recorded before weights were: the analysis goes on without them."""
    fitted = ser.fit("toy", space, head="linear", stores="deep", **ONE)
    for path in sorted(Path(space.results / fitted["experiment"]).glob("*.json")):
        content = json.loads(path.read_text())
        del content["layer_weights"]
        path.write_text(json.dumps(content))
    study = ser.layers("toy", space, stores="deep", **ONE)
    assert "weights" not in study
    assert [n for n in study["notes"] if "recorded without the learned weights" in n]
    assert verify(space.results / f"{study['experiment']}.json", space).differences == []
