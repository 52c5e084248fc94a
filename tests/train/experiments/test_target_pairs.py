"""Targets with heads, losses, protocols and views: any two of these go together, or one line says why they do not."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser import registry
from ser.errors import ConfigError
from ser.metadata.table import load_table, make_table, write_table
from ser.metadata.targets import DIMENSIONS, EMOTION, MIXED, parse_target
from ser.metadata.targets import plugin as target_plugin
from ser.results.verification.verify import verify
from ser.train.experiments.fit import fit
from ser.train.heads._base import HEADS, offers_embedding, options_of, plugin
from ser.train.loop.config import make_config
from ser.train.losses._base import LOSSES, term

TARGETS = ("emotion", "votes", "labels", "arousal,valence", "emotion,arousal,valence")
PROTOCOLS = ("official", "session", "speaker", "emobox", "seed1", "random", "file")
SMALL = {"hidden": 16, "layers": 1, "blocks": 2, "channels": "8,8", "feed": 16, "heads": 2}
# The stores of heads that do not take pooled audio, or take several stores; all others have `pooled`.
STORES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("audio_transformer", "cnn2d", "cnn_bilstm", "resnet18", "timnet"), ("mel",)),
    **dict.fromkeys(("bilstm", "patch_attention", "text_centred"), ("mel", "words")),
    **dict.fromkeys(("cross_attention", "early", "gated", "late", "late_logits"), ("pooled", "bert")),
    "text_transformer": ("words",),
}


def learns(head: str, kind: str) -> bool:
    return kind in getattr(plugin(head), "TARGETS", (kind,))


def parts_of(kind: str) -> set[str]:
    return {EMOTION, DIMENSIONS} if kind == MIXED else {kind}


def losses_of(kind: str) -> list[str]:
    """Each loss that is of a target: alone where it trains the whole of it, or beside what the target has by itself."""
    own, found = target_plugin(kind).LOSS, []
    for name in registry.names(LOSSES):
        part, *others = sorted(parts_of(kind) & set(term(name).targets)) or [""]
        beside = [
            one for one in own.split(",") if one != name and (term(name).reads_embedding or part not in term(one).targets)
        ]
        if part:
            assert not others
            found.append(",".join([*beside, f"{name}:0.5" if beside else name]))
    return found


def reads_embedding(loss: str) -> bool:
    return any(term(one.split(":")[0]).reads_embedding for one in loss.split(","))


def cases() -> list[tuple[str, str, str, str, bool]]:
    """Each head with each target; losses, protocols and views take turns, so that all of them meet each target."""
    found = []
    for t, target in enumerate(TARGETS):
        kind = parse_target(target).kind
        waiting: list[str] = []
        for k, head in enumerate(h for h in registry.names(HEADS) if learns(h, kind)):
            fitting = [one for one in losses_of(kind) if offers_embedding(head) or not reads_embedding(one)]
            if not set(fitting) & set(waiting):
                waiting += losses_of(kind)
            loss = next(one for one in waiting if one in fitting)
            waiting.remove(loss)
            views = (k // len(PROTOCOLS) + t) % 2 == 0 and head != "text_transformer"
            found.append((head, target, loss, PROTOCOLS[(k + t) % len(PROTOCOLS)], views))
    return found


def refusal(head: str, kind: str, loss: str) -> str:
    """The line that refuses a head with a loss; "" where they go together."""
    try:
        make_config(head, target=kind, loss=loss)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory, maker_type: Any) -> Any:
    """A corpus `one` with ratings and votes, and `several` with labels; each has audio with a view, and text."""
    maker = maker_type(tmp_path_factory.mktemp("workspace"))
    emotions = ("anger", "happiness", "neutral", "sadness")
    scale = {"low": 0, "high": 5}
    for dataset in ("one", "several"):
        maker.table(dataset, each=2)
        rows: list[Any] = load_table(dataset, maker.space).frame.to_dict("records")
        for k, row in enumerate(rows):
            level = emotions.index(row["emotion"])
            other = emotions[(level + 1) % 4]
            row |= {"arousal": 1 + level + k % 3 / 9, "valence": 4 - level + k % 5 / 9, "dominance": 2 + k % 7 / 9}
            row["votes"] = json.dumps({row["emotion"]: 0.75, other: 0.25})
            if dataset == "several":
                row["emotion"], row["label"] = "", f"{row['emotion']};{other}" if k % 2 else row["emotion"]
        facts = {"corpus": "csv", "dimensions": dict.fromkeys(("arousal", "valence", "dominance"), scale)}
        write_table(make_table(rows, dataset, facts), maker.space)
        for view in ({}, {"view": {"name": "noise15"}}):
            for name, framewise in (("pooled", False), ("mel", True)):
                ending = "@noise15" if view else ""
                maker.store(dataset, name + ending, framewise=framewise, dim=16, identity={"plugin": "toy", **view})
        maker.store(dataset, "words", modality="text", framewise=True, vocabulary=13)
        maker.store(dataset, "bert", modality="text")
        folds = "".join(f"{row['utterance_id']},{k % 3}\n" for k, row in enumerate(rows))
        (maker.space.root / f"{dataset}.csv").write_text(f"utterance_id,fold\n{folds}")
    return maker


def test_all_pairs_of_a_target_are_tried() -> None:
    """The cases below hold each head, each loss that learns it, each protocol, and views or none, of each target."""
    tried = cases()
    for target in TARGETS:
        kind, own = parse_target(target).kind, [case for case in tried if case[1] == target]
        assert {head for head, *_ in own} == {h for h in registry.names(HEADS) if learns(h, kind)}
        assert {loss for _, _, loss, _, _ in own} == set(losses_of(kind))
        assert {protocol for *_, protocol, _ in own} == set(PROTOCOLS)
        assert {views for *_, views in own} == {True, False}
    assert {(protocol, views) for *_, protocol, views in tried} == set(product(PROTOCOLS, (True, False)))


@pytest.mark.parametrize(("head", "target", "loss", "protocol", "views"), cases())
def test_a_head_learns_a_target(
    maker: Any, tmp_path: Path, head: str, target: str, loss: str, protocol: str, views: bool
) -> None:
    dataset = "several" if target == "labels" else "one"
    found = fit(
        dataset,
        maker.space,
        head=head,
        head_options={name: value for name, value in SMALL.items() if name in options_of(head)},
        target=target,
        loss=loss,
        protocol=protocol,
        folds=3 if protocol in ("session", "speaker", "random") else None,
        fold_file=maker.space.root / f"{dataset}.csv" if protocol in ("emobox", "file") else None,
        views=["all"] if views else None,
        stores=STORES.get(head, ("pooled",)),
        runs=1,
        epochs=1,
        jobs=1,
        output=tmp_path / "found.json",
    )
    assert all(np.isfinite(score["mean"]) for score in found["pooled"].values())
    assert found["data"].get("learns", "emotion") == target
    assert ("views" in found["data"]) is views
    verdict = verify(tmp_path / "found.json", maker.space)
    assert verdict.differences == []
    assert verdict.numbers > 0


@pytest.mark.parametrize("target", TARGETS)
def test_a_head_and_a_loss_that_do_not_go_with_a_target_are_one_line(target: str) -> None:
    """All heads with all losses, alone and beside the target's own."""
    kind = parse_target(target).kind
    own, of_it = target_plugin(kind).LOSS, parts_of(kind)
    for head, name in product(registry.names(HEADS), registry.names(LOSSES)):
        of_loss = set(term(name).targets)
        possible = learns(head, kind) and bool(of_it & of_loss) and (offers_embedding(head) or not reads_embedding(name))
        for loss, fits in (
            (name, possible and of_it <= of_loss and not reads_embedding(name)),
            (f"{own},{name}:0.1", possible and name not in own.split(",")),
        ):
            said = refusal(head, kind, loss)
            assert (said == "") is fits, f"{head}, {loss}: {said}"
            assert "\n" not in said
