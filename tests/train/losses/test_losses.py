"""Every loss against an independent derivation, sums of losses, and what they ask of heads and corpora."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from ser import registry
from ser.errors import ConfigError, TrainingError
from ser.train.heads._base import HEADS, build_head, offers_embedding, options_of, part_of
from ser.train.loop import objective
from ser.train.loop.callbacks import Step
from ser.train.loop.config import make_config
from ser.train.loop.data import Data
from ser.train.loop.objective import Objective, Targets
from ser.train.loop.prediction import predict
from ser.train.loop.trainer import train
from ser.train.losses import cb_focal, supcon, vad
from ser.train.losses._base import LOSSES, Batch

ALL = registry.names(LOSSES)
RUNS, ROWS, CLASSES, SIZE = 3, 10, 4, 5
SUM = "cross_entropy,cb_focal:0.3,supcon:0.1,prototype:0.01,vad:0.2"


def test_focal_by_hand_with_a_missing_class(example: Callable[..., Batch], stacked: Callable[..., torch.nn.Module]) -> None:
    batch = example()
    numbers = [7, 40, 900]
    raw = [(1 - 0.9999) / (1 - 0.9999**n) for n in numbers]
    expected = [w * 3 / sum(raw) for w in raw]
    np.testing.assert_allclose(cb_focal.weights(batch.counts)[0], [*expected, 0.0], rtol=1e-4)
    found = stacked("cb_focal")(batch)
    for r in range(RUNS):
        total = 0.0
        for row in range(ROWS):
            p = np.exp(batch.logits[r, row].numpy())
            p, y = p / p.sum(), int(batch.labels[r, row])
            total += expected[y] * (1 - p[y]) ** 2 * -math.log(p[y])
        assert found[r].item() == pytest.approx(total / ROWS, rel=1e-4)


def test_focal_without_focus_is_cross_entropy(
    monkeypatch: pytest.MonkeyPatch, example: Callable[..., Batch], stacked: Callable[..., torch.nn.Module]
) -> None:
    monkeypatch.setattr(cb_focal, "GAMMA", 0)
    batch = example()._replace(counts=torch.full((RUNS, CLASSES), 25))
    for r, found in enumerate(stacked("cb_focal")(batch)):
        expected = torch.nn.functional.cross_entropy(batch.logits[r], batch.labels[r])
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_focal_of_a_certain_prediction_has_a_finite_gradient() -> None:
    logits = torch.tensor([[[200.0, 0.0], [0.0, 200.0]]], requires_grad=True)
    batch = Batch(logits, torch.tensor([[0, 0]]), torch.ones(1, 2), torch.tensor([[5, 5]]))
    cb_focal.Loss(2, 0)(batch).sum().backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


def test_supervised_contrast_by_hand(example: Callable[..., Batch], stacked: Callable[..., torch.nn.Module]) -> None:
    batch = example()
    assert batch.embedding is not None
    for r, found in enumerate(stacked("supcon")(batch)):
        z = batch.embedding[r].numpy()
        z = z / np.linalg.norm(z, axis=1, keepdims=True)
        y = batch.labels[r].numpy()
        losses = []
        for i in range(ROWS):
            others = [a for a in range(ROWS) if a != i]
            positives = [p for p in others if y[p] == y[i]]
            bottom = sum(math.exp(z[i] @ z[a] / 0.07) for a in others)
            if positives:
                losses.append(-np.mean([math.log(math.exp(z[i] @ z[p] / 0.07) / bottom) for p in positives]))
        assert found.item() == pytest.approx(np.mean(losses))


@pytest.mark.parametrize("labels", [[0], [0, 1, 2]])
def test_supervised_contrast_without_a_pair_is_nothing(labels: list[int]) -> None:
    embedding = torch.randn(1, len(labels), SIZE, requires_grad=True)
    nothing = torch.zeros(1, len(labels), CLASSES)
    weights = torch.ones(1, CLASSES)
    loss = supcon.Loss(CLASSES, SIZE)(Batch(nothing, torch.tensor([labels]), weights, weights, 0.0, embedding))
    loss.sum().backward()
    assert loss.item() == 0
    assert embedding.grad is not None
    assert float(embedding.grad.abs().sum()) == 0


def test_prototypes_by_hand(example: Callable[..., Batch], stacked: Callable[..., torch.nn.Module]) -> None:
    one, batch = stacked("prototype"), example()
    assert batch.embedding is not None
    for r, found in enumerate(one(batch)):
        (prototypes,) = one.parameters()
        distance = torch.cdist(batch.embedding[r], prototypes.data[r]).numpy() ** 2
        y = batch.labels[r].numpy()
        losses = [-math.log(math.exp(-d[c]) / np.exp(-d).sum()) + 0.001 * d[c] for d, c in zip(distance, y, strict=True)]
        assert found.item() == pytest.approx(np.mean(losses))


def test_concordance_by_hand_where_values_are_missing(
    example: Callable[..., Batch], stacked: Callable[..., torch.nn.Module]
) -> None:
    one, batch = stacked("vad"), example()
    assert batch.embedding is not None
    assert batch.vad is not None
    guesses = one.predict(batch.embedding).detach().numpy()  # type: ignore[operator]
    for r, found in enumerate(one(batch)):
        losses = []
        for k in range(3):
            y = batch.vad[r, :, k].numpy()
            x, y = guesses[r, ~np.isnan(y), k], y[~np.isnan(y)]
            agreement = 2 * np.corrcoef(x, y)[0, 1] * x.std() * y.std()
            losses.append(1 - agreement / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))
        assert found.item() == pytest.approx(np.mean(losses))
    unknown = batch._replace(vad=torch.full_like(batch.vad, torch.nan))
    assert one(unknown).tolist() == [0.0] * RUNS
    one(unknown).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in one.parameters() if p.grad is not None)


def test_a_sum_is_the_sum_and_mixing_is_cross_entropy_of_soft_labels(example: Callable[..., Batch]) -> None:
    batch = example()
    terms = {"cross_entropy": 1.0, "cb_focal": 0.3}
    parts = [registry.load(LOSSES, n).Loss(CLASSES, 0)(batch) for n in terms]
    torch.testing.assert_close(Objective(terms, CLASSES)(batch), parts[0] + 0.3 * parts[1])
    plain = batch._replace(weights=torch.ones(RUNS, CLASSES, dtype=torch.double))
    share = torch.tensor([0.2, 0.9, 0.5], dtype=torch.double)
    mixed = Objective({"cross_entropy": 1.0}, CLASSES)(plain, share)
    for r in range(RUNS):
        hot = torch.nn.functional.one_hot(batch.labels[r], CLASSES).double()
        soft = share[r] * hot + (1 - share[r]) * hot.roll(-1, 0)
        expected = torch.nn.functional.cross_entropy(batch.logits[r], soft, label_smoothing=0.1)
        torch.testing.assert_close(mixed[r], expected)


def test_sums_are_written_in_one_way_and_refused_when_wrong() -> None:
    assert make_config("mlp", loss=" cross_entropy:1.0, cb_focal:.30").loss == "cross_entropy,cb_focal:0.3"
    for wrong, said in (
        ("focal", "unknown loss 'focal'"),
        ("cross_entropy:x", "weight of loss cross_entropy"),
        ("cross_entropy:-1", "weight of loss cross_entropy"),
        ("cross_entropy,cross_entropy", "named twice"),
        ("supcon", "trains no classifier"),
        ("", "unknown loss"),
    ):
        with pytest.raises(ConfigError, match=said):
            make_config("mlp", loss=wrong)
    with pytest.raises(ConfigError, match="no meaning for mixed labels"):
        make_config("mlp", loss="cross_entropy,supcon", mixup=0.2)
    with pytest.raises(ConfigError, match="head linear has none"):
        make_config("linear", loss="cross_entropy,supcon")
    assert make_config("late", loss="cross_entropy,supcon").head == "late"


@pytest.mark.parametrize("name", [h for h in registry.names(HEADS) if offers_embedding(h)])
def test_a_head_computes_its_embedding_once_on_the_way_to_the_logits(name: str, data: Callable[..., Data]) -> None:
    for kind in ("frames+words", "pooled", "frames", "words"):
        resident = data(kind).resident
        try:
            head = build_head(part_of(name), resident.inputs, 4, {"hidden": 16} if "hidden" in options_of(name) else {}, 0)
        except TrainingError:
            continue
        break
    batch = resident.batch(torch.arange(6)[None])
    expected = head.eval().embed(batch)  # type: ignore[operator]
    tap, step = objective.Tap(head), Step(0, 0.0, batch)
    head(batch)
    tap.after_forward(step)
    found = step.embedding
    assert found is not None
    torch.testing.assert_close(found, expected)
    assert found.shape[:2] == (1, 6)
    assert found.shape[2] == objective.embedding_size(head, batch)


@pytest.fixture
def rated(data: Callable[..., Data]) -> Callable[..., Data]:
    """The toy data with valence, arousal and dominance that follow the class, some of them unknown."""

    def make(kind: str = "pooled") -> Data:
        toy = data(kind)
        random = np.random.default_rng(3)
        values = random.normal(size=(CLASSES, 3))[toy.labels] * 2 + 3 + random.normal(size=(150, 3)) * 0.1
        values[random.random((150, 3)) < 0.2] = np.nan
        return replace(toy, vad=values)

    return make


@pytest.mark.parametrize("loss", ["cross_entropy,cb_focal:0.3", "cb_focal", SUM])
def test_a_run_is_itself_with_every_loss(loss: str, rated: Callable[..., Data]) -> None:
    toy = rated()
    config = make_config("mlp", loss=loss, epochs=4, patience=2, head_options={"hidden": "16"})
    five = train(toy, config, [11, 22, 33, 44, 55])
    for other in (train(toy, config, [33])[0], train(toy, config, [33, 99])[0]):
        assert torch.equal(five[2].weights, other.weights)
        assert five[2].curves == other.curves


@pytest.mark.parametrize("head", ["mlp", "gated", "bilstm"])
def test_a_sum_learns_and_only_the_head_is_kept(head: str, rated: Callable[..., Data]) -> None:
    toy = rated("frames" if head == "bilstm" else "pooled")
    small = {"hidden": 16 if head != "mlp" else "16"}
    plain = make_config(head, epochs=12, lr=5e-3, head_options=small)
    (summed,) = train(toy, replace(plain, loss=SUM), [1])
    (alone,) = train(toy, plain, [1])
    assert summed.weights.shape == alone.weights.shape
    assert not torch.equal(summed.weights, alone.weights)
    rows = np.arange(125, 150)
    guess = predict(toy, plain, summed.weights[None], rows)[0].argmax(-1)
    assert (guess == toy.labels[rows]).mean() > 0.7


def test_the_losses_own_parameters_are_trained(rated: Callable[..., Data]) -> None:
    from ser.train.loop import trainer

    config = make_config("mlp", loss=SUM, epochs=3, patience=0, head_options={"hidden": "16"})
    stack = trainer.Stack(rated(), config, [1, 2], None)
    before = [p.clone() for p in stack.beside.objective.parameters()]
    assert not torch.equal(before[0][0], before[0][1])
    stack.run()
    for old, new in zip(before, stack.beside.objective.parameters(), strict=True):
        assert new.shape[0] == 2
        assert not torch.equal(old, new)


def test_values_are_standardised_by_each_run_s_training_rows(rated: Callable[..., Data]) -> None:
    toy = rated()
    rows = torch.stack([torch.arange(50), torch.arange(50, 100)])
    targets = Targets(toy, rows, make_config("mlp"), vad=True)
    assert targets.vad is not None
    for r in range(2):
        ours = targets.vad[r, rows[r]].numpy()
        np.testing.assert_allclose(np.nanmean(ours, 0), 0, atol=1e-5)
        np.testing.assert_allclose(np.nanstd(ours, 0), 1, atol=1e-5)
    batch = targets.batch(rows[:, :4], torch.zeros(2, 4, 4), None)
    assert batch.vad is not None
    torch.testing.assert_close(batch.vad[1], targets.vad[1, 50:54], equal_nan=True)
    targets.keep(torch.tensor([1]))
    assert targets.vad.shape == (1, 150, 3)
    assert targets.batch(rows[1:, :4], torch.zeros(1, 4, 4), None).vad is not None


def test_a_corpus_without_values_is_refused(data: Callable[..., Data]) -> None:
    config = make_config("mlp", loss="cross_entropy,vad:0.5")
    for toy in (data(), replace(data(), vad=np.full((150, 3), np.nan))):
        with pytest.raises(TrainingError, match="no values of valence, arousal or dominance"):
            train(toy, config, [0])


def test_a_constant_value_is_no_division_by_zero(data: Callable[..., Data]) -> None:
    toy = replace(data(), vad=np.full((150, 3), 2.5))
    (trained,) = train(toy, make_config("mlp", loss="cross_entropy,vad:0.5", epochs=2), [0])
    assert bool(trained.weights.isfinite().all())
    assert vad.EPSILON > 0


def test_ccc_of_an_epoch_is_that_of_all_batches_and_forgets_those_before(
    example: Callable[..., Batch], stacked: Callable[..., torch.nn.Module]
) -> None:
    """By Lin's definition over all utterances of the first epoch; then a tenth of the old is forgotten at each tenth of one."""
    one = stacked("ccc_epoch")
    batches = [example(seed)._replace(counts=torch.tensor([[100, 0, 0, 0]] * RUNS)) for seed in range(12)]
    joined = [torch.cat([getattr(b, part) for b in batches[:10]], 1).numpy() for part in ("logits", "target")]
    for batch in batches[:10]:
        found = one(batch)
        one.after_step()  # type: ignore[operator]
    x, y = (v - v.mean(1, keepdims=True) for v in joined)
    apart = joined[0].mean(1) - joined[1].mean(1)
    ccc = 2 * (x * y).mean(1) / ((x * x).mean(1) + (y * y).mean(1) + apart**2)
    np.testing.assert_allclose(found.detach().numpy(), 1 - ccc.mean(-1), rtol=1e-6)
    before = one.before
    one(batches[10])
    one.after_step()  # type: ignore[operator]
    new = torch.stack([batches[10].logits.mean(1), one.before[:, 0] - 0.9 * before[:, 0]])  # type: ignore[index, operator]
    torch.testing.assert_close(new[1], 0.1 * new[0])
    one.keep(torch.tensor([2]))  # type: ignore[operator]
    row = Batch._make(v[2:] if isinstance(v, torch.Tensor) else v for v in batches[11])
    alone = one(row)
    assert alone.shape == (1,)
    assert row.target is not None
    leaf, step = row.logits.clone().requires_grad_(), torch.zeros_like(row.logits)
    one(row._replace(logits=leaf)).sum().backward()
    assert leaf.grad is not None
    step[0, 3, 1] = 1e-6
    rise, fall = (one(row._replace(logits=row.logits + s)).item() for s in (step, -step))
    assert leaf.grad[0, 3, 1].item() == pytest.approx((rise - fall) / 2e-6 / 0.1, rel=1e-4)  # whatever the batch's share
