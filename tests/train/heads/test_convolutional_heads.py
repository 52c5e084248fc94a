"""Convolutions with a run dimension, normalisation over real frames, and the heads that are built of them."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.train.heads import timnet
from ser.train.heads._base import build_head
from ser.train.heads._spectrogram import in_pieces, middle_frames
from ser.train.nn import convolution, norms
from ser.train.nn.layers import Feature, Input

MEL = Input("mel", "audio", 20, True)
PICTURES = ("resnet18", "cnn2d", "cnn_bilstm")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def sequences(lengths: list[list[int]], dim: int = 20) -> Feature:
    """Random frames `(runs, batch, frames, dim)` of given lengths, zero in padding."""
    mask = torch.arange(max(map(max, lengths))) < torch.tensor(lengths)[..., None]
    return Feature(torch.randn(*mask.shape, dim) * mask[..., None], mask)


def pictures(lengths: list[list[int]], channels: int, bands: int = 5) -> Feature:
    values, mask = sequences(lengths, channels * bands)
    return Feature(values.unflatten(-1, (channels, bands)).transpose(2, 3).contiguous(), mask)


def stacked(heads: list[nn.Module]) -> nn.Module:
    """One head of several runs from heads of one run, as the trainer makes it."""
    first, *_ = heads
    for key, parameter in list(first.named_parameters()):
        parameter.data = torch.cat([dict(h.named_parameters())[key].data for h in heads])
    return first


@pytest.mark.parametrize(
    ("taps", "dilation", "pad"), [((-1, 0, 1), 1, (1, 1)), ((-4, 0), 4, (4, 0)), ((0, 3), 3, (0, 3)), ((0,), 1, (0, 0))]
)
def test_conv1d_is_torch_conv1d_run_by_run(taps: tuple[int, ...], dilation: int, pad: tuple[int, int]) -> None:
    layer = stacked([convolution.Conv1d(6, 4, taps) for _ in range(3)])
    x, mask = sequences([[9, 9], [9, 9], [9, 9]], 6)
    for r in range(3):
        weight = layer.linear.weight[r].view(len(taps), 6, 4).permute(2, 1, 0)  # type: ignore[union-attr,operator,index]
        bias = layer.linear.bias[r, 0]  # type: ignore[union-attr,index]
        expected = F.conv1d(F.pad(x[r].transpose(1, 2), pad), weight, bias, dilation=dilation)
        torch.testing.assert_close(layer(x, mask)[r], expected.transpose(1, 2))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (1, 2), (7, 2)])
def test_conv2d_is_torch_conv2d_run_by_run(kernel: int, stride: int) -> None:
    layer = stacked([convolution.Conv2d(2, 3, kernel, stride) for _ in range(3)])
    x, _ = pictures([[11, 11]] * 3, 2)
    for r in range(3):
        reference = nn.Conv2d(2, 3, kernel, stride, padding=kernel // 2, bias=False)
        reference.weight.data = layer.weight.data[r]  # type: ignore[union-attr,index,assignment]
        torch.testing.assert_close(layer(x)[r], reference(x[r]))
        assert reference(x[r]).shape[2:] == (-(-11 // stride), -(-5 // stride))  # ceil(n / stride), as the mask has


def test_initial_convolutions_have_the_range_of_torch() -> None:
    ours, reference = convolution.Conv2d(16, 64).weight, nn.Conv2d(16, 64, 3).weight
    assert abs(float((ours.std() / reference.std()).detach()) - 1) < 0.03
    assert float(ours.detach().abs().max()) <= 1 / 12


def test_batch_norm_without_padding_is_that_of_torch() -> None:
    layer, reference = norms.BatchNorm(3), nn.BatchNorm2d(3)
    for p, q in zip(layer.parameters(), reference.parameters(), strict=True):
        p.data.uniform_(0.5, 2)
        q.data = p.data.flatten().clone()
    for _ in range(3):  # training, with running statistics
        x, mask = pictures([[6] * 4], 3)
        x = (x * 3 + 5).requires_grad_()
        y = x.detach()[0].requires_grad_()
        out, expected = layer(x, mask), reference(y)
        torch.testing.assert_close(out[0], expected)
        cost = torch.randn_like(expected)
        for p in (*layer.parameters(), *reference.parameters()):
            p.grad = None
        (out[0] * cost).sum().backward()
        (expected * cost).sum().backward()
        torch.testing.assert_close(x.grad[0], y.grad, rtol=1e-4, atol=1e-5)  # type: ignore[index]
        for p, q in zip(layer.parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(p.grad.flatten(), q.grad, rtol=1e-4, atol=1e-5)  # type: ignore[union-attr]
    torch.testing.assert_close(layer.running_mean.flatten(), reference.running_mean)
    torch.testing.assert_close(layer.running_var.flatten(), reference.running_var)
    x, mask = pictures([[6] * 4], 3)
    torch.testing.assert_close(layer.eval()(x, mask)[0], reference.eval()(x[0]))


def test_batch_norm_with_padding_is_that_of_the_real_frames_alone() -> None:
    lengths = [6, 2, 4]
    layer, reference = norms.BatchNorm(3), nn.BatchNorm2d(3)
    x, mask = pictures([lengths], 3)
    x = x + 7  # what padding holds must not matter
    out = layer(x, mask)
    expected = reference(torch.cat([u[:, :n] for u, n in zip(x[0], lengths, strict=True)], dim=1)[None])
    found = torch.cat([u[:, :n] for u, n in zip(out[0], lengths, strict=True)], dim=1)[None]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(layer.running_var.flatten(), reference.running_var)
    assert not out[0, 1, :, 2:].any()


def test_batch_norm_of_one_value_is_its_bias() -> None:
    layer = norms.BatchNorm(2)
    out = layer(torch.full((1, 1, 2, 1, 1), 3.0), torch.ones(1, 1, 1, dtype=torch.bool))
    torch.testing.assert_close(out, torch.zeros_like(out))
    assert bool(layer.running_var.isfinite().all())


def test_group_norm_is_that_of_torch_for_each_utterance_alone() -> None:
    layer = stacked([norms.GroupNorm(16) for _ in range(2)])
    for p in layer.parameters():
        p.data = torch.randn(2, 16)
    x, mask = pictures([[6, 2], [3, 5]], 16)
    out = layer(x + 2, mask)
    for r, lengths in enumerate([[6, 2], [3, 5]]):
        for b, n in enumerate(lengths):
            expected = F.group_norm(x[r, b, :, :n][None] + 2, 8, layer.weight[r], layer.bias[r])  # type: ignore[index]
            torch.testing.assert_close(out[r, b, :, :n][None], expected)
            assert not out[r, b, :, n:].any()


def test_the_gradient_of_standardising_is_right() -> None:
    x, mask = pictures([[4, 2]], 3)
    real = mask[:, :, None, :, None].double()

    def standardised(values: Tensor) -> Tensor:
        return norms.standardise(values, real, (1, 3, 4), 1e-5)

    assert torch.autograd.gradcheck(standardised, (x.double().requires_grad_(),))


@pytest.mark.parametrize("kernel", [2, 3])
def test_halving_takes_the_largest_of_each_cell(kernel: int) -> None:
    x = torch.rand(1, 2, 3, 5, 7)
    small, mask = convolution.halve(x, torch.ones(1, 2, 5, dtype=torch.bool), kernel)
    assert small.shape == (1, 2, 3, 3, 4)
    assert mask.shape == (1, 2, 3)
    before = kernel // 3
    for t in range(3):
        for f in range(4):
            rows = slice(max(0, 2 * t - before), 2 * t - before + kernel)
            columns = slice(max(0, 2 * f - before), 2 * f - before + kernel)
            torch.testing.assert_close(small[..., t, f], x[..., rows, columns].amax((-1, -2)))


@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("frames", [3, 4])
def test_a_halved_utterance_is_the_same_alone_and_beside_a_longer_one(kernel: int, frames: int) -> None:
    x, mask = pictures([[frames, 9]], 2)
    short = x[:, :1, :, :frames]
    alone, _ = convolution.halve(short, mask[:, :1, :frames], kernel)
    beside, there = convolution.halve(x, mask, kernel)
    assert torch.equal(beside[:, :1, :, :2], alone)
    assert not beside[:, 0, :, 2:].any()
    assert there.sum(-1).tolist() == [[2, 5]]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_normalisation_of_padded_pictures_is_that_of_their_real_cells(layout: torch.memory_format) -> None:
    values, mask = pictures([[6, 2, 4]], 3)
    there = mask[0]
    x = (values[0].double() + 3 * torch.randn(3, 3, 6, 5).double()).contiguous(memory_format=layout)  # not zero in padding
    weight, bias = torch.randn(3).double(), torch.randn(3).double()
    inputs = [v.requires_grad_() for v in (x, weight, bias)]

    def by_cells(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        cells = x.transpose(1, 2)[there].transpose(1, 2).flatten(0, 1)  # real frames and bands, then channels
        y = F.batch_norm(cells, None, None, weight, bias, training=True)
        out = torch.zeros_like(x).transpose(1, 2)
        out[there] = y.view(-1, 5, 3).transpose(1, 2)
        return out.transpose(1, 2)

    def ours(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return norms.normalise(x, there, weight, bias, 1e-5)[0]

    torch.testing.assert_close(ours(*inputs), by_cells(*inputs))
    upstream = torch.randn_like(x)  # not zero in padding either
    for mine, reference in zip(
        torch.autograd.grad(ours(*inputs), inputs, upstream),
        torch.autograd.grad(by_cells(*inputs), inputs, upstream),
        strict=True,
    ):
        torch.testing.assert_close(mine, reference)


def test_a_temporal_block_sees_three_frames_and_only_back() -> None:
    block = timnet.TemporalBlock(4, -3, 0.0).eval()
    assert reached([block]) == [14, 17, 20]
    assert reached([timnet.TemporalBlock(4, 3, 0.0).eval()]) == [20, 23, 26]


def test_blocks_of_growing_dilation_see_every_frame_back_to_their_reach() -> None:
    assert reached([timnet.TemporalBlock(4, -(2**j), 0.0).eval() for j in range(3)]) == list(range(20 - 2 * 7, 21))


def reached(blocks: list[timnet.TemporalBlock]) -> list[int]:
    """Frames of 40 on which the output at frame 20 depends."""
    x, mask = sequences([[40]] * 1, 4)
    for block in blocks:
        for norm in block.norm:
            norm.bias.data.fill_(1.0)  # type: ignore[union-attr,operator]  # few ReLUs are shut
    x = x.requires_grad_()
    y = x
    for block in blocks:
        y = block(y, mask)
    (gradient,) = torch.autograd.grad(y[0, 0, 20].sum(), x)
    return torch.nonzero(gradient[0, 0].abs().sum(-1)).flatten().tolist()


def test_looking_ahead_is_looking_back_in_the_reversed_sequence() -> None:
    back, ahead = timnet.TemporalBlock(5, -2, 0.0).eval(), timnet.TemporalBlock(5, 2, 0.0).eval()
    ahead.load_state_dict(back.state_dict())
    x, mask = sequences([[11, 11]], 5)
    torch.testing.assert_close(ahead(x, mask), back(x.flip(2), mask).flip(2))


def test_timnet_drops_whole_features() -> None:
    block = timnet.TemporalBlock(6, -1, 0.5).train()
    block.dropout.generators = [torch.Generator().manual_seed(1)]
    x = torch.ones(1, 3, 50, 6)
    gate = torch.logit(block(x, torch.ones(1, 3, 50, dtype=torch.bool)))[:, :, 2:]  # of like frames
    assert torch.equal((gate.abs() < 1e-6).all(2), (gate.abs() < 1e-6).any(2))


def test_resnet18_has_the_shapes_and_the_size_of_the_paper() -> None:
    head = build_head("resnet18", [MEL._replace(dim=64)], 4, {}, 0).eval()
    # Table 1 of the paper without its last layer, and one input channel for three: 11,176,512 - 2 x 64 x 49.
    assert sum(p.numel() for p in head.parameters()) == 11_176_512 - 2 * 64 * 49 + 4 * 512 + 4
    shapes: list[tuple[int, ...]] = []

    def note(module: nn.Module, arguments: Any, output: tuple[Tensor, Tensor]) -> None:
        shapes.append(tuple(output[0].shape[2:]))

    for block in head.stages:  # type: ignore[union-attr]
        block.register_forward_hook(note)
    assert head({"mel": sequences([[300]], 64)}).shape == (1, 1, 4)
    stages = [(64, 75, 16), (128, 38, 8), (256, 19, 4), (512, 10, 2)]
    assert shapes == [shape for shape in stages for _ in range(2)]


def test_cnn2d_has_its_layers() -> None:
    head = build_head("cnn2d", [MEL._replace(dim=64)], 4, {}, 0).eval()
    assert [layer.convolve.weight.shape[1] for layer in head.layers] == [32, 64, 128, 128]  # type: ignore[union-attr]
    x, mask = sequences([[100, 40]], 64)
    maps, there = head.maps(x[:, :, None], mask)  # type: ignore[operator]
    assert maps.shape == (1, 2, 128, 7, 4)
    assert there.sum(-1).tolist() == [[7, 3]]


@pytest.mark.parametrize("name", [*PICTURES, "timnet"])
def test_padding_of_real_size_has_no_effect(name: str) -> None:
    head = build_head(name, [MEL], 4, {"hidden": 8}, 0)
    values, mask = sequences([[97, 2, 12, 24, 33]])
    if name in ("resnet18", "cnn_bilstm"):  # running statistics other than those of the first moment
        head.dropout.p = 0.0  # type: ignore[union-attr,assignment]
        head.train()({"mel": Feature(values * 2 + mask[..., None], mask)})
    head.eval()
    together = head({"mel": Feature(values, mask)})
    for b, n in enumerate([97, 2, 12, 24, 33]):
        alone = head({"mel": Feature(values[:, b : b + 1, :n], mask[:, b : b + 1, :n])})
        torch.testing.assert_close(together[:, b : b + 1], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["cnn2d", "timnet"])
def test_stacked_runs_are_the_runs_alone(name: str) -> None:
    singles = [build_head(name, [MEL], 4, {"hidden": 8}, seed).eval() for seed in range(3)]
    batch = {"mel": sequences([[30, 7], [12, 25], [30, 30]])}
    alone = [
        s({"mel": Feature(batch["mel"].values[r : r + 1], batch["mel"].mask[r : r + 1])})  # type: ignore[index]
        for r, s in enumerate(singles)
    ]
    torch.testing.assert_close(stacked(singles)(batch), torch.cat(alone))


@pytest.mark.parametrize("name", [*PICTURES, "timnet"])
def test_a_batch_of_one_utterance_of_two_frames_trains(name: str) -> None:
    head = build_head(name, [MEL], 4, {"hidden": 8, "dropout": 0.0}, 0).train()
    logits = head({"mel": sequences([[2]])})
    logits.square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in head.parameters() if p.grad is not None)
    assert bool(logits.isfinite().all())


@pytest.mark.parametrize("name", PICTURES)
def test_long_utterances_are_read_in_the_middle(name: str) -> None:
    head = build_head(name, [MEL], 4, {"hidden": 8, "frames": 20}, 0).eval()
    values, mask = sequences([[31, 12]])
    found = head({"mel": Feature(values, mask)})
    long = head({"mel": Feature(values[:, :1, 5:25], mask[:, :1, 5:25])})
    short = head({"mel": Feature(values[:, 1:, :12], mask[:, 1:, :12])})
    torch.testing.assert_close(found, torch.cat([long, short], dim=1), rtol=1e-5, atol=1e-6)


def test_the_middle_of_short_utterances_is_all_of_them() -> None:
    x, mask = sequences([[9, 4, 6]], 1)
    cut, there = middle_frames(x, mask, 5)
    assert there.sum(-1).tolist() == [[5, 4, 5]]
    torch.testing.assert_close(cut[0, 0], x[0, 0, 2:7])
    torch.testing.assert_close(cut[0, 1, :4], x[0, 1, :4])
    torch.testing.assert_close(cut[0, 2], x[0, 2, :5])


def test_pieces_join_in_order_and_are_no_longer_than_they_need_be() -> None:
    x, mask = sequences([[3, 4, 9, 2, 5]], 1)
    longest: list[int] = []

    def total(piece: Tensor, there: Tensor) -> Tensor:
        longest.append(piece.shape[2])
        return piece.sum((2, 3))

    torch.testing.assert_close(in_pieces(total, x, mask, size=2), x.sum((2, 3)))
    assert longest == [4, 9, 5]


WORDS = Input("words", "text", 1, True, vocabulary=11)


FACES = Input("faces", "visual", 7, True)
SMALL = {"hidden": 8, "feed": 16, "heads": 2}


def dialogue(lengths: dict[str, list[int]]) -> dict[str, Feature]:
    found = {n: sequences([lengths[n]], {"mel": 20, "faces": 7, "words": 1}[n]) for n in lengths}
    found["words"] = found["words"]._replace(values=found["words"].values.abs().mul(5).clamp_max(10).int())
    return found


@pytest.mark.parametrize("inputs", [[WORDS], [WORDS, MEL], [WORDS, FACES], [FACES, MEL, WORDS]])
def test_text_centred_takes_what_modalities_there_are_and_padding_has_no_effect(inputs: list[Input]) -> None:
    head = build_head("text_centred", inputs, 4, SMALL, 0).eval()
    lengths = {"words": [5, 2], "mel": [30, 11], "faces": [4, 9]}
    batch = dialogue({i.name: lengths[i.name] for i in inputs})
    together = head(batch)
    assert together.shape == (1, 2, 4)
    for b in range(2):
        alone = {
            n: Feature(f.values[:, b : b + 1, : lengths[n][b]], f.mask[:, b : b + 1, : lengths[n][b]])  # type: ignore[index]
            for n, f in batch.items()
        }
        torch.testing.assert_close(together[:, b : b + 1], head(alone), rtol=1e-5, atol=1e-6)
    together.square().sum().backward()
    assert all(p.grad is not None for p in head.parameters())


def test_text_centred_looks_into_audio_and_visual() -> None:
    head = build_head("text_centred", [WORDS, MEL, FACES], 4, SMALL, 0).eval()
    batch = dialogue({"words": [5], "mel": [9], "faces": [4]})
    before = head(batch)
    for name in ("mel", "faces"):
        changed = {**batch, name: batch[name]._replace(values=batch[name].values * 2)}
        assert not torch.allclose(head(changed), before, atol=1e-4)


def test_text_centred_says_which_numbers_of_heads_fit() -> None:
    with pytest.raises(ConfigError, match="a divisor of 16"):
        build_head("text_centred", [WORDS], 4, {"hidden": 8, "heads": 3}, 0)
