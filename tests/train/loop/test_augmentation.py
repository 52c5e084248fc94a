"""Augmentation of training batches: what it does to features and labels, and that a run's draws are its own."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ser.errors import ConfigError, TrainingError
from ser.features.blocks import Block
from ser.train.loop import trainer
from ser.train.loop.augmentation import Augment, is_augmented, mix, spans
from ser.train.loop.callbacks import Step
from ser.train.loop.config import make_config, masks
from ser.train.loop.data import Data, Resident
from ser.train.loop.prediction import predict
from ser.train.loop.trainer import train
from ser.train.nn import streams
from ser.train.nn.layers import Feature

EVERYTHING = {"mixup": 0.4, "feature_noise": 0.2, "modality_dropout": 0.2}


def augmented(resident: Resident, rows: torch.Tensor, seeds: list[int], **options: Any) -> dict[str, Feature]:
    augment = Augment(make_config("mlp", **options), resident.inputs, "cpu")
    augment.begin_epoch(seeds, epoch=1, steps=2)
    step = Step(1, 0.0, resident.batch(rows))
    augment.before_forward(step)
    return step.features


def test_nothing_is_done_where_nothing_is_asked_for(data: Callable[..., Data]) -> None:
    assert not is_augmented(make_config("mlp"))
    assert trainer.Stack(data(), make_config("mlp"), [1], None).callbacks == []
    for option in ({"mixup": 0.1}, {"time_masks": "1x2"}, {"band_masks": "1x2"}, {"feature_noise": 0.1}):
        assert is_augmented(make_config("mlp", **option))


def test_mixup_by_hand(data: Callable[..., Data]) -> None:
    resident = data().resident
    rows = torch.stack([torch.arange(5), torch.arange(5, 10)])
    augment = Augment(make_config("mlp", mixup=0.4), resident.inputs, "cpu")
    augment.begin_epoch([7, 8], epoch=3, steps=4)
    step = Step(2, 0.0, resident.batch(rows))
    augment.before_forward(step)
    found, shares = step.features, step.share
    assert shares is not None
    for r, seed in enumerate((7, 8)):
        share = np.random.default_rng(streams.derive(seed, "mixup", 3)).beta(0.4, 0.4, 4)[2]
        assert shares[r].item() == pytest.approx(share, rel=1e-6)
        x = resident.values["pooled"][rows[r]].numpy()
        for k in range(5):
            expected = share * x[k] + (1 - share) * x[(k + 1) % 5]
            np.testing.assert_allclose(found["pooled"].values[r, k], expected, rtol=1e-4, atol=1e-6)


def test_sequences_are_mixed_from_their_beginnings(data: Callable[..., Data]) -> None:
    resident = data("frames").resident
    batch = resident.batch(torch.tensor([[0, 1]]))["frames"]
    assert batch.mask is not None
    mixed = mix(batch, torch.tensor([0.25]))
    assert mixed.mask is not None
    own, other = (resident.values["frames"][slice(*resident.offsets["frames"][k : k + 2])] for k in (0, 1))
    longest = max(len(own), len(other))
    expected = torch.zeros(longest, 12)
    expected[: len(own)] += 0.25 * own
    expected[: len(other)] += 0.75 * other
    torch.testing.assert_close(mixed.values[0, 0], expected)
    assert mixed.mask[0].sum(-1).tolist() == [longest, longest]


def test_the_widths_and_places_of_masks() -> None:
    """Widths are uniform in 0 ... widest, places uniform where the mask fits."""
    random = torch.Generator().manual_seed(0)
    drawn = torch.rand(2, 4000, 1, 2, generator=random)
    lengths = torch.full((2, 4000), 20)
    lengths[1] = 10
    hit = spans(drawn, torch.full((2, 4000), 3), lengths, 25)
    assert not bool(hit[0, :, 20:].any())
    assert not bool(hit[1, :, 10:].any())
    widths = hit[0].sum(-1)
    shares = torch.bincount(widths, minlength=4) / 4000
    assert len(shares) == 4
    np.testing.assert_allclose(shares, 0.25, atol=0.03)
    of_three = hit[0][widths == 3].int()
    first = torch.bincount(of_three.argmax(-1), minlength=18)
    assert len(first) == 18
    assert bool((first > 0).all())
    assert bool((of_three.diff(dim=-1).abs().sum(-1) <= 2).all())  # in one piece
    one = torch.full((1, 1, 1, 2), 1 - 2**-24)
    assert spans(one, torch.tensor([[2]]), torch.tensor([[5]]), 5)[0, 0].tolist() == [False, False, False, True, True]


def long_frames() -> Resident:
    random = np.random.default_rng(0)
    offsets = np.cumsum([0, 40, 100, 60, 90]).astype(np.int64)
    values = (random.normal(size=(290, 16)) + 10).astype(np.float32)
    words = np.ones((290, 1), dtype=np.int32)
    return Resident([Block("mel", "audio", values, offsets), Block("words", "text", words, offsets, vocabulary=3)])


def test_masks_in_time_and_over_bands() -> None:
    resident = long_frames()
    rows = torch.arange(4)[None]
    found = augmented(resident, rows, [1], time_masks="2x50")
    before = resident.batch(rows)
    assert torch.equal(found["words"].values, before["words"].values)
    mask = before["mel"].mask
    assert mask is not None
    gone = (found["mel"].values == 0).all(-1) & mask
    assert bool(((found["mel"].values != before["mel"].values).any(-1) == gone).all())
    assert int(gone.sum()) > 0
    for k, length in enumerate((40, 100, 60, 90)):
        assert int(gone[0, k].sum()) <= 2 * (length // 5)
    found = augmented(resident, rows, [1], band_masks="1x4")
    gone = (found["mel"].values == 0) & mask[..., None]
    of_bands = gone.any(2)
    assert int(of_bands.sum()) > 0
    assert int(of_bands.sum(-1).max()) <= 4
    assert bool((gone == (of_bands[:, :, None] & mask[..., None])).all())  # all frames of the band


def test_noise_has_its_strength_and_stays_out_of_padding() -> None:
    resident = long_frames()
    rows = torch.arange(4)[None]
    before, found = resident.batch(rows)["mel"], augmented(resident, rows, [1], feature_noise=0.5)["mel"]
    assert before.mask is not None
    difference = found.values - before.values
    assert difference[before.mask].std().item() == pytest.approx(0.5, rel=0.05)
    assert not bool(difference[~before.mask].any())


def test_modality_dropout_takes_one_modality_and_never_both(data: Callable[..., Data]) -> None:
    resident = data("pooled+pooled").resident
    rows = torch.arange(150).repeat(10)[None]
    found = augmented(resident, rows, [1], modality_dropout=0.3)
    audio, text = ((found[n].values == 0).all(-1)[0] for n in ("pooled", "other"))
    assert not bool((audio & text).any())
    assert audio.double().mean().item() == pytest.approx(0.15, abs=0.03)
    assert text.double().mean().item() == pytest.approx(0.15, abs=0.03)
    kept = ~(audio | text)
    assert torch.equal(found["pooled"].values[0, kept], resident.values["pooled"][rows[0, kept]])


def test_stores_of_one_modality_go_together(data: Callable[..., Data]) -> None:
    resident = data("three").resident  # two audio stores, and words
    found = augmented(resident, torch.arange(100)[None], [1], modality_dropout=0.9)
    pooled = (found["pooled"].values == 0).all(-1)
    frames = (found["frames"].values == 0).flatten(2).all(-1)
    words = (found["words"].values == 0).flatten(2).all(-1)
    assert torch.equal(pooled, frames)
    assert not bool((pooled & words).any())
    assert found["words"].values.dtype == torch.int32
    assert bool(found["frames"].mask is not None and found["frames"].mask.any(-1).all())  # frames stay


@pytest.mark.parametrize(("head", "kind"), [("mlp", "pooled+pooled"), ("linear", "layers"), ("gated", "pooled+pooled")])
def test_a_run_is_itself_with_augmentation(head: str, kind: str, data: Callable[..., Data]) -> None:
    toy = data(kind)
    options = EVERYTHING if kind == "pooled+pooled" else {**EVERYTHING, "modality_dropout": 0.0}
    config = make_config(head, epochs=4, patience=2, head_options={"hidden": 16} if head == "gated" else None, **options)
    five = train(toy, config, [11, 22, 33, 44, 55])
    for other in (train(toy, config, [33])[0], train(toy, config, [33, 99])[0]):
        assert torch.equal(five[2].weights, other.weights)
        assert five[2].curves == other.curves


def test_draws_do_not_depend_on_the_length_of_other_runs_utterances() -> None:
    resident = long_frames()
    options = {"time_masks": "2x10", "band_masks": "1x4", "feature_noise": 0.3, "modality_dropout": 0.5}
    alone = augmented(resident, torch.tensor([[0, 2]]), [5], **options)["mel"].values
    beside = augmented(resident, torch.tensor([[1, 3], [0, 2]]), [9, 5], **options)["mel"].values
    assert torch.equal(alone[0], beside[1, :, :60])
    assert not bool(beside[1, :, 60:].any())


def test_training_is_augmented_and_prediction_is_not(data: Callable[..., Data]) -> None:
    toy = data("frames+words")
    plain = make_config("mean_linear", epochs=8, lr=1e-2, head_options={"hidden": 16})
    changed = replace(plain, time_masks="1x3", band_masks="2x3", feature_noise=0.1, modality_dropout=0.2)
    (one,), (other,) = train(toy, plain, [1]), train(toy, changed, [1])
    assert not torch.equal(one.weights, other.weights)
    rows = np.arange(125, 150)
    found = predict(toy, changed, other.weights[None], rows)
    np.testing.assert_array_equal(found, predict(toy, plain, other.weights[None], rows))
    assert (found[0].argmax(-1) == toy.labels[rows]).mean() > 0.8


def test_what_means_nothing_is_refused(data: Callable[..., Data]) -> None:
    for kind, options, said in (
        ("words", {"mixup": 0.2}, "cannot mix the word pieces of words"),
        (
            "pooled",
            {"time_masks": "1x5"},
            r"^--time-masks needs audio features of frames; expected such as logmel; found pooled\. Leave --time-masks out\.$",
        ),
        ("words", {"band_masks": "1x5"}, "--band-masks needs audio features of frames"),
        ("words", {"feature_noise": 0.1}, "noise cannot be added to word pieces"),
        ("pooled", {"modality_dropout": 0.1}, "one modality, audio"),
    ):
        config = make_config("mlp", **options)
        with pytest.raises(TrainingError, match=said):
            train(data(kind), config, [0])
    for wrong in ({"time_masks": "2"}, {"band_masks": "0x3"}, {"mixup": -1.0}, {"modality_dropout": 1.0}):
        with pytest.raises(ConfigError):
            make_config("mlp", **wrong)
    assert masks("2x30") == (2, 30)
