"""Pooling: each kind against plain loops over an utterance's own frames, in every head that reads frames, in configurations."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ser import registry
from ser.errors import ConfigError
from ser.features.blocks import Block
from ser.metadata.targets import ONE_CLASS
from ser.results.records.names import config_hash
from ser.train.checkpoint import load_head, save_head
from ser.train.experiments.ablate import ablate
from ser.train.experiments.fit import fit
from ser.train.heads._base import HEADS, build_head, options_of, part_of, takes
from ser.train.loop.config import make_config
from ser.train.loop.data import Data
from ser.train.loop.prediction import predict
from ser.train.nn.layers import Input
from ser.train.nn.pooling import FLOOR, POOLINGS, Pooling, make_pooling

FRAMES, POOLED = Input("a", "audio", 13, True), Input("a", "audio", 13, False)
LENGTHS = (6, 2, 1)
AUDIO, WORDS = Input("frames", "audio", 12, True), Input("words", "text", 1, True, 17)
CHOICES = {"frames": [AUDIO], "words": [WORDS], "frames+words": [AUDIO, WORDS]}
TAKEN = [
    (name, next(k for k, inputs in CHOICES.items() if takes(name).fits(inputs)))
    for name in registry.names(HEADS)
    if part_of(name) == name and "pooling" in options_of(name)
]
EACH = [(name, kind, pooling) for name, kind in TAKEN for pooling in POOLINGS]


def small(name: str, pooling: str) -> dict[str, Any]:
    known = {"hidden": "16" if isinstance(options_of(name).get("hidden"), str) else 16, "heads": 2, "pooling": pooling}
    return {n: v for n, v in known.items() if n in options_of(name)}


def made(kind: str, seed: int = 0) -> Pooling:
    """A pooling of 13 features whose parameters are not near 0."""
    torch.manual_seed(seed)
    pool = make_pooling(kind, FRAMES, 13)
    for parameter in pool.parameters():
        nn.init.normal_(parameter, std=0.6)
    return pool


def batch(runs: int = 1) -> tuple[Tensor, Tensor]:
    """Utterances of 6, 2 and 1 frames; padding is not 0."""
    x = torch.randn(runs, 3, 6, 13, generator=torch.Generator().manual_seed(3))
    return x, (torch.arange(6) < torch.tensor(LENGTHS)[:, None]).expand(runs, -1, -1)


def by_loop(kind: str, frames: NDArray[Any], pool: Any) -> NDArray[Any]:
    """The vector of one utterance's real frames `(T, 13)`, by its definition."""
    if kind == "mean":
        return frames.mean(0)
    if kind == "max":
        return frames.max(0)
    if kind == "mean+std":
        return np.concatenate([frames.mean(0), np.sqrt(frames.var(0) + FLOOR)])
    if kind == "multihead":  # 8 heads want groups of 2, of which 13 features make 7
        query, found = pool.query.detach()[0].double().numpy(), []
        for first in range(0, 13, 2):
            group = frames[:, first : first + 2]
            scores = np.exp(group @ query[first : first + 2])
            found.append((scores / scores.sum()) @ group)
        return np.concatenate(found)
    w, bias, v = (p.detach()[0].double().numpy() for p in (pool.hidden.weight, pool.hidden.bias, pool.score.weight))
    scores = np.exp(np.tanh(frames @ w + bias) @ v)
    alpha = scores / scores.sum()
    mean = alpha @ frames
    return np.concatenate([mean, np.sqrt(alpha @ (frames - mean) ** 2 + FLOOR)])


@pytest.mark.parametrize("kind", POOLINGS)
def test_a_pooling_is_its_definition_on_real_frames(kind: str) -> None:
    pool, (x, mask) = made(kind), batch()
    found = pool(x, mask)
    assert found.shape == (1, 3, pool.size)
    for row, length in enumerate(LENGTHS):
        expected = by_loop(kind, x[0, row, :length].double().numpy(), pool)
        np.testing.assert_allclose(found[0, row].detach().numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", POOLINGS)
def test_the_contents_of_padding_have_no_effect(kind: str) -> None:
    pool, (x, mask) = made(kind), batch()
    other = torch.where(mask[..., None], x, 1e3 * x.flip(2))
    assert torch.equal(pool(x, mask), pool(other, mask))
    longer = pool(nn.functional.pad(x, (0, 0, 0, 5), value=7.0), nn.functional.pad(mask, (0, 5)))
    torch.testing.assert_close(longer, pool(x, mask), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", POOLINGS)
def test_a_run_is_pooled_alone_as_among_others(kind: str) -> None:
    pools, (x, mask) = [made(kind, seed) for seed in range(3)], batch(3)
    alone = [pool(x[k : k + 1], mask[k : k + 1]).detach() for k, pool in enumerate(pools)]
    together = pools[0]
    for name, parameter in list(together.named_parameters()):
        parameter.data = torch.cat([dict(p.named_parameters())[name].data for p in pools])
    assert torch.equal(together(x, mask), torch.cat(alone))


def test_what_is_pooled_already_stays_as_it_is() -> None:
    x = torch.randn(2, 3, 13)
    for kind in POOLINGS:
        pool = make_pooling(kind, POOLED, 13)
        assert (pool.size, list(pool.parameters())) == (13, [])
        assert pool(x, None) is x
    with pytest.raises(ConfigError, match="Did you mean 'mean'"):
        make_pooling("meen", FRAMES, 13)


def test_every_head_that_reads_frames_pools_as_asked() -> None:
    reading = [n for n in registry.names(HEADS) if part_of(n) == n and {"frames", "words"} & set(takes(n).kinds)]
    assert [n for n in reading if "pooling" not in options_of(n)] == []


@pytest.mark.parametrize(("name", "kind", "pooling"), EACH)
def test_padding_has_no_effect_under_any_pooling(
    name: str, kind: str, pooling: str, data: Callable[..., Data], tmp_path: Path, blocks: dict[str, Block]
) -> None:
    """And a saved head predicts as it did; every parameter has a gradient."""
    toy = data(kind)
    resident, options = toy.resident, small(name, pooling)
    head = build_head(name, resident.inputs, 4, options, 0).eval()
    lengths = torch.stack([torch.diff(o) for o in resident.offsets.values()]).sum(0)
    short, long = int(lengths.argmin()), int(lengths.argmax())
    alone = head(resident.batch(torch.tensor([[short]])))
    beside = head(resident.batch(torch.tensor([[long, short]])))
    torch.testing.assert_close(beside[:, 1:], alone, rtol=1e-5, atol=1e-6)
    beside.pow(2).sum().backward()
    assert [n for n, p in head.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())] == []

    config, rows = make_config(name, head_options=options), np.arange(150)
    weights = torch.cat([p.detach().reshape(-1).float() for p in (*head.parameters(), *head.buffers())])
    own = [blocks[name] for name in kind.split("+")]
    stores: Any = SimpleNamespace(
        classes="abcd",
        dataset="toy",
        blocks=own,
        stores={b.name: {"identity": {}, "encoder": "toy"} for b in own},
        target=ONE_CLASS,
        unit=None,
        scales={},
    )
    source = {"experiment": "e", "config_hash": config_hash(config.as_dict()), "run": 0, "fold": "f", "seed": 1}
    save_head(
        tmp_path / "head.safetensors",
        data=stores,
        config=config,
        weights=[weights],
        normalize="none",
        limit=0.0,
        statistics={},
        stamps=[],
        source=source,
    )
    found = load_head(tmp_path / "head.safetensors")
    assert found.neural == config
    np.testing.assert_array_equal(found.probabilities(own), predict(toy, config, weights[None], rows)[0])


def test_the_default_leaves_the_names_of_recorded_experiments_alone() -> None:
    for name, kind in TAKEN:
        del kind
        default = options_of(name)["pooling"]
        plain = make_config(name).as_dict()
        assert "pooling" not in plain["head_options"]
        assert make_config(name, head_options={"pooling": default}).as_dict() == plain
        assert make_config(name, head_options={"pooling": "max"}).as_dict()["head_options"]["pooling"] == "max"


def test_a_pooling_of_what_is_pooled_is_refused_and_an_ablation_leaves_it_out(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", "vectors", strength=0.6)
    maker.store("toy", "words", modality="text", framewise=True, vocabulary=13)
    few = {"protocol": "official", "runs": 1, "epochs": 1, "jobs": 1}
    for head in ("linear", "late"):
        with pytest.raises(ConfigError, match=r"pooling=max pools frames, .*expected a store of frames; found vectors"):
            fit("toy", maker.space, head=head, stores="vectors", head_options={"pooling": "max"}, **few)
    record = ablate("toy", maker.space, head="early", simple="early", head_options={"pooling": "max", "hidden": 8}, **few)
    options = [v["head_options"] for v in record["config"]["variants"].values()]
    assert [o.get("pooling") for o in options] == [None, "max", "max"]
