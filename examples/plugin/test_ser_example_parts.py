"""Tests of what the parts promise, and of what each of them is: pytest, where ser and this package are installed."""

import numpy as np
import pytest
import torch
from ser_example_parts import Loudness, TwoLayers

from ser.checks import check
from ser.extract.options import EncoderOptions
from ser.train.nn.layers import Feature, Input

PARTS = {"head": "two_layers", "loss": "plain_nll", "encoder": "loudness", "adaptation": "mean_shift", "corpus": "named_files"}


@pytest.mark.parametrize(("kind", "name"), PARTS.items())
def test_promises(kind: str, name: str) -> None:
    assert [tried for tried in check(kind, name) if tried.fault] == []


def test_loudness_is_the_logarithm_of_the_level() -> None:
    (found,) = Loudness("loudness", EncoderOptions()).encode([np.full(16000, 0.5, dtype=np.float32)])
    assert found == pytest.approx([np.log(0.50001), 0], abs=1e-4)


def test_two_layers_read_all_stores() -> None:
    head = TwoLayers([Input("a", "audio", 3, framewise=False), Input("b", "text", 2, framewise=False)], classes=4)
    batch = {"a": Feature(torch.ones(1, 5, 3), None), "b": Feature(torch.ones(1, 5, 2), None)}
    assert head(batch).shape == (1, 5, 4)
