"""Class activation, attention, layer weights and contributions of modalities, against derivations of their own."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from ser import registry
from ser.errors import ConfigError, TrainingError
from ser.explain.inside import attention_maps, class_activation
from ser.explain.modalities import contributions, shapley
from ser.explain.opened_head import OpenedHead, open_head
from ser.features.blocks import Block
from ser.features.tensors import Tensors
from ser.train.checkpoint import SavedHead
from ser.train.head_file import HeadFacts, StoredInput
from ser.train.heads._base import HEADS, options_of, part_of
from ser.train.loop.config import make_config
from ser.train.loop.data import Data, Resident
from ser.train.loop.prediction import heads
from ser.train.loop.trainer import train
from ser.train.nn.attention import Attention
from ser.train.nn.parameters import Parameters
from ser.train.nn.pooling import AttentiveStatistics

CLASSES = ("anger", "happiness", "neutral", "sadness")
N = 24
LABELS = np.arange(N) % 4


def tensors(*blocks: Block) -> Tensors:
    frame = pd.DataFrame({"utterance_id": [f"u{k}" for k in range(N)]})
    table: Any = SimpleNamespace(frame=frame)
    return Tensors("made", frame, LABELS, CLASSES, blocks, table, {}, {})


def saved(data: Tensors, name: str, weights: list[torch.Tensor] | None = None, **options: Any) -> SavedHead:
    """A head with initial weights, or those given, as if read from a file."""
    whole = part_of(name) == name
    config = make_config(name, head_options=options)
    part = replace(config, head=part_of(name))
    groups = [list(data.blocks)] if whole else [[b] for b in data.blocks]
    nothing = np.zeros(0, dtype=np.int64)
    drawn = [
        Parameters(heads(Data(Resident(g), LABELS, 4, nothing, nothing), part, [k + 1])).row(0) for k, g in enumerate(groups)
    ]
    about = HeadFacts(
        schema="ser.head/1",
        classes=list(CLASSES),
        dataset=data.dataset,
        config=config.as_dict(),
        inputs=[StoredInput(**i._asdict()) for i in Resident(data.blocks).inputs],
        stores={},
        normalize="none",
        limit=0.0,
        stamps=[],
        experiment="",
        config_hash="",
        run=0,
        fold="0",
        seed=0,
    )
    return SavedHead(about, config, weights or drawn, {})


def opened(data: Tensors, name: str, weights: list[torch.Tensor] | None = None, **options: Any) -> OpenedHead:
    return open_head(saved(data, name, weights, **options), data)


def frames(name: str = "logmel", modality: str = "audio", dim: int = 16, least: int = 20) -> Block:
    random = np.random.default_rng(len(name))
    lengths = random.integers(least, 2 * least, N)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Block(name, modality, random.normal(size=(offsets[-1], dim)).astype(np.float32), offsets)


def pooled(name: str, modality: str, values: np.ndarray[Any, Any]) -> Block:
    return Block(name, modality, values.astype(np.float32))


def test_probabilities_are_those_of_the_saved_head() -> None:
    data = tensors(frames(), frames("words", "text", 8, 4))
    for name in ("cross_attention", "late"):
        head = saved(data, name, hidden=16)
        np.testing.assert_allclose(
            open_head(head, data).probabilities(np.arange(N)), head.probabilities(list(data.blocks)), atol=1e-6
        )


def test_probabilities_of_snapshots_are_their_mean_and_those_of_a_mixed_head_of_its_classes() -> None:
    data = tensors(pooled("sound", "audio", np.random.default_rng(1).normal(size=(N, 6))))
    one, other = saved(data, "linear"), saved(data, "linear", [torch.randn(28)])
    two = replace(one, config=replace(one.neural, snapshots=2), weights=[torch.cat([one.weights[0], other.weights[0]])])
    each = [open_head(head, data).probabilities(np.arange(N)) for head in (one, other)]
    np.testing.assert_allclose(open_head(two, data).probabilities(np.arange(N)), np.mean(each, axis=0))
    np.testing.assert_allclose(two.probabilities(list(data.blocks)), np.mean(each, axis=0))

    about = msgspec.structs.replace(one.about, learns="emotion,arousal", config={**one.about.config, "target": "mixed"})
    mixed = replace(one, about=about, config=make_config("linear", target="mixed"), weights=[torch.randn(35)])
    shares = open_head(mixed, data).probabilities(np.arange(N))
    np.testing.assert_allclose(shares, mixed.probabilities(list(data.blocks))[:, : len(CLASSES)])


def test_a_head_on_other_features_is_refused() -> None:
    head = saved(tensors(frames()), "mean_linear")
    with pytest.raises(ConfigError, match="the head reads logmel"):
        open_head(head, tensors(frames("other")))
    with pytest.raises(ConfigError, match="do not fit"):
        open_head(head, tensors(frames(dim=17)))
    with pytest.raises(ConfigError, match="classes"):
        open_head(head, replace(tensors(frames()), classes=("a", "b", "c", "d")))


def test_activation_of_a_mean_and_a_linear_layer_is_the_map_of_zhou() -> None:
    """There the gradient of each channel is its weight in the last layer over the number of cells."""
    data = tensors(frames(dim=32, least=64))
    look = opened(data, "resnet18", hidden=8)
    found, picture = class_activation(look, 3, 2)
    first, last = data.blocks[0].offsets[3:5]  # type: ignore[index]
    np.testing.assert_array_equal(picture, data.blocks[0].values[first:last])
    head: Any = look.module
    with torch.no_grad():
        values, mask = look.resident.batch(torch.tensor([[3]]))["logmel"]
        x, _ = head.maps(values[:, :, None], mask)
        cells = x.shape[-1] * x.shape[-2]
        small = torch.einsum("cfb,c->fb", x[0, 0], head.output.weight[0, :, 2]) / cells
        logit = head.output(head.pool(x, mask[:, :, ::32]))[0, 0, 2] - head.output.bias[0, 0, 2]
        assert float(small.sum()) == pytest.approx(float(logit), rel=1e-4), "the cells add up to the logit"
        large = torch.nn.functional.interpolate(small[None, None], size=picture.shape, mode="bilinear")[0, 0]
    np.testing.assert_allclose(found, large.numpy(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["cnn2d", "cnn_bilstm"])
def test_activation_lies_where_the_class_is(name: str) -> None:
    """Classes are tones: class k is energy in bands 8k to 8k + 7, in the first or the last half of the utterance."""
    random = np.random.default_rng(0)
    values = random.normal(size=(N, 48, 32)).astype(np.float32) * 0.3
    late = np.arange(N) // 4 % 2
    for k in range(N):
        values[k, 24 * late[k] : 24 * late[k] + 24, 8 * LABELS[k] : 8 * LABELS[k] + 8] += 2
    block = Block("logmel", "audio", values.reshape(-1, 32), np.arange(N + 1, dtype=np.int64) * 48)
    data, options = tensors(block), {"channels": "8,8"}
    config = make_config(name, epochs=25, batch_size=12, patience=0, lr=5e-3, head_options=options)
    rows = np.arange(N)
    (outcome,) = train(Data(Resident(data.blocks), LABELS, 4, rows, rows), config, [0])
    look = opened(data, name, [outcome.weights], **options)
    assert (look.probabilities(rows).argmax(-1) == LABELS).mean() > 0.9
    inside = []
    for k in range(N):
        found, _ = class_activation(look, k, int(LABELS[k]))
        assert found.shape == (48, 32)
        found = found.clip(0)
        half = found[24 * late[k] : 24 * late[k] + 24].sum()
        inside.append(half / max(found.sum(), 1e-12))
    assert np.mean(inside) > 0.6, "more of the map than chance (0.5) lies in the half that has the tone"


def test_a_head_without_pictures_has_no_activation() -> None:
    with pytest.raises(ConfigError, match="cnn2d, cnn_bilstm, resnet18"):
        class_activation(opened(tensors(frames()), "mean_linear"), 0, 0)


@pytest.mark.parametrize("name", [n for n in registry.names(HEADS) if part_of(n) == n])
@pytest.mark.parametrize("kind", ["audio", "text", "both", "three"])
def test_every_attention_layer_is_named_and_its_weights_add_up(name: str, kind: str) -> None:
    audio, text, visual = frames(), frames("words", "text", 8, 4), frames("faces", "visual", 6, 6)
    data = tensors(*{"audio": [audio], "text": [text], "both": [audio, text], "three": [audio, text, visual]}[kind])
    try:
        look = opened(data, name, **({"hidden": 16} if "hidden" in options_of(name) else {}))
    except TrainingError:
        pytest.skip(f"{name} does not take these")
    there = {
        path
        for path, layer in look.module.named_modules()
        if isinstance(layer, AttentiveStatistics) or (isinstance(layer, Attention) and layer.query is not None)
    }
    found = attention_maps(look, 5)
    assert {m.layer for m in found} == there
    for one in found:
        np.testing.assert_allclose(one.weights.sum(-1), 1, rtol=1e-5)
        assert one.keys
        assert set(one.keys) | set(one.queries) <= {b.name for b in data.blocks}
        lengths = [int(np.diff(b.offsets)[5]) for b in data.blocks if b.name in one.keys]  # type: ignore[arg-type]
        assert one.weights.shape[-1] in (sum(lengths), -(-lengths[0] // 8), lengths[-1])


def test_attention_is_the_softmax_of_queries_and_keys() -> None:
    data = tensors(frames(), frames("words", "text", 8, 4))
    look = opened(data, "patch_attention", hidden=16)
    found = {m.layer: m for m in attention_maps(look, 2)}["cross.0.0.attention"]
    assert (found.queries, found.keys) == (("logmel",), ("words",))
    head: Any = look.module
    with torch.no_grad():
        (x, source), _ = head._encoded(look.resident.batch(torch.tensor([[2]])))
        layer = head.cross[0][0].attention
        q, k = (np.asarray(p(s)[0, 0]).reshape(-1, 4, 4) for p, s in ((layer.query, x), (layer.key, source)))
    np.testing.assert_allclose(found.weights, softmax(np.einsum("nhd,mhd->hnm", q, k) / 2, axis=-1), atol=1e-6)
    averaged = head.attention(look.resident.batch(torch.tensor([[2]])))[0, 0].detach().numpy()
    np.testing.assert_allclose(found.weights.mean(0), averaged, atol=1e-6)


def test_pooled_cross_attention_has_no_maps() -> None:
    random = np.random.default_rng(0)
    data = tensors(pooled("a", "audio", random.normal(size=(N, 8))), pooled("t", "text", random.normal(size=(N, 8))))
    assert attention_maps(opened(data, "cross_attention", hidden=16), 0) == []


def test_layer_weights_are_the_softmax_of_what_was_learned() -> None:
    random = np.random.default_rng(0)
    data = tensors(pooled("layers", "audio", random.normal(size=(N, 3, 8))), pooled("t", "text", random.normal(size=(N, 8))))
    look = opened(data, "cross_attention", hidden=16)
    enter: Any = next(m for m in look.module.modules() if getattr(m, "store", "") == "layers")
    with torch.no_grad():
        enter.weights.copy_(torch.tensor([[0.0, 1.0, 2.0]]))
    found = look.layer_weights()
    assert list(found) == ["layers"]
    np.testing.assert_allclose(found["layers"], softmax([0.0, 1.0, 2.0]))


def test_shapley_values_of_a_game_that_can_be_counted() -> None:
    """The glove game: left a and b, right c; a pair is worth 1. The values are 1/6, 1/6 and 2/3."""
    worth = {frozenset(s): float("c" in s and len(s) > 1) for s in ("", "a", "b", "c", "ab", "ac", "bc", "abc")}
    assert [float(shapley(worth, p)) for p in "abc"] == pytest.approx([1 / 6, 1 / 6, 2 / 3])


@pytest.mark.parametrize("name", ["early", "late"])
def test_contributions_add_up_and_find_the_modality_that_says_something(name: str) -> None:
    random = np.random.default_rng(0)
    tells = np.eye(4)[LABELS] * 3 + random.normal(size=(N, 4)) * 0.1
    says_nothing = random.normal(size=(N, 4))
    data = tensors(pooled("a", "audio", tells), pooled("t", "text", says_nothing), pooled("v", "visual", says_nothing * 0))
    config = make_config(name, epochs=40, batch_size=8, patience=0, lr=5e-3, head_options={"hidden": 16})
    part, rows = replace(config, head=part_of(name)), np.arange(N)
    groups = [list(data.blocks)] if part_of(name) == name else [[b] for b in data.blocks]
    weights = [train(Data(Resident(g), LABELS, 4, rows, rows), part, [0])[0].weights for g in groups]
    look = opened(data, name, weights, hidden=16)
    found = contributions(look, rows, draws=8)
    assert found.modalities == ("audio", "text", "visual")
    every, none = frozenset(found.modalities), frozenset[str]()
    np.testing.assert_allclose(found.coalitions[every], look.probabilities(rows))
    np.testing.assert_allclose(found.values.sum(0), found.coalitions[every] - found.coalitions[none], atol=1e-9)
    assert found.UA_values.sum() == pytest.approx(found.UA[every] - found.UA[none])
    assert found.UA[every] > 0.95
    assert found.UA_values[0] > 3 * abs(found.UA_values[1])
    np.testing.assert_allclose(found.values[2], 0, atol=1e-9, err_msg="a modality that is constant contributes nothing")


def test_an_absent_modality_is_another_utterances() -> None:
    """With audio absent, a head's probabilities are those of the table whose audio rows are exchanged."""
    random = np.random.default_rng(0)
    audio, text = random.normal(size=(N, 8)), random.normal(size=(N, 8))
    head = saved(tensors(pooled("a", "audio", audio), pooled("t", "text", text)), "early", hidden=16)
    partner = np.roll(np.arange(N), 5)
    data = tensors(pooled("a", "audio", audio), pooled("t", "text", text))
    exchanged = [pooled("a", "audio", audio[partner]), pooled("t", "text", text)]
    rows = np.array([3, 4, 9])
    found = open_head(head, data).probabilities(rows, {"a": partner})
    np.testing.assert_allclose(found, head.probabilities(exchanged)[rows], atol=1e-6)


def test_contributions_want_two_modalities() -> None:
    with pytest.raises(ConfigError, match="two modalities"):
        contributions(opened(tensors(frames()), "mean_linear"), np.arange(N))
