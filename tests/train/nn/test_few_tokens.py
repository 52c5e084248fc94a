"""Attention between many tokens and few is the same function in either order of its products."""

import pytest
import torch
from torch import Tensor

from ser.train.nn import few_tokens
from ser.train.nn.attention import Attention
from ser.train.nn.kernels import compiler
from ser.train.nn.sequences import Packing

SIZE, HEADS, BATCH = 64, 4, 3
LENGTHS = {"few keys": (40, 4), "few queries": (4, 40)}


def attend(attention: Attention, lengths: tuple[int, int], padded: bool, packed: bool) -> dict[str, Tensor]:
    """Output of real queries, and gradients by name."""
    draw = torch.Generator().manual_seed(1)
    sides = [torch.randn(1, BATCH, n, SIZE, generator=draw).double() for n in lengths]
    masks = [torch.arange(n)[None, None] < torch.tensor([[[n], [n // 2], [1]]]) if padded else None for n in lengths]
    masks = [torch.ones(1, BATCH, n, dtype=torch.bool) if m is None else m for m, n in zip(masks, lengths, strict=True)]
    dtype = attention.output.weight.dtype
    x, source = (s.to(dtype).requires_grad_() for s in sides)
    packings = [Packing(mask) if packed else None for mask in masks]
    own, other = (s if p is None else p.pack(s) for s, p in zip((x, source), packings, strict=True))
    out = attention(own, other, masks[1], *packings)
    out = out if packings[0] is None else packings[0].pad(out)
    real = out * masks[0][..., None]
    factors = torch.randn(out.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    attention.zero_grad()
    (real * factors).sum().backward()
    found = {"out": real, "x": x.grad, "source": source.grad}
    found |= {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in attention.named_parameters()}
    return {name: tensor.detach() for name, tensor in found.items() if tensor is not None}


@pytest.mark.parametrize("width", [0, 8])
@pytest.mark.parametrize(("padded", "packed"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("way", LENGTHS)
def test_the_order_of_products_changes_rounding_only(
    way: str, padded: bool, packed: bool, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if width:
        pytest.importorskip("llvmlite")
    monkeypatch.setattr(compiler, "width", lambda: width)
    monkeypatch.setattr(compiler, "is_wide", lambda: True)
    monkeypatch.setattr(few_tokens, "LEAST", 0)
    calls: list[str] = []
    for name in ("of_few_keys", "of_few_queries"):

        def counted(*given: object, name: str = name, function: object = getattr(few_tokens, name)) -> object:
            calls.append(name)
            return function(*given)  # type: ignore[operator]

        monkeypatch.setattr(few_tokens, name, counted)
    torch.manual_seed(0)
    attention = Attention(SIZE, HEADS)
    ours = attend(attention, LENGTHS[way], padded, packed)
    assert calls == ["of_" + way.replace(" ", "_")]
    exact = attend(attention.double(), LENGTHS[way], padded, packed)  # in float64 the usual order is kept
    assert len(calls) == 1
    for name, value in exact.items():
        torch.testing.assert_close(
            ours[name].double(), value, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )
    assert way == "few keys" or not ours["key.bias"].any()


def test_it_is_used_where_it_pays() -> None:
    assert few_tokens.pays([100] * 16, [20] * 16, 384, 8)
    assert few_tokens.pays([20] * 16, [100] * 16, 384, 8)
    assert few_tokens.pays([250, 50] * 8, [35, 5] * 8, 384, 8), "padding is no work"
    assert not few_tokens.pays([250] * 16, [35] * 16, 384, 8)
    assert not few_tokens.pays([100] * 16, [100] * 16, 384, 8)
    assert not few_tokens.pays([84], [16], 384, 8), "too little work"
    assert not few_tokens.pays([100] * 16, [20] * 15 + [0], 384, 8)
    assert not few_tokens.pays([], [], 384, 8)
    x = torch.empty(1, 16, 100, 384)
    assert few_tokens.fits(x)
    assert not few_tokens.fits(x.expand(2, -1, -1, -1)), "several runs"
    assert not few_tokens.fits(x.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert not few_tokens.fits(x)
