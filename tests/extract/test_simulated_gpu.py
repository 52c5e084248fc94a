"""On a simulated GPU (`tests/simulated.py`): every encoder gives what it gives on the CPU, and waits once a batch."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.extract import encoder as base
from ser.extract.options import EncoderOptions

pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
SPEECH = (
    "wav2vec2",
    "wav2vec2-large",
    "hubert",
    "wavlm",
    "data2vec",
    "whisper",
    "emotion2vec",
    "emotion2vec-layers",
    "sensevoice",
)


@pytest.mark.parametrize("name", [*SPEECH, "bert", "speaker"])
def test_an_encoder_keeps_to_its_device(
    name: str, tiny: Callable[[str], Path], gpu: Callable[[], AbstractContextManager[Any]]
) -> None:
    random = np.random.default_rng(0)
    audio = [random.normal(0.01, 0.1, n).astype(np.float32) for n in (4000, 9000, 720 if name == "speaker" else 401)]
    level = "utterance" if name == "speaker" else "frame"
    given, kind = (["a day", "no one"], "text") if name == "bert" else (audio, "audio")
    expected = base.load(str(tiny(name)), kind, EncoderOptions(level=level)).encode(given)
    with gpu() as device:
        encoder = base.load(str(tiny(name)), kind, EncoderOptions(level=level, device="cuda"))
        assert encoder.device == "cuda"
        device.waits.clear()
        found = encoder.encode(given)
    for there, here in zip(found, expected, strict=True):
        np.testing.assert_allclose(there, here, atol=1e-5 * np.abs(here).max())
    # What is computed is fetched once; which frames are real, tokens, and slopes of the attention's bias are sent.
    assert device.waits.count("copy to the CPU") == 1
    assert len(device.waits) <= 3
