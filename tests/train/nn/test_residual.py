"""A layer computed by compiled passes is the same layer, forward and backward, alone and in a stack."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ser.train.nn import few_tokens
from ser.train.nn.inplace_gradients import InPlaceGradients, write
from ser.train.nn.kernels import compiler, passes
from ser.train.nn.layers import Dropout
from ser.train.nn.parameters import Parameters
from ser.train.nn.streams import bits
from ser.train.nn.transformer import Layer

SIZE = 256  # SIZE * SIZE weights are enough to be written in place
WAYS = ("pooled", "pooled, of another store", "frames", "frames, of one vector", "twice", "many, of few", "few, of many")
LENGTHS = {"pooled": (1, 1), "pooled, of another store": (1, 1), "frames, of one vector": (3, 1), "many, of few": (24, 2)}
LENGTHS["few, of many"] = (2, 24)


class Ways(nn.Module):
    """A layer used in some way."""

    def __init__(self, way: str, run: int, norm: str) -> None:
        super().__init__()
        torch.manual_seed(run)
        self.way = way
        self.layer = Layer(SIZE, 4, 0.3, norm, single="pooled" in way or "one vector" in way)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        mask = torch.ones(source.shape[:-1], dtype=torch.bool)
        own = source if "of" in self.way else None
        out: Tensor = self.layer(x, mask, own)
        return self.layer(out, mask, own) if self.way == "twice" else out


def steps(way: str, runs: list[int], batch: int, norm: str = "post") -> tuple[Tensor, Tensor, Tensor]:
    """Output, gradient of the input, and those of all weights, in the third step."""
    block = Parameters([partial(Ways, way, run, norm) for run in runs], in_place=True)
    block.head.train()
    dropout = next(part for part in block.head.modules() if isinstance(part, Dropout))
    dropout.generators = [bits(run, "dropout") for run in runs]
    lengths = LENGTHS.get(way, (3, 3))
    for step in range(3):
        draw = torch.Generator().manual_seed(step)
        given = [torch.randn(1, batch, n, SIZE, generator=draw).repeat(len(runs), 1, 1, 1).requires_grad_() for n in lengths]
        block.gradients.clear()
        out = block.head(*given)
        (out * torch.randn(out.shape[1:], generator=draw)).sum().backward()
        block.gradients.settle()
        kept = block.gradients
        assert isinstance(kept, InPlaceGradients)
        norms = torch.stack(kept.norms())
        for weight in kept.weights:
            write(weight)
        torch.testing.assert_close(norms, kept.block.norm(dim=1), rtol=1e-4, atol=0)  # by sums that cancel
    inward = torch.cat([part.grad.flatten(1) for part in given if part.grad is not None], 1)
    return out.detach(), inward, block.gradients.block.clone()


@pytest.mark.parametrize("batch", [5, 16])
@pytest.mark.parametrize("way", WAYS)
def test_a_layer_is_the_same_but_for_rounding(way: str, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    calls, own = [], passes.residual_norm

    def counted(*given: Any) -> Any:
        calls.append(1)
        return own(*given)

    monkeypatch.setattr(passes, "residual_norm", counted)
    monkeypatch.setattr(compiler, "is_wide", lambda: True)
    monkeypatch.setattr(few_tokens, "LEAST", 0)
    found = {}
    for width in (0, 8):
        monkeypatch.setattr(compiler, "width", lambda width=width: width)
        found[width] = steps(way, [4] if "many" in way else [3, 4], batch)  # frames are trained one run at a time
        assert bool(calls) == (width > 0)
    assert len(calls) == 3 * {"frames, of one vector": 1, "twice": 4}.get(way, 2)
    for theirs, ours in zip(found[0], found[8], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))
    for alone, ours in zip(steps(way, [4], batch), found[8], strict=True):
        assert torch.equal(alone, ours[-1:])


def test_before_the_norm_layers_are_called_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "residual_norm", None)
    assert all(part.isfinite().all() for part in steps("pooled", [1], 4, "pre"))
