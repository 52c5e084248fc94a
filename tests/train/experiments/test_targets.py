"""Targets that are not one class, from the table to the prediction: dimensions, votes, several labels."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import audmetric
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from ser.cli import main
from ser.errors import ConfigError
from ser.export.folder import export_folder
from ser.export.graph import refuse
from ser.features.blocks import Block, stored_block
from ser.features.tensors import load_labels
from ser.metadata.table import load_table, make_table, write_table
from ser.predict.predictions import beyond_note, scales_note
from ser.results.blocks import Table
from ser.results.comparison.compare import compare_results
from ser.results.listing import list_results, list_table
from ser.results.metrics.measures import MEASURES, cosine, js, kl, measure_of, run_scores
from ser.results.records.stamps import EQUAL_RUNS
from ser.results.report.compose import compose, text_of
from ser.results.report.summary import summary_sections
from ser.results.result import Result
from ser.results.stored.runs import read_predictions
from ser.results.verification.verify import verify
from ser.train.checkpoint import load_head
from ser.train.experiments.ablate import ablate
from ser.train.experiments.adapt import adapt
from ser.train.experiments.combine import combine
from ser.train.experiments.fewshot import fewshot
from ser.train.experiments.finetune import finetune
from ser.train.experiments.fit import fit
from ser.train.experiments.layers import layers
from ser.train.experiments.search import search
from ser.train.experiments.transfer import transfer
from ser.train.experiments.transfer_matrix import matrix
from ser.train.loop.config import make_config
from ser.train.loop.data import Data, Resident
from ser.train.loop.prediction import predict
from ser.train.loop.trainer import train
from ser.train.losses._base import Batch, term
from ser.train.runs.options import read_options

QUICK: dict[str, Any] = {"folds": 3, "runs": 2, "epochs": 4, "jobs": 1, "protocol": "speaker"}
SMALL: dict[str, Any] = {"lr": 1e-2, "head_options": {"hidden": 64}}
NEXT = {"anger": "happiness", "happiness": "neutral", "neutral": "sadness", "sadness": "anger"}


@pytest.fixture
def rated(maker: Any) -> Any:
    """A corpus with ratings, votes and several labels, all of which follow from the emotion that its features have."""
    maker.table("d")
    space = maker.space
    random = np.random.default_rng(0)
    rows: list[Any] = load_table("d", space).frame.to_dict("records")
    for k, row in enumerate(rows):
        level = list(NEXT).index(row["emotion"])
        row["arousal"], row["valence"] = 1 + level + random.normal() / 5, 4 - level + random.normal() / 5
        row["votes"] = json.dumps({row["emotion"]: 0.75, NEXT[row["emotion"]]: 0.25})
        if k % 8 == 7:  # no majority: a row to train on, never to test on
            row["votes"], row["emotion"], row["label"] = json.dumps({"anger": 0.5, "sadness": 0.5}), "", ""
        if k == 0:
            row["arousal"] = None
    write_table(make_table(rows, "d", {"corpus": "csv", "dimensions": {"arousal": {"low": 0, "high": 5}}}), space)
    maker.store("d")
    return maker


def summary_of(maker: Any, **options: Any) -> dict[str, Any]:
    return fit("d", maker.space, **{**QUICK, **(SMALL if "head" not in options else {}), **options})


def frame_of(maker: Any, summary: dict[str, Any]) -> pd.DataFrame:
    return read_predictions(maker.space.results / f"{summary['experiment']}.json")


def sound(maker: Any, summary: dict[str, Any]) -> bool:
    verdict = verify(maker.space.results / f"{summary['experiment']}.json", maker.space)
    assert verdict.differences == []
    return verdict.numbers > 0


def test_dimensions_are_learned_scored_as_audmetric_does_and_predicted_on_their_scale(rated: Any) -> None:
    found = summary_of(rated, target="arousal,valence", epochs=30, head="mlp", save=True)  # of the head's own size
    assert sound(rated, found)
    assert list(found["outputs"]) == ["arousal", "valence"]
    assert found["data"]["learns"] == "arousal,valence"
    assert found["data"]["dropped"] == {"no arousal or no valence": 1}
    assert found["data"]["scales"] == {"arousal": {"low": 0, "high": 5}}
    assert found["pooled"]["CCC"]["mean"] > 0.7
    frame = frame_of(rated, found)
    test = frame[(frame["split"] == "test") & (frame["run"] == 0)]
    for name in ("arousal", "valence"):
        t, p = test[f"t_{name}"].to_numpy(), test[f"p_{name}"].to_numpy(dtype=np.float64)
        whole = frame[frame["split"] == "test"].groupby("run")
        each = [audmetric.concordance_cc(r[f"t_{name}"], r[f"p_{name}"]) for _, r in whole]
        assert found["outputs"][name]["CCC"] == pytest.approx(np.mean(each))
        each = [audmetric.pearson_cc(r[f"t_{name}"], r[f"p_{name}"]) for _, r in whole]
        assert found["outputs"][name]["PCC"] == pytest.approx(np.mean(each))
        assert np.sqrt(audmetric.mean_squared_error(t, p)) == pytest.approx(np.sqrt(np.mean((t - p) ** 2)))
    errors = [found["outputs"][n]["RMSE"] for n in ("arousal", "valence")]
    assert found["pooled"]["RMSE"]["mean"] == pytest.approx(np.mean(errors))
    (head,) = list((rated.space.results / found["experiment"]).glob("run-000.fold-00.safetensors"))
    saved, rows = load_head(head), test[test["fold"] == "0"]
    assert (saved.target, saved.classes) == ("dimensions", ["arousal", "valence"])
    assert saved.about.scales == {"arousal": {"low": 0, "high": 5}}
    assert scales_note({"arousal": {"low": 0, "high": 5}}) == "scales: arousal 0 to 5"
    values = np.array([[5.3, 9], [5, np.nan], [-0.5, 0], [np.nan, np.nan]])
    said = beyond_note(list("abcd"), values, ["arousal", "valence"], saved.about.scales)
    assert said.startswith("2 of 4 recordings are predicted beyond the scale: a (arousal 5.30), c (arousal -0.50). Values are")
    assert beyond_note(["b"], values[1:2], ["arousal", "valence"], saved.about.scales) == ""
    from ser.features.tensors import load_tensors

    data = load_tensors("d", rated.space, target="arousal,valence")
    place = [list(data.frame["utterance_id"]).index(u) for u in rows["utterance_id"]]
    again = saved.probabilities([Block("toy", "audio", data.blocks[0].values[place])])
    np.testing.assert_allclose(again, rows[["p_arousal", "p_valence"]].to_numpy(), rtol=1e-5)


def test_a_regressor_of_scikit_learn_is_the_line_to_beat(rated: Any) -> None:
    mine = summary_of(rated, target="arousal", epochs=10)
    ridge = summary_of(rated, target="arousal", head="sklearn:Ridge", epochs=None, save=True)
    assert sound(rated, ridge)
    score = ridge["pooled"]["CCC"]["values"]
    assert score == score[:1] * 2
    assert ridge["stamps"].count(EQUAL_RUNS) == 1  # Ridge has a random_state, which its default solver leaves unused
    assert EQUAL_RUNS not in mine["stamps"]
    frame = frame_of(rated, ridge).query("split == 'test' and run == 0 and fold == '0'")
    saved = load_head(rated.space.results / ridge["experiment"] / "run-000.fold-00.safetensors")
    assert (saved.target, saved.classes) == ("dimensions", ["arousal"])
    block = stored_block(rated.space.store("d", "toy"), "toy", list(frame["utterance_id"]))
    np.testing.assert_allclose(saved.probabilities([block])[:, 0], frame["p_arousal"], rtol=1e-6)  # records hold float32
    with pytest.raises(ConfigError, match="sklearn:Ridge, a regressor of scikit-learn, is not exported"):
        refuse(saved)
    folder = export_folder(ridge["experiment"], rated.space, rated.space.root / "folder").path
    card = (folder / "README.md").read_text()
    assert "It estimates the ratings that listeners" in card
    assert "with the regressor of scikit-learn" in card
    assert "scheme `" not in card
    assert f"- {EQUAL_RUNS}" in card
    compared = compare_results([mine["experiment"], ridge["experiment"]], rated.space.results)
    assert compared.metric == "CCC"
    assert compared.data.scheme is None
    said = text_of(compared, Path("comparison.json"))
    assert "scheme" not in said
    assert "protocol" in said
    gap = mine["pooled"]["CCC"]["mean"] - ridge["pooled"]["CCC"]["mean"]
    assert compared.pairs[0].difference == pytest.approx(gap)
    assert compared.pairs[0].p is not None
    (section, *_) = compose([Result.find(r["experiment"], rated.space.results) for r in (mine, ridge)]).sections
    assert "Differences in CCC, in pairs" in str(section)
    (table,) = (b for b in section.blocks if isinstance(b, Table) and b.caption.startswith("Pooled"))
    assert (table.caption, [row[5] for row in table.rows]) == (
        "Pooled CCC of each result",
        [f"{r['pooled']['CCC']['mean']:.3f}" for r in (mine, ridge)],
    )
    with pytest.raises(ConfigError, match="has no regressor 'SVC'"):
        summary_of(rated, target="arousal", head="sklearn:SVC", epochs=None)
    with pytest.raises(ConfigError, match="does not learn votes"):
        summary_of(rated, target="votes", head="sklearn:SVC", epochs=None)


def test_one_head_learns_the_class_and_dimensions(rated: Any) -> None:
    mixed = {"target": "emotion,arousal,valence", "epochs": 20}
    found = summary_of(rated, **mixed, save=True)
    assert sound(rated, found)
    assert found["data"]["learns"] == "emotion,arousal,valence"
    assert found["config"]["loss"] == "cross_entropy,ccc"
    verdict = verify(rated.space.results / f"{found['experiment']}.json", rated.space)
    assert not [line for line in verdict.beyond if "cannot be compared" in line]
    swapped = summary_of(rated, **{**mixed, "target": "arousal,emotion,valence"}, save=True)
    assert swapped["experiment"] == found["experiment"]
    ((line,), _) = list_results(rated.space.results)
    assert (line.target, line.scheme) == ("emotion,arousal,valence", "4")
    assert "dimensions" in found.kinds_of_pictures
    found.plot("dimensions")
    assert list(found["per_class"]) == list(NEXT)
    assert list(found["ratings"]) == ["arousal", "valence"]
    assert found["pooled"]["UA"]["mean"] > 0.7
    frame = frame_of(rated, found)
    test = frame[frame["split"] == "test"]
    for name, own in found["ratings"].items():
        each = [audmetric.concordance_cc(r[f"r_{name}"], r[f"v_{name}"]) for _, r in test.groupby("run")]
        assert own["CCC"] == pytest.approx(np.mean(each), abs=1e-6)
        assert own["CCC"] > 0.7
    np.testing.assert_allclose(frame[[f"p_{name}" for name in NEXT]].sum(axis=1), 1, rtol=1e-5)
    (head,) = list((rated.space.results / found["experiment"]).glob("run-000.fold-00.safetensors"))
    saved = load_head(head)
    assert (saved.target, saved.classes, saved.dimensions) == ("mixed", list(NEXT), ("arousal", "valence"))
    from ser.features.tensors import load_tensors

    data = load_tensors("d", rated.space, target="emotion,arousal,valence")
    rows = test[(test["run"] == 0) & (test["fold"] == "0")]
    place = [list(data.frame["utterance_id"]).index(u) for u in rows["utterance_id"]]
    again = saved.probabilities([Block("toy", "audio", data.blocks[0].values[place])])
    columns = [*(f"p_{name}" for name in NEXT), "v_arousal", "v_valence"]
    np.testing.assert_allclose(again, rows[columns].to_numpy(), rtol=1e-4, atol=1e-6)
    half = summary_of(rated, **mixed, loss="cross_entropy,ccc:0.5")
    assert compare_results([found["experiment"], half["experiment"]], rated.space.results).metric == "UA"
    shown = str(summary_sections(Result.find(found["experiment"], rated.space.results), False))
    assert "Each dimension, mean over runs" in shown


def test_the_weights_of_a_class_and_dimensions_are_those_of_the_losses(rated: Any) -> None:
    space, options = rated.space, {**QUICK, "runs": 1, "epochs": 1, "target": "emotion,arousal"}
    loud, low = (fit("d", space, **options, loss=f"cross_entropy,mse:{w}")["config"]["loss"] for w in (2, 0.5))
    assert (loud, low) == ("cross_entropy,mse:2", "cross_entropy,mse:0.5")
    for wrong, match in (
        ("cross_entropy", "loss cross_entropy does not train dimensions; expected one of ccc"),
        ("ccc", "loss ccc does not train emotion; expected one of"),
        ("cross_entropy,kl", "--loss kl does not learn a class and dimensions together"),
    ):
        with pytest.raises(ConfigError, match=match):
            fit("d", space, **options, loss=wrong)
    for target, match in (
        ("emotion,joy", "'joy' is not a target here"),
        ("emotion,votes", "'votes' cannot be combined with other targets"),
        ("mixed", "'mixed' is not a target here"),
    ):
        with pytest.raises(ConfigError, match=match):
            fit("d", space, **{**options, "target": target})
    with pytest.raises(ConfigError, match="does not learn a class and dimensions together"):
        fit("d", space, **{**options, "epochs": None}, head="sklearn:SVC")


def test_each_loss_of_a_mixed_head_sees_its_own_outputs() -> None:
    """A linear head shares no layer: what classes learn does not depend on the dimensions, nor the other way round."""
    random = np.random.default_rng(0)
    values, labels = random.normal(size=(90, 2)), np.arange(90) % 3
    x = np.concatenate([values, np.eye(3)[labels], random.normal(size=(90, 3))], axis=1).astype(np.float32)
    resident, rows = Resident([Block("x", "audio", x)]), (np.arange(60), np.arange(60, 90))
    data = Data(resident, labels, 3, *rows, values=values, dimensions=2)

    def trained(loss: str) -> tuple[Any, NDArray[np.float64]]:
        config = make_config("linear", target="mixed", epochs=5, clip=0.0, selection="last", loss=loss)
        together = train(data, config, list(range(20)))
        (alone,) = train(data, config, [19])
        assert torch.equal(alone.weights, together[19].weights)
        return together[19], predict(data, config, alone.weights[None], rows[1])[0]

    first, scores = trained("cross_entropy,mse")
    assert scores.shape == (30, 5)
    np.testing.assert_allclose(scores[:, :3].sum(1), 1)
    _, other = trained("cross_entropy,ccc")
    np.testing.assert_array_equal(other[:, :3], scores[:, :3])
    assert not np.array_equal(other[:, 3:], scores[:, 3:])
    _, other = trained("cb_focal,mse")
    np.testing.assert_array_equal(other[:, 3:], scores[:, 3:])
    assert not np.array_equal(other[:, :3], scores[:, :3])
    both = first.curves["validation_loss"][-1]
    hit = -np.log(scores[np.arange(30), labels[60:]]).mean()
    assert both == pytest.approx(hit + ((scores[:, 3:] - values[60:]) ** 2).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("target", "metric", "halving"), [("arousal", "CCC", None), ("emotion,arousal", "UA", None), ("emotion,arousal", "UA", 2)]
)
def test_a_search_chooses_by_the_targets_own_score(rated: Any, target: str, metric: str, halving: int | None) -> None:
    options = {**QUICK, "head_options": {"hidden": 16}, "runs": 1}
    found = search("d", rated.space, grid={"lr": [1e-2, 1e-5]}, target=target, halving=halving, **options)
    assert found["chosen_by"].startswith(f"validation {metric}")
    best = max((s for s in found["settings"] if s["validation"]), key=lambda s: s["validation"][metric]["mean"])
    assert found["chosen"]["setting"] == best["setting"]
    assert sound(rated, found)


def test_an_ablation_and_an_analysis_of_layers_are_of_dimensions_too(rated: Any) -> None:
    rated.store("d", "words", modality="text")
    options = {**QUICK, "runs": 1, "target": "arousal"}
    found = ablate("d", rated.space, head="early", simple="late", **options, head_options={"hidden": 16})
    assert {c["metric"] for c in found["comparisons"]} == {"CCC"}
    assert sound(rated, found)
    rated.store("d", "deep", layers=(0.1, 2.0))
    found = layers("d", rated.space, audio="deep", **options)
    assert found["chosen"] == "layer 1"
    assert sound(rated, found)


def test_a_curve_over_few_rated_utterances_reads_no_other_rating(rated: Any) -> None:
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    from ser.features.tensors import load_tensors

    options: dict[str, Any] = {**QUICK, **SMALL, "learns": "arousal", "methods": "linear,finetune"}
    found = fewshot("d", workspace=rated.space, percentages=(50, 100), shots=(8,), **options)
    assert sound(rated, found)
    assert found["data"]["learns"] == "arousal"
    assert {c["metric"] for c in found["comparisons"]} == {"CCC"}
    linear = next(m for m in found["methods"] if m["name"] == "linear")
    curve = {p["amount"]: p["pooled"]["CCC"]["mean"] for p in linear["curve"]}
    assert list(curve) == ["8 shots", "50%", "100%"]
    assert linear["curve"][0]["n_samples"] == 8  # of all utterances, not of each class
    frame = read_predictions(rated.space.results / f"{linear['experiment']}.json")
    own = frame[(frame["percentage"] == 100) & (frame["run"] == 0) & (frame["fold"] == "0")]
    data = load_tensors("d", rated.space, target="arousal")
    assert data.values is not None
    where = [list(data.frame["utterance_id"]).index(name) for name in own["utterance_id"]]
    held_out = frame_of(rated, summary_of(rated, target="arousal", runs=1))  # of the same folds, with their validation parts
    held_out = held_out[held_out["fold"] == "0"]
    train = ~data.frame["utterance_id"].isin(held_out["utterance_id"]).to_numpy()
    x = StandardScaler().fit(data.blocks[0].values[train])
    ridge = Ridge().fit(x.transform(data.blocks[0].values[train]), data.values[train, 0])
    by_hand = ridge.predict(x.transform(data.blocks[0].values[where]))
    assert own["p_arousal"].to_numpy() == pytest.approx(by_hand, rel=1e-3)
    with pytest.raises(ConfigError, match="the scale that d rates valence on is not known"):
        fewshot("d", workspace=rated.space, percentages=100, **{**options, "learns": "valence"})
    with pytest.raises(ConfigError, match=r"method simpleshot does not learn dimensions; .* of the methods finetune, linear"):
        fewshot("d", workspace=rated.space, **{**options, "methods": "simpleshot"})


@pytest.mark.parametrize("learns", ["arousal", "votes"])
def test_few_ratings_and_votes_after_a_source(rated: Any, learns: str) -> None:
    rated.table("e")
    rows: list[Any] = load_table("e", rated.space).frame.to_dict("records")
    for row in rows:
        row["arousal"] = 2.0 + 2 * list(NEXT).index(row["emotion"])  # on a scale of twice the length
        row["votes"] = json.dumps({row["emotion"]: 0.75, NEXT[row["emotion"]]: 0.25})
    write_table(make_table(rows, "e", {"corpus": "csv", "dimensions": {"arousal": {"low": 0, "high": 10}}}), rated.space)
    rated.store("e")
    options = {**QUICK, **SMALL, "runs": 1, "epochs": 10, "tune_epochs": 4, "learns": learns}
    found = fewshot("d", "e", rated.space, methods="finetune,scratch", percentages=(50, 100), **options)
    assert sound(rated, found)
    assert found["source"]["zero_shot"]["pooled"]["CCC" if learns == "arousal" else "UA"]["mean"] > 0.6
    assert {row["method"] for row in found["saved_labels"]} == {"source only", "finetune"}


def test_a_label_scheme_plays_no_part_in_dimensions(rated: Any) -> None:
    assert (
        summary_of(rated, target="arousal", scheme="native")["experiment"] == summary_of(rated, target="arousal,")["experiment"]
    )


def test_results_of_other_targets_are_not_compared(rated: Any) -> None:
    one, both, two = (summary_of(rated, target=t)["experiment"] for t in ("emotion,arousal", "arousal", "valence"))
    named = f"not comparable: another target; found {one}: emotion,arousal; {both}: arousal. "
    named += "Train or test one of them again with the other's --target.$"
    with pytest.raises(ConfigError, match=named):
        compare_results([one, both], rated.space.results)
    with pytest.raises(ConfigError, match=f"not comparable: other dimensions; found {both}: arousal; {two}: valence$"):
        compare_results([both, two], rated.space.results)


def test_votes_are_learned_and_rows_without_a_majority_are_never_tested(rated: Any) -> None:
    found = summary_of(rated, target="votes", epochs=10)
    assert sound(rated, found)
    assert any("are trained on and not tested" in stamp for stamp in found["stamps"])
    frame = frame_of(rated, found)
    table = load_table("d", rated.space).frame.set_index("utterance_id")
    assert (table["emotion"][frame["utterance_id"]] != "").all()
    assert found["data"]["utterances"] == len(table)
    classes = list(found["classes"] if "classes" in found else found["per_class"])
    rows = frame[(frame["split"] == "test") & (frame["run"] == 0)]
    q = rows[[f"q_{c}" for c in classes]].to_numpy()
    np.testing.assert_allclose(np.sort(q, axis=1)[:, -2:], np.tile([0.25, 0.75], (len(q), 1)))
    p = rows[[f"p_{c}" for c in classes]].to_numpy(dtype=np.float64)
    expected = np.mean([sum(b * np.log(b / a) for a, b in zip(x, y, strict=True) if b) for x, y in zip(p, q, strict=True)])
    assert found["pooled"]["KL"]["values"][0] == pytest.approx(expected)
    hard = summary_of(rated, epochs=10)
    assert found["pooled"]["UA"]["mean"] > 0.8
    compared = compare_results([found["experiment"], hard["experiment"]], rated.space.results)
    assert compared.metric == "UA"


def test_votes_for_the_own_label_alone_are_spread_evenly_and_said(maker: Any) -> None:
    maker.table("d")
    rows: list[Any] = load_table("d", maker.space).frame.to_dict("records")
    for row in rows:
        row["votes"] = json.dumps({row["emotion"]: 0.7})
    write_table(make_table(rows, "d", {"corpus": "csv"}), maker.space)
    maker.store("d")
    found = summary_of(maker, target="votes")
    assert any("the rest was spread evenly over the other classes" in stamp for stamp in found["stamps"])
    frame = frame_of(maker, found)
    values = np.sort(frame[[c for c in frame if c.startswith("q_")]].to_numpy(), axis=1)
    np.testing.assert_allclose(values, np.tile([0.1, 0.1, 0.1, 0.7], (len(frame), 1)))


def test_several_labels_of_a_table_are_learned_each_by_itself(maker: Any, tmp_path: Path) -> None:
    from ser.metadata.corpus import parse_corpus

    maker.table("d")
    table = load_table("d", maker.space).frame
    lines = ["id,text,speaker,labels"]
    for row in table.itertuples():
        pair = f"{row.emotion};{NEXT[str(row.emotion)]}" if str(row.utterance_id).endswith("0") else row.emotion
        lines.append(f"{row.utterance_id},{row.text},{row.speaker},{pair}")
    file = tmp_path / "own.csv"
    file.write_text("\n".join(lines) + "\n")
    parsed = parse_corpus("csv", file).frame
    assert parsed["label"].iloc[0] == "anger;happiness"
    assert parsed["emotion"].tolist()[:2] == ["", "anger"]
    rows: list[Any] = parsed.to_dict("records")
    maker.store("d")
    write_table(make_table(rows, "d", {"corpus": "csv"}), maker.space)
    found = summary_of(maker, target="labels", epochs=10)
    assert sound(maker, found)
    assert list(found["outputs"]) == ["anger", "happiness", "neutral", "sadness"]
    frame = frame_of(maker, found)
    test = frame[(frame["split"] == "test") & (frame["run"] == 0)]
    y, p = (test[[f"{x}_{c}" for c in found["outputs"]]].to_numpy(dtype=np.float64) > 0.5 for x in "yp")
    from sklearn.metrics import accuracy_score, f1_score, hamming_loss

    expected = {
        "F1_macro": f1_score(y, p, average="macro", zero_division=0),
        "F1_micro": f1_score(y, p, average="micro", zero_division=0),
        "exact": accuracy_score(y, p),
        "Hamming": hamming_loss(y, p),
    }
    for name, value in expected.items():
        assert found["pooled"][name]["values"][0] == pytest.approx(value)


def test_a_default_scheme_that_is_typed_says_nothing(rated: Any) -> None:
    asked = {"target": "arousal", "scheme": "4"}
    both = [read_options(fit, rated.space, "mlp", {**asked, "command": said}) for said in ("ser.fit", "ser fit --scheme 4")]
    assert [options.scheme for options in both] == ["4", "4"]


@pytest.mark.parametrize(
    ("target", "options", "match"),
    [
        ("arousal,votes", {}, "'votes' cannot be combined with other targets; expected emotion, labels, votes, or columns"),
        ("arousal,arousal", {}, "is named twice"),
        ("dominance", {}, "'dominance' is not a target here"),
        ("nosuch", {"scheme": "6", "stratified": True}, "'nosuch' is not a target here; expected .* arousal"),
        ("labels", {}, "no utterance of d has several labels"),
        (
            "arousal",
            {"loss": "cross_entropy"},
            "--loss cross_entropy does not learn dimensions; expected one of ccc, ccc_epoch, huber",
        ),
        ("arousal", {"selection": "UA"}, "selection by UA means nothing to .* dimensions; expected one of CCC, loss, last"),
        ("arousal", {"head": "late_logits"}, "does not learn dimensions"),
        ("emotion", {"loss": "kl"}, "--loss kl does not learn emotion"),
        ("arousal", {"label_smoothing": 0.2}, "--label-smoothing means nothing to a head that learns dimensions"),
        ("arousal", {"class_weights": "balanced"}, "--class-weights means nothing to a head that learns dimensions"),
        ("votes", {"loss": "kl", "class_weights": "balanced"}, "--class-weights means nothing to --loss kl"),
        ("votes", {"loss": "kl,emd:0.5", "label_smoothing": 0.1}, "--label-smoothing means nothing to --loss kl,emd"),
        ("arousal", {"batch_size": 1}, "loss ccc of one utterance has no gradient"),
        ("arousal", {"scheme": "6"}, "--scheme is of classes, and --target arousal has none"),
        ("arousal", {"stratified": True}, "--stratified is of classes, and --target arousal has none"),
        ("emotion", {"normalize": "none", "limit": 2.0}, "--feature-limit 2 is of standardised features"),
    ],
)
def test_what_has_no_meaning_for_a_target_is_one_line(rated: Any, target: str, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        summary_of(rated, target=target, **options)


def test_the_list_of_results_names_the_target_beside_the_scheme(rated: Any) -> None:
    for target in ("emotion", "votes", "arousal"):
        summary_of(rated, target=target, runs=1, epochs=1)
    lines, _ = list_results(rated.space.results)
    assert {(line.scheme, line.target) for line in lines} == {("4", "emotion"), ("4", "votes"), ("", "arousal")}
    assert "target" in list_table(lines).head


def test_a_dimension_of_a_table_without_ratings_is_one_line(maker: Any) -> None:
    maker.table("plain")
    with pytest.raises(ConfigError, match=r"plain has no ratings 'arousal' and 'valence'; expected .* has none.*--rating"):
        load_labels("plain", maker.space, target="arousal,valence")
    maker.store("plain")
    with pytest.raises(ConfigError, match="plain has no ratings 'nosuch'"):
        fit("plain", maker.space, target="nosuch", scheme="6", **QUICK)


@pytest.fixture
def two(rated: Any) -> Any:
    """The rated corpus and another, whose arousal is on a scale of 1 to 11, twice the first's, and whose labels are fewer."""
    first = load_table("d", rated.space)
    rows: list[Any] = first.frame.to_dict("records")
    for row in rows:
        row["arousal"] = 1 + 2 * row["arousal"]
        if row["emotion"] == "sadness":
            row["votes"] = json.dumps({"sadness": 0.5, "calm": 0.5})
    scale = {"low": 1.0, "high": 11.0}
    write_table(make_table(rows, "e", {"corpus": "csv", "dimensions": {"arousal": scale}}), rated.space)
    rated.store("e")
    return rated


def test_a_dimension_of_two_corpora_is_brought_to_one_stated_scale(two: Any) -> None:
    found = transfer("d", "e", two.space, learns="arousal", **{**QUICK, **SMALL, "runs": 1, "epochs": 10})
    assert sound(two, found)
    assert found["data"]["learns"] == "arousal"
    for name in ("d", "e"):
        assert found["data"]["datasets"][name]["scales"] == {"arousal": {"low": 0.0, "high": 1.0}}
    assert any("e: " not in s and "arousal brought from the scale 1 to 11 to 0 to 1" in s for s in found["stamps"])
    assert "d: arousal brought from the scale 0 to 5 to 0 to 1" in found["stamps"]
    test = frame_of(two, found).query("split == 'test'").set_index("utterance_id")
    own = load_table("d", two.space).frame.set_index("utterance_id")["arousal"]  # on 0 to 5
    np.testing.assert_allclose(test["t_arousal"], own[[i.removeprefix("e/") for i in test.index]] / 5)
    assert found["pooled"]["CCC"]["mean"] > 0.5
    assert found["pooled"]["RMSE"]["mean"] < 0.3


@pytest.mark.parametrize("learns", ["arousal", "votes"])
def test_studies_of_two_corpora_learn_any_target(two: Any, learns: str) -> None:
    options: dict[str, Any] = {**QUICK, "runs": 1, "epochs": 2, "head": "linear", "learns": learns}
    tuned = finetune("d", "e", two.space, tune_epochs=2, **options)
    assert sound(two, tuned)
    adapted = adapt("d", "e", two.space, methods="coral", **{**options, **SMALL, "head": "mlp"})
    assert sound(two, adapted)
    first = {"arousal": "CCC", "votes": "UA"}[learns]
    assert {c["metric"] for study in (tuned, adapted) for c in study["comparisons"]} == {first}
    assert adapted["variants"][1]["selection"] == f"source {first}"
    assert adapted.plot("transfer").axes[1].get_xlabel() == f"gain in {first} over source only"
    assert sound(two, matrix("d,e", two.space, **options))
    options["target"] = options.pop("learns")
    union = combine("d,e", two.space, **options)
    assert sound(two, union)
    assert set(union["datasets"]) == {"d", "e"}
    assert union["data"]["learns"] == learns


def test_several_labels_of_two_corpora_are_those_that_both_have(maker: Any) -> None:
    for name in ("d", "e"):
        maker.table(name)
        rows: list[Any] = load_table(name, maker.space).frame.to_dict("records")
        for row in rows:
            row["label"] = f"{row['emotion']};{NEXT[row['emotion']]}"
            row["emotion"] = ""
            if name == "e" and row["label"].startswith("sadness"):
                row["label"] = "anger;fear"
        write_table(make_table(rows, name, {"corpus": "csv"}), maker.space)
        maker.store(name)
    found = transfer("d", "e", maker.space, learns="labels", scheme="6", **QUICK, **SMALL)
    assert sound(maker, found)
    assert list(found["outputs"]) == ["anger", "happiness", "neutral", "sadness"]
    assert any("labels that not all corpora have count as absent: fear" in s for s in found["stamps"])


@pytest.mark.parametrize(
    ("source", "options", "match"),
    [
        ("d", {"learns": "valence"}, "the scale that d rates valence on is not known"),
        (
            "d",
            {"learns": "arousal", "methods": "cdan"},
            "adaptation method cdan does not learn dimensions; expected emotion or votes",
        ),
        ("d", {"learns": "arousal", "criterion": "entropy"}, "selection by entropy means nothing to a head"),
        ("plain", {"learns": "votes"}, "plain has no votes"),
    ],
)
def test_what_two_corpora_do_not_have_in_common_is_one_line(two: Any, source: str, options: dict[str, Any], match: str) -> None:
    two.table("plain")
    two.store("plain")
    with pytest.raises(ConfigError, match=match):
        adapt(source, "e", two.space, **{**QUICK, **options})


def test_what_heads_learn_and_a_corpus_are_told_apart_by_their_options(two: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pair = ["--source", "d", "--target", "e", "--protocol", "random", "--workspace", str(two.space.root)]
    for command in ("adapt", "fewshot", "finetune", "transfer"):
        assert main([command, *pair, "--learns", "joy"]) == 2
        said = capsys.readouterr().err
        assert "--learns joy: 'joy' is not a target here" in said
        assert "--target" not in said
        for learned in ("votes", "emotion,arousal", "pleasure"):
            assert main([command, "--source", "d", "--target", learned, "--workspace", str(two.space.root)]) == 2
            named = f"What heads learn is named by --learns {learned}." in capsys.readouterr().err
            assert named is (learned != "pleasure")
    assert main(["transfer", "--matrix", *pair]) == 2
    assert "--matrix with --source NAME or --target NAME; expected" in capsys.readouterr().err


@pytest.mark.parametrize("loss", ["ccc", "mse", "huber,ccc:0.5", "ccc_epoch"])
def test_a_stack_of_twenty_regressors_equals_single_ones(loss: str) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(90, 2))
    x = np.concatenate([values, random.normal(size=(90, 6))], axis=1).astype(np.float32)
    resident = Resident([Block("x", "audio", x)])
    data = Data(resident, np.zeros(90, dtype=np.int64), 2, np.arange(60), np.arange(60, 90), values=values)
    config = make_config("mlp", target="dimensions", epochs=3, loss=loss, head_options={"hidden": 16})
    together = train(data, config, list(range(20)))
    for seed in (0, 7, 19):
        (alone,) = train(data, config, [seed])
        assert torch.equal(alone.weights, together[seed].weights)
        assert alone.curves == together[seed].curves


def batch_of(logits: Any, target: Any) -> Batch:
    logits, target = torch.tensor([logits], dtype=torch.double), torch.tensor([target], dtype=torch.double)
    size = logits.shape[-1]
    labels = target.argmax(-1)
    return Batch(logits, labels, torch.ones(1, size).double(), torch.ones(1, size), target=target)


def test_losses_are_those_derived_by_hand() -> None:
    ccc = term("ccc")(1, 0)(batch_of([[1.0], [2.0], [3.0]], [[1.0], [2.0], [6.0]]))
    # means 2 and 3; variances 2/3 and 14/3; covariance (1 + 0 + 3) ... (-1)(-2) + 0 + (1)(3) = 5, by three
    assert float(ccc) == pytest.approx(1 - 2 * (5 / 3) / (2 / 3 + 14 / 3 + 1))
    p = [0.5, 0.25, 0.25]
    logits = [np.log(p).tolist()]
    assert float(term("kl")(3, 0)(batch_of(logits, [[1.0, 0.0, 0.0]]))) == pytest.approx(np.log(2))
    half = 0.5 * np.log(0.5 / 0.25) * 2
    assert float(term("kl")(3, 0)(batch_of(logits, [[0.0, 0.5, 0.5]]))) == pytest.approx(half)
    # cumulative: votes (1, 1, 1), prediction (0.5, 0.75, 1)
    assert float(term("emd")(3, 0)(batch_of(logits, [[1.0, 0.0, 0.0]]))) == pytest.approx((0.25 + 0.0625) / 3)
    soft, hard = (term(n)(3, 0)(batch_of(logits, [[0.0, 1.0, 0.0]])) for n in ("soft_cross_entropy", "cross_entropy"))
    assert float(soft) == pytest.approx(float(hard))
    assert float(term("bce")(2, 0)(batch_of([[0.0, 0.0]], [[1.0, 0.0]]))) == pytest.approx(np.log(2))
    easy = term("asymmetric")(2, 0)(batch_of([[9.0, -9.0]], [[1.0, 0.0]]))
    assert float(easy) < 1e-3


def predictions(t: NDArray[np.float64], p: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame({"t_a": t, "p_a": p})


@pytest.mark.parametrize("seed", range(3))
def test_ccc_and_pcc_of_sums_are_audmetrics(seed: int) -> None:
    random = np.random.default_rng(seed)
    t = random.normal(3, 2, 40)
    p = t + random.normal(0, 1 + seed, 40)
    frame, measure = predictions(t, p), MEASURES["dimensions"]
    sums = measure.tally(frame, ["a"], (1,), np.zeros(40, dtype=np.int64))[0]
    assert measure_of(frame) is measure
    assert float(measure.score(sums, "CCC")) == pytest.approx(audmetric.concordance_cc(t, p))
    assert float(measure.score(sums, "PCC")) == pytest.approx(audmetric.pearson_cc(t, p))
    assert float(measure.score(sums, "RMSE")) ** 2 == pytest.approx(audmetric.mean_squared_error(t, p))


def test_a_side_that_does_not_vary_has_no_correlation_and_one_utterance_none_at_all() -> None:
    measure = MEASURES["dimensions"]

    def of(t: list[float], p: list[float]) -> Callable[[str], float]:
        sums = measure.tally(predictions(np.array(t), np.array(p)), ["a"], (1,), np.zeros(len(t), dtype=np.int64))[0]
        return lambda metric: float(measure.score(sums, metric))

    flat = of([1.0, 2.0, 3.0], [2.1, 2.1, 2.1])
    assert (flat("CCC"), flat("PCC")) == (0, 0)
    assert np.isnan(of([1.0], [1.0])("CCC"))


def test_divergences_are_those_derived_by_hand() -> None:
    q, p = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    assert kl(q, p)[0] == pytest.approx(np.log(2))
    # JS to the base 2: (log2(1 / 0.75) + 0.5 log2(0.5 / 0.75) + 0.5 log2(0.5 / 0.25)) / 2
    assert js(q, p)[0] == pytest.approx((np.log2(4 / 3) + 0.5 * np.log2(2 / 3) + 0.5) / 2)
    assert js(q, q)[0] == pytest.approx(0)


def test_rounding_leaves_no_divergence_below_0_and_no_share_above_1() -> None:
    """Probabilities are kept in float32, and add up to 1 but for rounding: records refuse what cannot be."""
    q = np.random.default_rng(0).dirichlet(np.ones(4), 2000).round(6)
    p = q.astype(np.float32).astype(np.float64)
    sure = np.array([[1 + 1e-7, 0.0]])
    assert kl(q, p).min() >= 0
    assert cosine(q, p).max() <= 1
    assert js(sure, sure[:, ::-1]).max() <= 1


def test_a_share_of_just_one_in_k_is_not_above_it() -> None:
    """2 / 3 is f1_score(average="macro") of scikit-learn 1.9.1 on exact fractions; a table's 0.166667 is above 1 / 6."""
    k, counts = 6, np.array([[3, 1, 1, 1, 0, 0], [0, 2, 4, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 5, 1, 0, 0]])
    p = np.array(
        [[0.5, 0.3, 0.05, 0.05, 0.05, 0.05], [0.1, 0.5, 0.1, 0.1, 0.1, 0.1], [1 / 6] * 6, [0.3, 0.1, 0.3, 0.1, 0.1, 0.1]]
    )
    q = np.round(counts / 6, 6)
    q /= q.sum(1, keepdims=True)
    names = [str(c) for c in range(k)]
    frame = pd.DataFrame({f"{prefix}_{c}": v[:, c] for prefix, v in (("q", q), ("p", p.astype(np.float32))) for c in range(k)})
    frame = frame.assign(true=q.argmax(1).astype(str), predicted=p.argmax(1).astype(str))
    # Present are 0; 1, 2; none; 2. Predicted are 0, 1; 1; none; 0, 2.
    assert run_scores(frame, names)["F1_1K"] == pytest.approx(2 / 3)
