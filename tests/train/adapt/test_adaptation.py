"""Adaptation methods against reference values and by what they do: every file of the folder, and the trainer around them."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ser import registry
from ser.errors import ConfigError, TrainingError
from ser.features.blocks import Block
from ser.features.tensors import load_tensors
from ser.train.adapt import cdan
from ser.train.adapt._base import METHODS, Adaptation, Side, alpha, domain_loss, reverse
from ser.train.adapt._base import method as method_of
from ser.train.adapt.coral import coral
from ser.train.adapt.mmd import median, mmd2
from ser.train.heads._base import HEADS
from ser.train.loop import trainer
from ser.train.loop.config import make_config
from ser.train.loop.data import Data, Resident, best_epochs
from ser.train.loop.learner import Learner
from ser.train.loop.prediction import predict
from ser.train.loop.trainer import train
from ser.train.nn import streams
from ser.train.runs.recipe import learner_of, make_recipe

ALL = registry.names(METHODS)
RUNS, BATCH, SIZE, CLASSES = 3, 6, 5, 4
SMALL: dict[str, Any] = {"epochs": 4, "patience": 2, "head_options": {"hidden": "16"}}


def test_reversal_leaves_values_and_turns_gradients() -> None:
    x = torch.randn(7, dtype=torch.double, requires_grad=True)
    y = reverse(x, 0.3)
    assert torch.equal(y, x)
    y.pow(3).sum().backward()
    epsilon = 1e-6
    slope = ((x + epsilon).pow(3) - (x - epsilon).pow(3)) / (2 * epsilon)
    torch.testing.assert_close(x.grad, -0.3 * slope.detach(), rtol=1e-6, atol=1e-8)


def test_alpha_over_progress(stacked: Callable[..., Adaptation]) -> None:
    for progress, expected in ((0.1, 0.462117), (0.25, 0.848284), (0.5, 0.986614), (1.0, 0.999909)):
        assert alpha(progress) == pytest.approx(expected, abs=1e-6)
    assert alpha(0.0) == 0.0
    assert stacked("dann", weight=3.0).strength(0.1) == pytest.approx(3 * 0.462117, abs=1e-5)
    assert stacked("dann", weight=3.0, ramp="constant").strength(0.1) == 3.0
    assert stacked("mmd", weight=3.0).factor(0.1) == 3.0
    assert stacked("mmd", weight=3.0, ramp="dann").factor(0.1) == pytest.approx(3 * 0.462117, abs=1e-5)


def _grid(mean: float, deviation: float, points: int) -> Tensor:
    """Quantiles of a normal distribution: a sample without chance."""
    share = (torch.arange(points, dtype=torch.double) + 0.5) / points
    return mean + deviation * torch.special.ndtri(share)[None, :, None]


@pytest.mark.parametrize(
    ("mean", "deviation", "variances", "expected"),
    [(1.0, 1.0, [1.0], 0.177268), (0.0, 2.0, [1.0], 0.094187), (1.0, 1.0, [0.25, 0.5, 1.0, 2.0, 4.0], 0.768983)],
)
def test_mmd_of_two_gaussians_is_the_closed_form(
    mean: float, deviation: float, variances: list[float], expected: float
) -> None:
    """E k of normal differences: sqrt(s^2 / (s^2 + v)) exp(-m^2 / (2 (s^2 + v))), v the variance of the difference."""

    def kernel(m: float, v: float) -> float:
        return sum(math.sqrt(s / (s + v)) * math.exp(-(m**2) / (2 * (s + v))) for s in variances)

    closed = kernel(0, 2) + kernel(0, 2 * deviation**2) - 2 * kernel(mean, 1 + deviation**2)
    assert closed == pytest.approx(expected, abs=1e-6)
    x, y = _grid(0.0, 1.0, 1000), _grid(mean, deviation, 1000)
    assert mmd2(x, y, torch.tensor(variances, dtype=torch.double)).item() == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize(("shift", "deviation", "expected"), [(0.5, 1.0, 0.071072), (0.0, math.sqrt(2), 0.041383)])
def test_mmd_of_gaussians_in_four_dimensions(shift: float, deviation: float, expected: float) -> None:
    random = torch.Generator().manual_seed(0)
    draws = [torch.randn(20, 400, 4, generator=random, dtype=torch.double) for _ in range(2)]
    found = mmd2(draws[0], draws[1] * deviation + shift, torch.tensor([4.0]).double(), unbiased=True)
    assert found.mean().item() == pytest.approx(expected, abs=4 * found.std().item() / math.sqrt(20))
    assert found.mean().item() == pytest.approx(expected, rel=0.1)


def test_mmd_by_hand_biased_and_unbiased_and_far_from_zero() -> None:
    x, y = torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[0.0], [2.0]]])
    half = torch.tensor([0.5])
    assert mmd2(x, y, half).item() == pytest.approx(0.316060, abs=1e-6)
    assert mmd2(x, y, half, unbiased=True).item() == pytest.approx(-0.490842, abs=1e-6)
    assert mmd2(x + 30, y + 30, half).item() == pytest.approx(0.316060, abs=1e-6)
    both = torch.stack([half, 2 * half], 1).expand(2, -1)
    each = [mmd2(x, y, v) for v in (half, 2 * half)]
    torch.testing.assert_close(mmd2(x.expand(2, -1, -1), y.expand(2, -1, -1), both), sum(each).expand(2))


def test_the_bandwidth_is_the_median_squared_distance() -> None:
    z = torch.randn(RUNS, 9, SIZE, dtype=torch.double)
    for r, found in enumerate(median(z)):
        distances = torch.pdist(z[r]).square().sort().values
        assert found.item() == pytest.approx(distances[(len(distances) - 1) // 2].item())
    same = Side(torch.ones(1, 4, SIZE), torch.zeros(1, 4, CLASSES))
    assert method_of("mmd")(CLASSES, SIZE)(same, same, 0.0).tolist() == [0.0]


def test_coral_against_known_covariances() -> None:
    x = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]])
    assert coral(x, 2 * x).item() == pytest.approx(0.5, abs=1e-6)
    wanted = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.5]], dtype=torch.double)
    draws = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    white = []
    for sample in draws:  # of a covariance of exactly 1
        centred = sample - sample.mean(0)
        white.append(centred @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(centred.T)).T))
    x, y = white[0][None], (white[1] @ torch.linalg.cholesky(wanted).T)[None]
    assert coral(x, y).item() == pytest.approx(0.048611, abs=1e-6)
    assert coral(x + 7, y[:, :, :] - 3).item() == pytest.approx(0.048611, abs=1e-6)
    difference = torch.cov(draws[0].T) - torch.cov(draws[1, :20].T)
    found = coral(draws[:1], draws[1:, :20])
    torch.testing.assert_close(found[0], difference.square().sum() / 36)
    assert coral(x[:, :1], y[:, :1]).tolist() == [0.0]


def test_the_domain_loss_is_cross_entropy_of_each_corpus() -> None:
    scores = torch.tensor([[0.3, -1.2, 2.0, 0.1]], dtype=torch.double)
    truth = torch.tensor([[0.0, 0.0, 1.0, 1.0]], dtype=torch.double)
    each = torch.nn.functional.binary_cross_entropy_with_logits(scores, truth, reduction="none")
    torch.testing.assert_close(domain_loss(scores)[0], each[:, :2].mean() + each[:, 2:].mean())
    assert domain_loss(torch.zeros(1, 8)).item() == pytest.approx(2 * math.log(2))


def test_cdan_reads_the_outer_product_weighs_by_certainty_and_is_randomised_where_that_is_large(
    views: Callable[..., tuple[Side, Side]], stacked: Callable[..., Adaptation]
) -> None:
    method, (source, target) = stacked("cdan"), views()
    assert isinstance(method, cdan.Method)
    found = method(source, target, 0.5)
    losses = []
    for view, truth in ((source, 0.0), (target, 1.0)):
        g = view.logits.softmax(-1)
        outer = torch.einsum("rbk,rbe->rbke", g, view.embedding).flatten(2)
        weight = 1 + torch.exp(torch.special.entr(g).sum(-1).neg())
        scores = method.discriminator(outer)
        each = torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.full_like(scores, truth), reduction="none")
        losses.append((weight * each).sum(1) / weight.sum(1))
    torch.testing.assert_close(found, losses[0] + losses[1])
    size = cdan.LARGEST // CLASSES
    assert not cdan.Method(CLASSES, size).random
    large = cdan.Method(CLASSES, size + 1)
    assert large.random
    f, g = torch.randn(2, 5, size + 1), torch.softmax(torch.randn(2, 5, CLASSES), -1)
    joined = large._joined(f, g)
    assert joined.shape == (2, 5, cdan.RANDOM)
    # Inner products of the map are those of f times those of g, up to chance (Long et al., theorem 1).
    other = large._joined(f.roll(1, 1) + f, g)
    expected = (f * (f.roll(1, 1) + f)).sum(-1) * g.square().sum(-1)
    torch.testing.assert_close((joined * other).sum(-1), expected, rtol=0.5, atol=100.0)


@pytest.mark.parametrize("options", [{"feature_noise": 0.1, "average": "ema"}, {"precision": "bfloat16"}])
def test_a_run_is_itself_with_noise_averages_and_large_weights(options: dict[str, Any], pair: Callable[..., Data]) -> None:
    given = {"epochs": 2, "head_options": {"hidden": "260,260"}, **options}
    config = make_config("mlp", adapt="cdan", **given)
    assert torch.equal(train(pair(), config, [1, 2])[1].weights, train(pair(), config, [2])[0].weights)


def test_the_method_s_parameters_are_trained_the_run_s_own_and_thrown_away(pair: Callable[..., Data]) -> None:
    config = make_config("mlp", adapt="dann", loss="cross_entropy,prototype:0.01", **SMALL)
    stack = trainer.Stack(pair(), config, [1, 2], None)
    method = stack.beside.method
    assert method is not None
    before = [p.clone() for p in method.parameters()]
    assert not torch.equal(before[0][0], before[0][1])
    kept = stack.run()
    for old, new in zip(before, method.parameters(), strict=True):
        assert not torch.equal(old[: len(new)], new)
    assert len(kept[0].weights) == sum(p[0].numel() for p in stack.parameters.head.parameters())


def test_target_rows_are_drawn_in_cycles_in_an_order_of_the_run_s_own() -> None:
    drawn = streams.cyclic([1, 2], 7, 0, 21)
    for cycle in drawn.view(2, 3, 7):
        assert all(sorted(c.tolist()) == list(range(7)) for c in cycle)
    assert not torch.equal(drawn[0, :7], drawn[0, 7:14])
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(streams.cyclic([2], 7, 5, 11)[0], drawn[1, 5:16])
    assert not torch.equal(streams.permutations([1], 1, 7)[0], drawn[0, :7])


def blobs() -> tuple[Data, Data, np.ndarray[Any, Any]]:
    """Four Gaussian classes seen twice; in the target the second sight is shifted, and only the first can be relied on.

    A head of the source reads both, and the shift misleads it. Gives the source with an unlabelled target, the
    labelled target, and the target's test rows.
    """
    random, n = np.random.default_rng(0), 400
    y, target = np.arange(2 * n) % 4, np.arange(2 * n) >= n
    angle = np.pi / 2 * np.arange(4)
    centres = 2.4 * np.stack([np.cos(angle), np.sin(angle)], 1)
    sights = [centres[y] + random.normal(size=(2 * n, 2)) for _ in range(2)]
    sights[1][target] += 3
    x = np.concatenate([*sights, random.normal(size=(2 * n, 8)) * 0.5], 1).astype(np.float32)
    resident = Resident([Block("x", "audio", x)])
    hidden = np.where(target, -1, y)
    source = Data(resident, hidden, 4, np.arange(320), np.arange(320, 400), unlabelled=np.arange(400, 720))
    return source, Data(resident, y, 4, np.arange(400, 720), np.arange(320, 400)), np.arange(720, 800)


@pytest.mark.parametrize(
    ("name", "weight", "share"), [("dann", 1.0, 0.75), ("cdan", 1.0, 0.75), ("mmd", 1.0, 0.75), ("coral", 10.0, 0.3)]
)
def test_methods_close_the_gap_to_the_oracle_on_shifted_blobs(name: str, weight: float, share: float) -> None:
    plain, oracle = accuracy("source"), accuracy("oracle")
    assert oracle - plain > 0.3
    adapted = accuracy("source", adapt=name, adapt_weight=weight)
    assert (adapted - plain) / (oracle - plain) > share


@cache
def accuracy(trained_on: str, **options: Any) -> float:
    """Mean accuracy of two runs on the target's test rows, after training on the source, or on the target as an oracle."""
    source, labelled, rows = blobs()
    data = source if trained_on == "source" else labelled
    quiet = {"hidden": "64,32", "dropout": 0.0, "input_dropout": 0.0}
    config = make_config("mlp", epochs=40, lr=2e-3, selection="last", patience=0, head_options=quiet, **options)
    weights = torch.stack([t.weights for t in train(data, config, [1, 2])])
    return float((predict(data, config, weights, rows).argmax(-1) == labelled.labels[rows]).mean())


def test_what_cannot_be_adapted_is_refused(pair: Callable[..., Data]) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'dann'"):
        make_config("mlp", adapt="dan")
    with pytest.raises(ConfigError, match="head linear has none") as caught:
        make_config("linear", adapt="mmd")
    assert "cross_attention" in str(caught.value)
    for options, said in (
        ({"adapt": "mmd", "adapt_weight": -1.0}, "adapt_weight"),
        ({"adapt": "mmd", "adapt_ramp": "linear"}, "adapt_ramp"),
        ({"adapt": "mmd", "mixup": 0.2}, "mixup"),
        ({"adapt": "mmd", "freeze": "encoder"}, "nothing is left to adapt"),
        ({"adapt": "mmd", "context": "dialogue"}, "with context dialogue"),
        ({"adapt_weight": 0.3}, "without adapt"),
    ):
        with pytest.raises(ConfigError, match=said):
            make_config("bilstm", **options)
    with pytest.raises(ConfigError):
        make_recipe("sklearn:SVC", adapt="dann")
    for rows in (None, np.arange(0)):
        with pytest.raises(TrainingError, match="without unlabelled target rows"):
            train(replace(pair(), unlabelled=rows), make_config("mlp", adapt="dann"), [1])
    assert make_config("mlp", adapt="dann").adapt_ramp == "dann"
    assert make_config("mlp", adapt="mmd").adapt_ramp == "constant"
    assert make_config("mlp").adapt_ramp == ""
    assert make_config(
        "mlp", **{k: v for k, v in make_config("mlp", adapt="cdan").as_dict().items() if k != "head"}
    ) == make_config("mlp", adapt="cdan")
    assert len(registry.names(HEADS)) > 1


def test_learners_pass_target_rows_to_every_part_and_classifiers_of_scikit_learn_refuse(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", "one", strength=0.4)
    maker.store("toy", "two", modality="text", strength=0.4)
    tensors = load_tensors("toy", maker.space)
    rows, seeds = np.array_split(np.arange(len(tensors.labels)), 3), [1, 2]
    config = make_config("late", adapt="mmd", selection="entropy", **SMALL)
    learner = Learner(tensors, config)
    parts = learner.train(rows[0], rows[1], seeds, unlabelled=rows[2], oracle=rows[1])
    again = learner.retrain(np.concatenate(rows[:2]), seeds, best_epochs(parts), unlabelled=rows[2])
    assert len(parts) == len(again) == 2
    for trained, retrained in zip(parts[1], again[1], strict=True):
        assert retrained.epochs == trained.best_epoch
        assert len(retrained.curves["adaptation_loss"]) == retrained.epochs
    assert {"one_adaptation_loss", "two_selection_entropy"} <= set(learner.merge(parts)[0].curves)
    assert "unlabelled target" in learner.account(parts[0][0], False)["selection"]
    again = learner.retrain(rows[0], seeds, best_epochs(parts), learner.weights(parts), unlabelled=rows[2])
    assert not torch.equal(
        again[0][0].weights, learner.retrain(rows[0], seeds, best_epochs(parts), unlabelled=rows[2])[0][0].weights
    )
    with pytest.raises(ConfigError, match="cannot be adapted"):
        learner_of(tensors, make_recipe("sklearn:SVC")).train(rows[0], rows[1], seeds, unlabelled=rows[2])
