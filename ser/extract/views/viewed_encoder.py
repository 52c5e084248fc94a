"""An encoder on a view of the audio; see `view.py` beside this file."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from ser.extract.encoder import Encoder
from ser.extract.views.view import AudioView
from ser.features.stores.names import MARK


class ViewedEncoder(Encoder):
    """An encoder on a view of the audio; it has the name `ENCODER@VIEW`."""

    def __init__(self, encoder: Encoder, view: AudioView) -> None:
        self.encoder, self.view = encoder, view
        self.name = f"{encoder.name}{MARK}{view.name}"
        self.masks = encoder.spectrogram
        self.identity = {**encoder.identity, "view": view.definition(self.masks)}
        for name in ("modality", "level", "dim", "sample_rate", "minimum", "processes", "assets", "device", "equal"):
            setattr(self, name, getattr(encoder, name))
        self.store_dtype = encoder.store_dtype
        if hasattr(encoder, "halve"):
            self.halve = encoder.halve

    @property
    def budget(self) -> int:
        return self.encoder.budget

    def costs(self, inputs: Sequence[Any]) -> list[int]:
        return self.encoder.costs(inputs)

    def encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        return self.encoder.encode(inputs)

    def finish(self, features: NDArray[Any], utterance: str, emotion: str) -> NDArray[Any]:
        return self.view.mask(features, utterance, emotion) if self.view is not None and self.masks else features
