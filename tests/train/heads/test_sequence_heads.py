"""Heads over sequences, and what they are made of, against plain loops and torch's own layers."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.train.heads._base import build_head, plugin
from ser.train.nn.attention import Attention
from ser.train.nn.layers import Dropout, Feature, Input
from ser.train.nn.pooling import FLOOR, AttentiveStatistics
from ser.train.nn.sequences import run_lstms
from ser.train.nn.transformer import Layer, Positions, Tokens, Transformer, patches, sinusoids

AUDIO = Input("a", "audio", 6, True)
TEXT = Input("t", "text", 1, True, vocabulary=30)
HEADS = {"gated": [AUDIO, TEXT], "text_transformer": [TEXT], "audio_transformer": [AUDIO], "patch_attention": [TEXT, AUDIO]}
SMALL = {"gated": {"hidden": 16}, "text_transformer": {"hidden": 16}, "audio_transformer": {"hidden": 16, "patch": 3}}
SMALL["patch_attention"] = {"hidden": 16, "patch": 3, "cross": 2}


def made(name: str, seed: int = 0, inputs: list[Input] | None = None) -> nn.Module:
    return build_head(name, inputs or HEADS[name], 4, SMALL[name], seed).eval()


def stack(heads: list[nn.Module]) -> nn.Module:
    """One head that holds the weights of all, as the trainer makes it."""
    together = heads[0]
    for name, parameter in list(together.named_parameters()):
        parameter.data = torch.cat([dict(h.named_parameters())[name].data for h in heads])
    return together


def sequences(runs: int, lengths: list[int], padded: int = 0) -> dict[str, Feature]:
    """Audio frames and, of the lengths the other way round, word pieces; zero in padding."""
    random = torch.Generator().manual_seed(1)
    batch = {}
    for source, counts in ((AUDIO, lengths), (TEXT, lengths[::-1])):
        mask = (torch.arange(max(lengths) + padded) < torch.tensor(counts)[:, None]).expand(runs, -1, -1)
        values = torch.randn(runs, len(lengths), max(lengths), source.dim, generator=random)
        if source.vocabulary:
            values = torch.randint(1, 30, values.shape, generator=random)
        values = nn.functional.pad(values, (0, 0, 0, padded))
        batch[source.name] = Feature(values * mask[..., None], mask)
    return batch


def randomised(layer: nn.Module) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.4)
    return layer


def test_attentive_statistics_are_those_of_a_plain_loop() -> None:
    pool = randomised(AttentiveStatistics(5, 7))
    x, lengths = torch.randn(1, 3, 6, 5), [6, 2, 1]
    mask = (torch.arange(6) < torch.tensor(lengths)[:, None])[None]
    found = pool(x, mask)
    for b, length in enumerate(lengths):
        frames = x[0, b, :length].detach().double().numpy()
        w, bias = (p.detach()[0].double().numpy() for p in (pool.hidden.weight, pool.hidden.bias))
        v = pool.score.weight.detach()[0].double().numpy()
        scores = [math.exp(sum(v[j] * math.tanh(h @ w[:, j] + bias[0, j]) for j in range(7))) for h in frames]
        alpha = [s / sum(scores) for s in scores]
        mean = sum(a * h for a, h in zip(alpha, frames, strict=True))
        square = sum(a * h * h for a, h in zip(alpha, frames, strict=True))
        expected = np.concatenate([mean, np.sqrt(square - mean * mean + FLOOR)])
        np.testing.assert_allclose(found[0, b].detach().numpy(), expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(pool.weights(x, mask)[0, b, :length].detach().numpy(), alpha, rtol=1e-4)


def test_statistics_of_one_frame_are_the_frame_and_a_constant() -> None:
    """So the gated head pools nothing where features are pooled."""
    pool, x = randomised(AttentiveStatistics(5, 7)), torch.randn(2, 3, 1, 5, requires_grad=True)
    pool = stack([pool, randomised(AttentiveStatistics(5, 7))])
    found = pool(x, torch.ones(2, 3, 1, dtype=torch.bool))
    torch.testing.assert_close(found[..., :5], x[:, :, 0])
    torch.testing.assert_close(found[..., 5:], torch.full((2, 3, 5), FLOOR**0.5))
    found.sum().backward()
    assert bool(x.grad is not None and x.grad.isfinite().all())


def test_equal_scores_give_the_mean_and_the_standard_deviation_of_the_population() -> None:
    pool, x = AttentiveStatistics(5, 7), torch.randn(1, 2, 9, 5)
    nn.init.zeros_(pool.score.weight)
    found = pool(x, torch.ones(1, 2, 9, dtype=torch.bool))
    torch.testing.assert_close(found, torch.cat([x.mean(2), x.std(2, correction=0)], dim=-1), rtol=1e-5, atol=1e-5)


def test_sinusoids_are_those_of_the_paper() -> None:
    found = sinusoids(50, 7)
    assert found.shape == (50, 7)
    for t in (0, 1, 49):
        for i in range(7):
            angle = t / 10000 ** ((i - i % 2) / 7)
            assert float(found[t, i]) == pytest.approx(math.cos(angle) if i % 2 else math.sin(angle), abs=1e-5)


def test_positions_make_order_matter_and_their_absence_does_not() -> None:
    forwards = sequences(1, [6])
    values, mask = forwards["t"]
    backwards = {"t": Feature(values.flip(2), mask)}
    for kind, matters in (("sinusoidal", True), ("learned", True), ("none", False)):
        head = build_head("text_transformer", [TEXT], 4, {"hidden": 16, "positions": kind}, 0).eval()
        assert torch.allclose(head(forwards), head(backwards), atol=1e-5) is not matters, kind


def test_learned_positions_have_an_end_and_unknown_kinds_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="at most 4 tokens"):
        Positions("learned", 3, longest=4)(torch.zeros(1, 1, 5, 3))
    with pytest.raises(ConfigError, match="Did you mean 'learned'"):
        Positions("learnt", 3)
    with pytest.raises(ConfigError, match="Did you mean 'post'"):
        Layer(4, 2, 0.0, norm="posts")
    with pytest.raises(ConfigError, match="a multiple of 3"):
        Attention(8, 3)


def torch_layer(layer: Layer, norm: str) -> nn.TransformerEncoderLayer:
    """The layer of torch.nn with the same weights."""
    reference = nn.TransformerEncoderLayer(8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=norm == "pre")
    attention = layer.attention
    parts = [p for p in (attention.query, attention.key, attention.value) if p is not None]
    reference.self_attn.in_proj_weight.data = torch.cat([p.weight[0].T for p in parts])
    reference.self_attn.in_proj_bias.data = torch.cat([p.bias[0, 0] for p in parts])
    linears = ((attention.output, reference.self_attn.out_proj), (layer.widen, reference.linear1))
    for ours, theirs in (*linears, (layer.narrow, reference.linear2)):
        theirs.weight.data, theirs.bias.data = ours.weight[0].T, ours.bias[0, 0]
    for ours, theirs in ((layer.norm, reference.norm1), (layer.last_norm, reference.norm2)):
        theirs.weight.data, theirs.bias.data = ours.weight[0], ours.bias[0]
    return reference


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_layer_is_torch_s_transformer_encoder_layer(norm: str) -> None:
    layer = randomised(Layer(8, 2, 0.0, norm))
    assert isinstance(layer, Layer)
    x = torch.randn(1, 3, 5, 8)
    mask = torch.arange(5) < torch.tensor([[5], [3], [1]])
    expected = torch_layer(layer, norm)(x[0], src_key_padding_mask=~mask)
    torch.testing.assert_close(layer(x, mask[None])[0][mask], expected[mask], rtol=1e-4, atol=1e-5)


def test_a_pre_norm_encoder_ends_with_a_norm() -> None:
    x, mask = torch.randn(1, 2, 4, 8), torch.ones(1, 2, 4, dtype=torch.bool)
    out = Transformer(8, 2, 2, 0.0, "pre")(x, mask)
    torch.testing.assert_close(out.mean(-1), torch.zeros(1, 2, 4), atol=1e-5, rtol=0)
    assert Transformer(8, 2, 2, 0.0, "post").norm is None


def test_patches_lay_frames_side_by_side_and_the_last_is_filled_with_zeros() -> None:
    x = torch.arange(1.0, 11.0).view(1, 1, 5, 2)
    mask = torch.tensor([[[True, True, True, True, False]]])
    found, real = patches(x, mask, 3)
    assert found[0, 0].tolist() == [[1, 2, 3, 4, 5, 6], [7, 8, 0, 0, 0, 0]]
    assert real[0, 0].tolist() == [True, True]
    assert patches(x, torch.tensor([[[True, True, True, False, False]]]), 3)[1][0, 0].tolist() == [True, False]


def test_tokens_of_ids_do_not_see_the_vector_of_padding() -> None:
    tokens = Tokens(TEXT, 8, 0.0, "none", patch=2)
    values, mask = sequences(1, [3, 4])["t"]
    x, real = tokens(Feature(values, mask))
    assert tokens.enter.embedding is not None
    tokens.enter.embedding.weight.data[0, 0] += 5  # id 0, as padding has
    torch.testing.assert_close(tokens(Feature(values, mask))[0][real], x[real])


@pytest.mark.parametrize("name", sorted(HEADS))
def test_padding_of_any_length_has_no_effect(name: str) -> None:
    """Longer sequences than the generic test has: several patches, the last one broken off."""
    head = made(name)
    expected = head(sequences(1, [11, 4, 7]))
    for padded in (1, 2, 5):
        torch.testing.assert_close(head(sequences(1, [11, 4, 7], padded)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_a_stack_of_heads_is_each_head_by_itself(name: str) -> None:
    batch = sequences(3, [8, 3, 5, 6])
    rows = [
        {n: Feature(f.values[r : r + 1], f.mask[r : r + 1]) for n, f in batch.items() if f.mask is not None} for r in range(3)
    ]
    alone = [made(name, seed)(row) for seed, row in enumerate(rows)]
    together = stack([made(name, seed) for seed in range(3)])(batch)
    for r in range(3):
        torch.testing.assert_close(together[r : r + 1], alone[r], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_logits_are_made_from_the_embedding(name: str) -> None:
    head, batch = made(name), sequences(1, [8, 3])
    embedding = head.embed(batch)  # type: ignore[operator]
    assert embedding.ndim == 3
    torch.testing.assert_close(head.output(embedding), head(batch))  # type: ignore[operator]


def test_gates_add_up_to_one_and_are_sigmoids_over_their_sum() -> None:
    head, batch = made("gated"), sequences(1, [8, 3, 5])
    gates = head.gates(batch)  # type: ignore[operator]
    torch.testing.assert_close(gates.sum(-1), torch.ones(1, 3))
    projected = head._projected(batch)  # type: ignore[operator]
    sigmoids = torch.stack([torch.sigmoid(g(projected[:, :, k])) for k, g in enumerate(head.gate)], dim=-1)  # type: ignore[arg-type]
    torch.testing.assert_close(gates, sigmoids / sigmoids.sum(-1, keepdim=True))
    for gate in head.gate:  # type: ignore[union-attr]
        gate.score.bias.data -= 1000  # where sigmoids underflow, gates still add up to 1
    torch.testing.assert_close(head.gates(batch).sum(-1), torch.ones(1, 3))  # type: ignore[operator]


def test_one_store_needs_neither_gates_nor_cross_attention() -> None:
    head, batch = made("gated", inputs=[AUDIO]), sequences(1, [8, 3])
    assert not head.cross  # type: ignore[truthy-bool]
    assert not head.gate  # type: ignore[truthy-bool]
    assert head.gates(batch).tolist() == [[[1.0], [1.0]]]  # type: ignore[operator]


def test_gated_fusion_of_pooled_features_is_that_of_sequences_of_one() -> None:
    """The simplified form equals the full one: framewise weights copied, queries, keys and pooling left out."""
    full = [Input("a", "audio", 6, True), Input("b", "text", 5, True)]
    pooled = [i._replace(framewise=False) for i in full]
    long, short = (build_head("gated", inputs, 4, {"hidden": 16}, 3).eval() for inputs in (full, pooled))
    state = long.state_dict()
    for k, i in enumerate(full):  # the constant standard deviation of one frame joins the bias
        weight, bias = (f"project.{k}.project.hidden.0.{p}" for p in ("weight", "bias"))
        state[bias] = state[bias] + (state[weight][:, i.dim :] * FLOOR**0.5).sum(1, keepdim=True)
        state[weight] = state[weight][:, : i.dim]
    short.load_state_dict({n: state[n] for n in short.state_dict()})
    values = {i.name: torch.randn(1, 7, i.dim) for i in full}
    ones = torch.ones(1, 7, 1, dtype=torch.bool)
    expected = long({n: Feature(v[:, :, None], ones) for n, v in values.items()})
    torch.testing.assert_close(short({n: Feature(v, None) for n, v in values.items()}), expected, rtol=1e-4, atol=1e-6)
    assert sum(p.numel() for p in short.parameters()) < sum(p.numel() for p in long.parameters())


def test_attention_weights_are_those_that_mix_the_values() -> None:
    layer = Attention(8, 2)
    x, source = torch.randn(1, 3, 4, 8), torch.randn(1, 3, 5, 8)
    mask = (torch.arange(5) < torch.tensor([[5], [2], [1]]))[None]
    weights = layer.weights(x, source, mask)
    values = layer.value(source).view(1, 3, 5, 2, 4)
    mixed = torch.einsum("rbhnm,rbmhd->rbnhd", weights, values).flatten(3)
    torch.testing.assert_close(layer.output(mixed), layer(x, source, mask))
    single = Attention(8, 2, single=True)
    assert torch.equal(single.weights(x, source[:, :, :1], None), torch.ones(1, 3, 2, 4, 1))


def test_patches_give_their_attention_to_real_tokens() -> None:
    head, batch = made("patch_attention"), sequences(1, [11, 4])
    weights: Tensor = head.attention(batch)  # type: ignore[operator]
    assert weights.shape == (1, 2, 4, 11)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2, 4))
    assert float(weights[0, 0, :, 4:].detach().abs().max()) == 0.0  # its text is as long as the other's audio


def test_default_sizes_are_those_of_the_description() -> None:
    """Seed sizes of the gated head for two encoders of 768: adapters 768-256-768, pooling 128, projection 512."""
    head = plugin("gated").Head([Input("a", "audio", 768, True), Input("t", "text", 768, True)], 4)
    shapes: dict[str, tuple[int, ...]] = {n: tuple(p.shape[1:]) for n, p in head.named_parameters() if "weight" in n}
    assert shapes["adapt.0.down.weight"] == (768, 256)
    assert shapes["adapt.0.up.weight"] == (256, 768)
    assert shapes["cross.1.attention.query.weight"] == (256, 256)
    assert shapes["project.0.pool.hidden.weight"] == (768, 128)
    assert shapes["project.1.project.hidden.0.weight"] == (1536, 512)
    classifier = [shapes[f"output.{n}.weight"] for n in ("hidden.0", "hidden.1", "output")]
    assert classifier == [(512, 256), (256, 128), (128, 4)]


def test_dropout_leaves_runs_their_own() -> None:
    """In training, a run of a stack gets the masks of its own generator and nobody else's."""
    batch = sequences(2, [8, 8, 8])
    first = {n: Feature(f.values[:1], f.mask[:1]) for n, f in batch.items() if f.mask is not None}
    for name in HEADS:
        alone, both = made(name).train(), stack([made(name, 0), made(name, 1)]).train()
        for head, seeds in ((alone, [5]), (both, [5, 6])):
            generators = [torch.Generator().manual_seed(s) for s in seeds]
            for module in head.modules():
                if isinstance(module, Dropout):
                    module.generators = generators
        torch.testing.assert_close(both(batch)[:1], alone(first), rtol=1e-4, atol=1e-5)


def test_cross_attention_goes_both_ways() -> None:
    """The patches' states depend on the tokens, and the tokens' on the patches."""
    head, batch = made("patch_attention"), sequences(1, [11, 4])
    states, masks = head._encoded(batch)  # type: ignore[operator]
    before = head._crossed(head.cross[0], states, masks)  # type: ignore[index,operator]
    for side, name in enumerate(("a", "t")):
        altered = {**batch, name: Feature(batch[name].values.flip(1), batch[name].mask)}
        other, _ = head._encoded(altered)  # type: ignore[operator]
        mixed = (other[0], states[1]) if side == 0 else (states[0], other[1])
        after = head._crossed(head.cross[0], mixed, masks)  # type: ignore[index,operator]
        assert not torch.allclose(after[0], before[0], atol=1e-4)
        assert not torch.allclose(after[1], before[1], atol=1e-4)


def test_an_utterance_without_frames_is_no_reason_for_values_that_are_not_finite() -> None:
    nothing = torch.zeros(1, 2, 3, dtype=torch.bool)
    assert AttentiveStatistics(5, 7).weights(torch.randn(1, 2, 3, 5), nothing).tolist() == torch.zeros(1, 2, 3).tolist()
    for name in HEADS:
        assert bool(made(name)(sequences(1, [5, 0, 5])).isfinite().all()), name


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_packed_layers_are_an_lstm_of_two(dropout: float) -> None:
    """One after another, with dropout between: torch's own of two layers, weights and draws alike, without padding."""
    torch.manual_seed(0)
    whole = nn.LSTM(5, 4, num_layers=2, dropout=dropout, batch_first=True, bidirectional=True)
    torch.manual_seed(0)
    layers = nn.ModuleList([nn.LSTM(5, 4, batch_first=True, bidirectional=True), nn.Dropout(dropout)])
    layers.append(nn.LSTM(8, 4, batch_first=True, bidirectional=True))
    x, lengths = torch.randn(3, 7, 5), torch.tensor([7, 2, 5])
    mask = torch.arange(7) < lengths[:, None]
    torch.manual_seed(1)
    found = run_lstms(layers, x, mask)
    torch.manual_seed(1)
    sequences = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected = nn.utils.rnn.pad_packed_sequence(whole(sequences)[0], batch_first=True)[0]
    assert torch.equal(found, expected)
    assert not found[~mask].any()
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(1)
        assert torch.equal(run_lstms(layers, x, mask), found)  # in float32 there too
