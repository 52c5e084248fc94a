"""CLAP's audio tower: transformers' own, on windows of the published length; a batch changes nothing."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ser.accelerator import exact
from ser.errors import EncoderError
from ser.extract.checkpoints import ModelName
from ser.extract.hubs import ModelFiles
from ser.extract.models.frozen_encoder import Frozen
from ser.extract.models.loading import PREPROCESSOR, load_extractor, load_strictly, model_config, weights_identity
from ser.extract.models.padding import joined, padded, pieces_of, whole_windows
from ser.extract.options import EncoderOptions, torch_dtype
from ser.extract.provenance import versions


class Clap(Frozen):
    """A loaded audio tower of CLAP; the text tower and the projections are not loaded."""

    modality = "audio"

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions) -> None:
        from transformers import ClapAudioModel

        settings = model_config(found)
        if settings.get("audio_config", settings).get("enable_fusion"):
            raise EncoderError(
                f"{found.folder} joins random crops of the audio, so its features are not the same twice",
                expected="a model without fusion (config.json: enable_fusion), such as laion/clap-htsat-unfused",
            )
        self.extractor = load_extractor(found)
        prefix = {r"^audio_model\.": ""}  # of the tower within the whole model
        self.model = load_strictly(ClapAudioModel, found, "float32", r"$^", key_mapping=prefix)
        super().__init__(name, found, options, plugin="clap", dim=self.model.audio_encoder.num_features, depth=1)
        self.sample_rate = int(self.extractor.sampling_rate)
        self.minimum = int(self.extractor.fft_window_size)
        self.window = int(self.extractor.nb_max_samples)
        self.model.to(self.device)
        self.identity |= weights_identity(found, "config.json", *PREPROCESSOR)
        self.identity |= {
            "pooling": "the tower's, then the mean of windows",
            "sample_rate": self.sample_rate,
            "window": self.window / self.sample_rate,
            "padding": self.extractor.padding,
            "versions": versions("torch", "transformers", "numpy"),
        }
        with torch.inference_mode(), exact(self.device):
            untouched = [self.model(**self._values([piece])).pooler_output for piece in self.pieces()]
        self.probe(untouched)
        self.model.to(torch_dtype(self.dtype))

    def costs(self, inputs: Sequence[int]) -> list[int]:
        """Whole windows: a short utterance is repeated to one."""
        return whole_windows(inputs, self.window)

    def hidden(self, inputs: Sequence[NDArray[np.float32]]) -> tuple[list[Tensor], list[int]]:
        of_inputs = [pieces_of(audio, self.window, self.minimum) for audio in inputs]
        values = self._values([window for pieces in of_inputs for window in pieces])
        pooled: Tensor = self.model(**values).pooler_output
        counts = [len(pieces) for pieces in of_inputs]
        return [padded(joined(pooled[:, None], [[1] * count for count in counts]))], counts

    def _values(self, windows: list[NDArray[np.float32]]) -> dict[str, Tensor]:
        """The input of the tower for windows that are no longer than its own."""
        values = self.extractor(windows, sampling_rate=self.sample_rate, truncation="rand_trunc", return_tensors="pt")
        return {"input_features": self.moved(values.input_features).to(self.model.dtype)}
