"""On a simulated GPU (`tests/simulated.py`): no step mixes tensors of two devices, and none waits more often than it must."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ser import registry
from ser.features.blocks import Block
from ser.features.view_rows import ViewRows
from ser.train.adapt._base import METHODS
from ser.train.heads._base import HEADS, options_of, part_of, takes
from ser.train.loop import trainer
from ser.train.loop.config import TARGET, make_config
from ser.train.loop.data import Data, Resident
from ser.train.loop.dialogues import Turns
from ser.train.loop.freezing import encoder_of
from ser.train.loop.prediction import embed, predict
from ser.train.loop.trainer import train
from ser.train.losses._base import LOSSES, term
from ser.train.nn.streams import AT_ONCE, GpuBits

pytestmark = pytest.mark.filterwarnings("ignore:PyTorch was compiled without cuDNN")
Gpu = Callable[[], AbstractContextManager[Any]]
HEADS_THAT_TRAIN = [n for n in registry.names(HEADS) if part_of(n) == n]
WITH_LSTM = ("bilstm", "cnn_bilstm", "text_centred")
ROWS, TEST = np.arange(48), np.arange(80, 100)
KINDS = {
    "pooled+pooled": ("pooled", "other"),
    "layers": ("layers",),
    "frames": ("frames",),
    "words": ("words",),
    "frames+words": ("frames", "words"),
    "pooled+words": ("pooled", "words"),
}
OF_CLASSES = [n for n in registry.names(LOSSES) if "emotion" in term(n).targets]


@pytest.fixture
def on(blocks: dict[str, Block]) -> Callable[..., Data]:
    """The data of `conftest.py`, little of it, on a device."""

    def make(kind: str, device: str) -> Data:
        resident = Resident([blocks[b] for b in KINDS[kind]], device)
        vad = np.random.default_rng(0).normal(size=(150, 3))
        rows = {"unlabelled": np.arange(100, 130), "oracle": np.arange(130, 150)}
        return Data(resident, np.arange(150) % 4, 4, ROWS, np.arange(48, 70), vad=vad, **rows)

    return make


def small(name: str, **options: Any) -> Any:
    known = options_of(name)
    sizes = {"hidden": 8, "channels": "4,4", "blocks": 2, "layers": 1, "input_dropout": 0.0, "dropout": 0.0}
    own = {n: v for n, v in sizes.items() if n in known}
    return make_config(name, **{"epochs": 1, "batch_size": 24, "head_options": own, **options})


def step(data: Data, config: Any, seeds: list[int], device: Any) -> Counter[str]:
    """The waits for a GPU in one step, which is not the first."""
    stack = trainer.Stack(data, config, seeds, None)
    units = stack.begin_epoch(1)[0]
    stack.update(units, 0)
    device.waits.clear()
    device.operations = 0
    stack.update(units, 1)
    return Counter(device.waits)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("name", HEADS_THAT_TRAIN)
def test_a_head_trains_on_one_device_and_says_there_what_it_says_on_the_cpu(
    name: str, kind: str, on: Callable[..., Data], gpu: Gpu
) -> None:
    config, seeds = small(name), [3] if "frames" in kind or "words" in kind else [3, 4]
    with gpu() as device:
        data = on(kind, "cuda")
        if not takes(name).fits(data.resident.inputs):
            pytest.skip("not among the features that the head states")
        waits = step(data, config, seeds, device)
        runs = train(data, config, seeds)
        weights = torch.stack([t.weights for t in runs])
        assert device.there(weights)
        there = predict(data, config, weights, TEST)
        own = weights.cpu()
    here = on(kind, "cpu")
    np.testing.assert_allclose(there, predict(here, config, own, TEST), rtol=1e-4, atol=1e-6)
    # Nothing was drawn but weights and orders, which are the CPU's everywhere: the training is the same too.
    again = train(here, config, seeds)
    assert runs[0].curves["loss"] == pytest.approx(again[0].curves["loss"], rel=1e-4)
    sequences = sum(word in kind for word in ("frames", "words"))
    expected = Counter({"_local_scalar_dense": sequences})  # how long the longest of a batch is
    if name in WITH_LSTM:  # torch packs sequences by lengths on the CPU
        lstms = sequences if name == "bilstm" else 1
        expected += Counter({"copy to the CPU": 2 * lstms, "copy to the GPU": lstms})
    assert waits == expected


EVERY = {
    **{f"loss {n}": {"loss": f"cross_entropy,{n}"} for n in OF_CLASSES if n != "cross_entropy"},
    **{f"adapt {n}": {"adapt": n} for n in registry.names(METHODS)},
    **{f"selection {n}": {"adapt": "coral", "selection": n} for n in TARGET},
    "mixup and noise": {"mixup": 0.2, "feature_noise": 0.1, "modality_dropout": 0.3},
    "ema": {"average": "ema", "schedule": "cosine", "clip": 0.01},
    "swa": {"average": "swa", "epochs": 4, "label_smoothing": 0.1, "class_weights": "balanced"},
    "snapshots": {"snapshots": 2, "epochs": 2, "schedule": "cycles"},
    "patience": {"epochs": 6, "patience": 1, "lr": 0.3},
}


@pytest.mark.parametrize("what", list(EVERY))
def test_every_loss_method_and_option_keeps_to_the_device(what: str, on: Callable[..., Data], gpu: Gpu) -> None:
    config, seeds = small("mlp", **EVERY[what]), [1, 2, 3]
    config = replace(config, head_options=(("dropout", 0.5), ("hidden", "8")))
    with gpu() as device:
        data = on("pooled+pooled", "cuda")
        assert not step(data, config, seeds, device)
        runs = train(data, config, seeds)
        embed(data, config, torch.stack([t.weights for t in runs]), TEST)
    assert all(np.isfinite(t.curves["loss"]).all() for t in runs)


@pytest.mark.parametrize("options", [{"time_masks": "1x2"}, {"band_masks": "2x3"}, {"feature_noise": 0.1}])
def test_masks_keep_to_the_device(options: dict[str, Any], on: Callable[..., Data], gpu: Gpu) -> None:
    with gpu() as device:
        assert step(on("frames", "cuda"), small("mean_linear", **options), [1], device).total() == 1


def test_views_keep_to_the_device(on: Callable[..., Data], gpu: Gpu) -> None:
    views = ViewRows(("a",), (np.arange(150) + 1)[:, None] % 150, frozenset({"pooled"}), {})
    with gpu() as device:
        data = replace(on("pooled+pooled", "cuda"), views=views)
        assert not step(data, small("mlp"), [1, 2], device)
        train(data, small("mlp"), [1, 2])


def test_dialogues_keep_to_the_device(blocks: dict[str, Block], gpu: Gpu) -> None:
    labels, config = np.arange(150) % 4, small("bilstm", context="dialogue", batch_size=4)
    with gpu():
        turns = Turns([blocks["pooled"]], np.arange(150) // 5, np.arange(150) % 5, "cuda")
        data = Data(turns, labels, 4, np.arange(100), np.arange(100, 125))
        (run,) = train(data, config, [1])
        there, own = predict(data, config, run.weights[None], np.arange(125, 150)), run.weights.cpu()
    turns = Turns([blocks["pooled"]], np.arange(150) // 5, np.arange(150) % 5)
    here = predict(replace(data, resident=turns), config, own[None], np.arange(125, 150))
    np.testing.assert_allclose(there, here, rtol=1e-5)


@pytest.mark.parametrize(("head", "kind"), [("mlp", "pooled+pooled"), ("bilstm", "words"), ("cnn_bilstm", "frames")])
def test_an_encoder_is_kept_on_the_device(head: str, kind: str, on: Callable[..., Data], gpu: Gpu) -> None:
    seeds = [1]
    with gpu():
        data = on(kind, "cuda")
        (first,) = train(data, small(head), seeds)
        (tuned,) = train(data, small(head, freeze="encoder"), seeds, first.weights[None].cpu())
        changed = (tuned.weights != first.weights).sum().item()
    assert 0 < changed < len(first.weights)


def test_what_a_head_depends_on_is_asked_without_cudnn(on: Callable[..., Data], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU `cudnn RNN backward can only be called in training mode`."""
    head = torch.nn.LSTM(12, 4, batch_first=True)
    seen: list[bool] = []

    def embedded(batch: Any) -> torch.Tensor:
        seen.append(torch.backends.cudnn.enabled)
        out: torch.Tensor = head(batch["frames"].values[0])[0]
        out.register_hook(lambda _: seen.append(torch.backends.cudnn.enabled))
        return out

    monkeypatch.setattr(head, "embed", embedded, raising=False)
    names = encoder_of(head, on("frames", "cpu").resident.batch(torch.zeros(1, 1, dtype=torch.long))).parameters
    assert names == {name for name, _ in head.named_parameters()}
    assert seen == [False, False]
    assert torch.backends.cudnn.enabled


def test_the_simulation_refuses_what_a_gpu_would(gpu: Gpu) -> None:
    with gpu() as device:
        x = torch.arange(6.0, device="cuda").view(2, 3)
        assert (x.device.type, (x * 2).sum().device.type, x.cpu().device.type) == ("cuda", "cuda", "cpu")
        assert torch.ones(2).device.type == "cpu"
        for wrong in (
            lambda: x + torch.ones(3),
            lambda: torch.cat([x, torch.zeros(1, 3)]),
            lambda: x.numpy(),
            lambda: torch.zeros(2, 3).add_(x),
            lambda: x.bernoulli_(0.5, generator=torch.Generator()),
            lambda: torch.rand(2, generator=torch.Generator("cuda")),
        ):
            with pytest.raises((RuntimeError, TypeError), match=r"device|convert cuda"):
                wrong()
        device.waits.clear()
        layer = torch.nn.Linear(3, 2).to("cuda")
        assert device.waits == ["copy to the GPU"] * 2
        device.waits.clear()
        layer(x).sum().backward()
        assert layer.weight.grad is not None
        assert device.there(layer.weight.grad)
        y = torch.ones(2).pin_memory().to("cuda", non_blocking=True)
        assert device.there(y)
        assert not device.waits
        assert int(x.sum()) == 15
        assert x[x > 2].tolist() == [3, 4, 5]
        assert device.waits == ["_local_scalar_dense", "index", "tolist"]


@pytest.mark.parametrize("name", ["mlp", "early", "gated", "cross_attention"])
def test_dropout_of_a_run_is_its_own_and_runs_cost_few_kernels(name: str, blocks: dict[str, Block], gpu: Gpu) -> None:
    config = make_config(name, batch_size=24, epochs=2, head_options={"hidden": 16})
    started: dict[int, int] = {}
    with gpu() as device:
        data = Data(Resident([blocks["pooled"], blocks["other"]], "cuda"), np.arange(150) % 4, 4, ROWS, TEST)
        four, alone = train(data, config, [1, 2, 3, 4]), train(data, config, [3])
        torch.testing.assert_close(four[2].weights, alone[0].weights, rtol=1e-5, atol=1e-6)
        assert not torch.equal(four[2].weights, four[3].weights)
        for runs in (1, 20):
            step(data, config, list(range(runs)), device)
            started[runs] = device.operations
    assert started[20] < 1.1 * started[1]


def test_bits_are_uniform_and_do_not_depend_on_the_neighbours() -> None:
    def drawn(seeds: list[int]) -> list[torch.Tensor]:
        draws = GpuBits([torch.Generator().manual_seed(s) for s in seeds], "cpu")
        return [draws.below(bound, count) for bound, count in ((1 << 14, 100_000), (1, 9), (1 << 16, AT_ONCE), (5, 7))]

    together, alone = drawn([5, 6, 7]), drawn([6])
    assert all(torch.equal(a[1:2], b) for a, b in zip(together, alone, strict=True))
    share = together[0].float().mean(1)
    assert share.tolist() == pytest.approx([0.25] * 3, abs=0.006)  # four standard errors
    assert not together[1].any()
    assert together[2].all()
    assert not torch.equal(together[0][0], together[0][1])
