"""Layers with a run dimension do for each run what their namesakes in torch.nn do for one."""

import pytest
import torch
from torch import nn

from ser.train.nn import layers
from ser.train.nn.attention import Attention
from ser.train.nn.layers import Feature, Input
from ser.train.nn.sequences import Packing, mean
from ser.train.nn.streams import bits, generator


def stacked(make: object, runs: int = 3) -> tuple[nn.Module, list[nn.Module]]:
    """A layer of several runs, and the single-run layers whose weights it has."""
    singles = [make() for _ in range(runs)]  # type: ignore[operator]
    layer = make()  # type: ignore[operator]
    for name, parameter in layer.named_parameters():
        parameter.data = torch.cat([dict(s.named_parameters())[name].data for s in singles])
    return layer, singles


def test_linear_is_torch_linear_run_by_run() -> None:
    layer, singles = stacked(lambda: layers.Linear(5, 7))
    x = torch.randn(3, 4, 6, 5)
    for r, single in enumerate(singles):
        reference = nn.functional.linear(x[r], single.weight[0].T, single.bias[0, 0])  # type: ignore[index,union-attr]
        torch.testing.assert_close(layer(x)[r], reference)


def test_vectors_that_lie_side_by_side_are_concatenated_without_a_copy() -> None:
    block = torch.randn(2, 3, 9)
    parts = block.split([4, 5], dim=-1)
    found = layers.concatenate(parts)
    assert torch.equal(found, block)
    assert found.data_ptr() == block.data_ptr()
    for others in (parts[::-1], [parts[0], parts[1].clone()], [parts[0], parts[0]], parts[:1], [p * 2 for p in parts]):
        assert torch.equal(layers.concatenate(others), torch.cat(list(others), dim=-1))
    learned = [part.clone().requires_grad_() for part in parts]
    layers.concatenate(learned).sum().backward()
    assert all(torch.equal(part.grad, torch.ones_like(part)) for part in learned if part.grad is not None)
    assert all(part.grad is not None for part in learned)


def test_initial_weights_have_the_range_of_torch_linear() -> None:
    torch.manual_seed(0)
    weight = layers.Linear(400, 300).weight.detach()
    reference = nn.Linear(400, 300).weight.detach()
    assert abs(float(weight.std() / reference.std()) - 1) < 0.02
    assert float(weight.abs().max()) <= 1 / 20 + 1e-8  # the bound as a float32


def test_layer_norm_is_torch_layer_norm() -> None:
    layer = layers.LayerNorm(6)
    layer.weight.data, layer.bias.data = torch.randn(2, 6), torch.randn(2, 6)
    x = torch.randn(2, 3, 4, 6)
    for r in range(2):
        reference = nn.functional.layer_norm(x[r], (6,), layer.weight[r], layer.bias[r])
        torch.testing.assert_close(layer(x)[r], reference)


def test_layer_norm_of_large_runs_is_torch_s_and_the_same_bits_alone() -> None:
    """There the runs go one after another, with torch's own weights."""
    layer = layers.LayerNorm(64)
    weight, bias, x = torch.randn(3, 64), torch.randn(3, 64), torch.randn(3, 4, 32, 64)
    assert x[0].numel() > layers.LARGE > x[0, 0].numel()
    pulls, found = torch.randn(3, 4, 32, 64), []
    for runs in (slice(0, 3), slice(1, 2)):
        layer.weight, layer.bias = (nn.Parameter(v[runs].clone()) for v in (weight, bias))
        inputs = x[runs].clone().requires_grad_()
        out = layer(inputs)
        (out * pulls[runs]).sum().backward()
        found.append((out, inputs.grad, layer.weight.grad, layer.bias.grad))
    torch.testing.assert_close(found[0][0][1], nn.functional.layer_norm(x[1], (64,), weight[1], bias[1]))
    assert all(torch.equal(a[1], b[0]) for a, b in zip(*found, strict=True))
    assert layer(x[1:2].bfloat16()).dtype == torch.float32  # what autocast gave in less is whole again


@pytest.mark.parametrize("packed", [False, True])
def test_attention_needs_no_mask_where_nothing_is_padded(packed: bool) -> None:
    layer = Attention(8, 2)
    x, source = torch.randn(1, 3, 4, 8), torch.randn(1, 3, 5, 8)
    mask = torch.ones(1, 3, 5, dtype=torch.bool)
    longer = torch.cat([source, torch.randn(1, 3, 1, 8)], 2)  # of which the last is padding, so that the mask is used
    padded = torch.cat([mask, torch.zeros(1, 3, 1, dtype=torch.bool)], 2)
    packing = Packing(padded) if packed else None
    given = longer if packing is None else packing.pack(longer)
    torch.testing.assert_close(layer(x, source, mask), layer(x, given, padded, source_packing=packing))


def test_attention_is_torch_multihead_attention() -> None:
    layer = Attention(8, 2)
    reference = nn.MultiheadAttention(8, 2, batch_first=True)
    parts = (layer.query, layer.key, layer.value)
    reference.in_proj_weight.data = torch.cat([p.weight[0].T for p in parts if p is not None])
    reference.in_proj_bias.data = torch.cat([p.bias[0, 0] for p in parts if p is not None])
    reference.out_proj.weight.data, reference.out_proj.bias.data = layer.output.weight[0].T, layer.output.bias[0, 0]
    x, source = torch.randn(1, 3, 4, 8), torch.randn(1, 3, 5, 8)
    mask = torch.arange(5) < torch.tensor([[5], [2], [1]])
    expected, _ = reference(x[0], source[0], source[0], key_padding_mask=~mask)
    torch.testing.assert_close(layer(x, source, mask[None])[0], expected)


def test_attention_over_one_key_is_the_full_attention_without_queries_and_keys() -> None:
    full, single = Attention(8, 2), Attention(8, 2, single=True)
    single.value.load_state_dict(full.value.state_dict())
    single.output.load_state_dict(full.output.state_dict())
    x, source = torch.randn(1, 3, 4, 8), torch.randn(1, 3, 1, 8)
    torch.testing.assert_close(single(x, source, None), full(x, source, torch.ones(1, 3, 1, dtype=torch.bool)))
    assert sum(p.numel() for p in single.parameters()) * 2 == sum(p.numel() for p in full.parameters())


def test_dropout_is_each_run_s_own_and_keeps_the_mean() -> None:
    layer = layers.Dropout(0.25)
    x = torch.ones(3, 100, 200)
    layer.generators = [generator(s, "dropout") for s in (1, 2, 3)]
    together = layer(x)
    layer.generators = [generator(2, "dropout")]
    torch.testing.assert_close(layer(x[:1])[0], together[1], rtol=0, atol=0)
    assert abs(float(together.mean()) - 1) < 0.01
    assert together.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert torch.equal(layer.eval()(x), x)


def test_entering_embeds_ids_and_weighs_layers() -> None:
    words = layers.Enter(Input("w", "text", 1, True, vocabulary=9), embedding=4)
    ids = torch.tensor([[[[1], [8], [0]]]])
    torch.testing.assert_close(words(Feature(ids, None))[0, 0], words.embedding.weight[0, [1, 8, 0]])  # type: ignore[union-attr,index]
    deep = layers.Enter(Input("d", "audio", 5, False, layers=3))
    deep.weights.data = torch.tensor([[0.0, 1.0, -2.0]])  # type: ignore[union-attr]
    x = torch.randn(1, 2, 3, 5)
    expected = (torch.softmax(torch.tensor([0.0, 1.0, -2.0]), 0)[:, None] * x[0, 1]).sum(0)
    torch.testing.assert_close(deep(Feature(x, None))[0, 1], expected)


def test_mean_counts_real_frames_only() -> None:
    x = torch.randn(1, 2, 4, 3)
    mask = torch.tensor([[[True, True, False, False], [True, True, True, True]]])
    torch.testing.assert_close(mean(x, mask)[0, 0], x[0, 0, :2].mean(0))
    torch.testing.assert_close(mean(x, mask)[0, 1], x[0, 1].mean(0))
    assert mean(x, None) is x


def test_dropout_from_raw_bits_has_its_rate_and_is_each_run_s_own() -> None:
    layer = layers.Dropout(0.25)
    x = torch.ones(3, 101, 199)  # no multiple of the four numbers of a draw
    layer.generators = [bits(s, "dropout") for s in (1, 2, 3)]
    together = layer(x)
    layer.generators = [bits(2, "dropout")]
    assert torch.equal(layer(x[:1])[0], together[1])
    assert not torch.equal(together[0], together[1])
    assert together.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert ((together == 0).double().mean((1, 2)) - 0.25).abs().max() < 0.01
