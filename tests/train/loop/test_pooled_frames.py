"""Frames that are pooled once before training: the numbers of training on frames, and stacks in which a run is itself."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import ser
from ser.features.blocks import Block
from ser.results.stored.runs import read_predictions
from ser.train.loop.config import Config, make_config
from ser.train.loop.data import Data, Resident
from ser.train.loop.pooled_frames import FIXED, pooled_blocks, poolings, read_inputs
from ser.train.loop.prediction import predict
from ser.train.loop.trainer import train
from ser.train.nn.layers import Input
from ser.train.runs import plan

FEW: dict[str, Any] = {"protocol": "official", "epochs": 3, "jobs": 1, "batch_size": 16}
FRAMES, WORDS = Input("x", "audio", 5, True), Input("w", "text", 1, True, 9)
SMALL: dict[str, Any] = {"linear": {}, "mlp": {"hidden": 16}}


def config_of(head: str, pooling: str = "mean", **more: Any) -> Config:
    return make_config(head, epochs=3, lr=1e-2, head_options={**SMALL[head], "pooling": pooling}, **more)


@pytest.mark.parametrize("pooling", FIXED)
def test_vectors_are_those_of_each_utterance_by_itself(pooling: str, blocks: dict[str, Block]) -> None:
    """By NumPy in double precision."""
    frames = blocks["frames"]
    (found,) = pooled_blocks(config_of("linear", pooling), [frames])
    assert found.offsets is None
    assert frames.offsets is not None
    for vector, begin, end in zip(np.asarray(found.values), frames.offsets[:-1], frames.offsets[1:], strict=True):
        own = np.asarray(frames.values)[begin:end].astype(np.float64)
        deviation = np.sqrt(own.var(0) + 1e-6)
        wanted = {"mean": own.mean(0), "max": own.max(0), "mean+std": np.concatenate([own.mean(0), deviation])}
        np.testing.assert_allclose(vector, wanted[pooling], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("head", SMALL)
@pytest.mark.parametrize("pooling", FIXED)
def test_a_head_on_pooled_frames_is_that_of_frames(
    head: str, pooling: str, data: Callable[..., Data], blocks: dict[str, Block]
) -> None:
    """Its weights have the same places, so that a saved head reads frames; probabilities are equal to 1e-5."""
    config, frames = config_of(head, pooling), data("frames")
    vectors = replace(frames, resident=Resident(pooled_blocks(config, [blocks["frames"]])))
    rows = np.arange(125, 150)
    (plain,), (ahead,) = (train(own, config, [7]) for own in (frames, vectors))
    assert plain.weights.shape == ahead.weights.shape
    expected = predict(frames, config, plain.weights[None], rows)
    np.testing.assert_allclose(predict(frames, config, ahead.weights[None], rows), expected, atol=1e-5)
    np.testing.assert_allclose(predict(vectors, config, ahead.weights[None], rows), expected, atol=1e-5)


@pytest.mark.parametrize("head", SMALL)
def test_a_run_is_itself_alone_of_5_and_of_20(head: str, maker: Any) -> None:
    """Bit for bit, through the whole program, as stacks of as many runs."""
    maker.table("toy")
    maker.store("toy", "frames", framewise=True)
    own = {}
    for runs in (1, 5, 20):
        options = {**FEW, "head_options": SMALL[head], "runs": runs, "stack": runs, "quiet": True}
        result = ser.fit("toy", maker.space, head=head, stores="frames", **options)
        frame = read_predictions(maker.space.results / f"{result['experiment']}.json")
        own[runs] = {k: rows.drop(columns="run").reset_index(drop=True) for k, rows in frame.groupby("run")}
        shutil.rmtree(maker.space.results)  # or the next one would find these runs
    assert [len(each) for each in own.values()] == [1, 5, 20]
    assert own[1][0].equals(own[5][0])
    assert all(own[5][k].equals(own[20][k]) for k in range(5))
    assert not own[5][0].equals(own[5][1])


def test_frames_that_training_changes_or_learns_from_are_not_pooled_before() -> None:
    ahead = read_inputs(config_of("mlp", "mean+std"), [FRAMES, WORDS])
    assert ahead == [FRAMES._replace(framewise=False, dim=10), WORDS]
    more = ({"mixup": 0.2}, {"time_masks": "1x2"}, {"feature_noise": 0.1}, {"selection": "iwv"})
    for config in (
        config_of("mlp", "attentive"),
        make_config("mean_linear"),
        *(config_of("linear", **options) for options in more),
    ):
        assert not poolings(config, [FRAMES]), config


def test_heads_on_pooled_frames_are_stacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "cores", lambda: 2)
    for pooling, size in (("mean", 20), ("attentive", 1)):
        config = config_of("linear", pooling)
        assert plan.stack_size(config, read_inputs(config, [FRAMES]), 4, 20, "cpu", rows=100) == size


def test_features_of_several_stores_are_gathered_side_by_side(blocks: dict[str, Block]) -> None:
    """For a head that concatenates them; frames, words and stored layers are gathered store by store as ever."""
    pooled = [blocks["pooled"], blocks["other"]]
    units = torch.tensor([[3, 1, 4], [1, 5, 9]])
    plain, beside = (Resident(pooled, concatenated=c).batch(units) for c in (False, True))
    for name, feature in plain.items():
        assert torch.equal(feature.values, beside[name].values)
        assert beside[name].mask is None
    first, second = (beside[block.name].values for block in pooled)
    assert second.data_ptr() - first.data_ptr() == first.shape[-1] * first.element_size()
    assert not Resident([blocks["pooled"], blocks["frames"]], concatenated=True).concatenated
    assert not Resident(pooled).concatenated
