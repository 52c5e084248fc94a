"""On a GPU: no step waits for it, and a run keeps its predicted labels whatever runs are beside it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ser.train.loop import trainer
from ser.train.loop.config import make_config
from ser.train.loop.data import Data, Resident
from ser.train.loop.prediction import predict
from ser.train.loop.trainer import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

EVERYTHING: dict[str, Any] = {
    "loss": "cross_entropy,cb_focal:0.3,prototype:0.01,vad:0.2",
    "mixup": 0.2,
    "feature_noise": 0.1,
    "modality_dropout": 0.1,
    "average": "ema",
    "precision": "bfloat16",
}


def on_gpu(toy: Data) -> Data:
    resident = Resident([], "cuda")
    resident.inputs = toy.resident.inputs
    resident.values = {n: v.cuda() for n, v in toy.resident.values.items()}
    resident.offsets = {n: v.cuda() for n, v in toy.resident.offsets.items()}
    return replace(toy, resident=resident, vad=np.random.default_rng(0).normal(size=(150, 3)))


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["plain", "everything"])
def test_no_step_waits_for_the_device(options: dict[str, Any], data: Callable[..., Data]) -> None:
    config = make_config("gated", epochs=2, head_options={"hidden": 16}, **options)
    stack = trainer.Stack(on_gpu(data("pooled+pooled")), config, [1, 2, 3], None)
    stack.train_epoch(1)
    rows = stack.units[:, :32].contiguous()
    torch.cuda.set_sync_debug_mode("error")
    try:
        stack.update(rows, 0)
        stack.update(rows, 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("kind", ["pooled+pooled", "frames+words"])
def test_a_run_predicts_the_same_labels_beside_others(kind: str, data: Callable[..., Data]) -> None:
    toy = on_gpu(data(kind))
    config = make_config("mlp", epochs=6, head_options={"hidden": "16"})
    together, alone = train(toy, config, [11, 22, 33]), train(toy, config, [22])
    rows = np.arange(125, 150)
    found = [predict(toy, config, t.weights[None], rows)[0] for t in (together[1], alone[0])]
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)
    np.testing.assert_array_equal(found[0].argmax(-1), found[1].argmax(-1))
