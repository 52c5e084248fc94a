"""AST: transformers' own, on windows of the published length; every window is computed whole, so a batch changes nothing."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ser.extract.checkpoints import ModelName
from ser.extract.hubs import ModelFiles
from ser.extract.models.frozen_encoder import Frozen, HiddenLayers
from ser.extract.models.kaldi_bands import traced_bands
from ser.extract.models.loading import PREPROCESSOR, load_extractor, load_strictly, weights_identity
from ser.extract.models.padding import joined, padded, pieces_of, whole_windows
from ser.extract.options import EncoderOptions, torch_dtype
from ser.extract.provenance import versions

FRAME, HOP = 400, 160  # samples; fixed in transformers' ASTFeatureExtractor
# Published so: of 128 bands below 8 kHz some of the lowest lie between two bins.
warnings.filterwarnings("ignore", message="At least one mel filter has all zero values")
TOKENS = 2  # before the patches: class and distillation


class Ast(Frozen):
    """A loaded AST encoder; the classifier behind it is not loaded."""

    modality = "audio"

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions) -> None:
        from transformers import ASTModel
        from transformers.utils import is_speech_available

        self.model = load_strictly(ASTModel, found, "float32", r"$^")
        self.extractor = load_extractor(found)
        config = self.model.config
        super().__init__(name, found, options, plugin="ast", dim=config.hidden_size, depth=config.num_hidden_layers)
        self.sample_rate = int(self.extractor.sampling_rate)
        self.minimum = FRAME
        self.window = int(self.extractor.max_length) * HOP
        self.bands, self.columns = (int(n) for n in self.model.embeddings.get_shape(config))
        self.step = int(config.time_stride)
        # The extractor's choice; they differ in rounding.
        spectrogram = "torchaudio" if is_speech_available() else "numpy"
        self.model.to(self.device)
        self.identity |= weights_identity(found, "config.json", *PREPROCESSOR)
        self.identity |= {
            "pooling": "class and distillation tokens" if self.level == "utterance" else "bands",
            "sample_rate": self.sample_rate,
            "window": self.window / self.sample_rate,
            "spectrogram": spectrogram,
            "versions": versions("torch", "transformers", spectrogram),
        }
        states = self.untouched(self.model, lambda piece: {"input_values": self._values([piece])})
        untouched = [self._read(s)[0, : self._frames(piece)] for s, piece in zip(states, self.pieces(), strict=True)]
        self.hidden_layers = HiddenLayers(self.model.layers, self.layers)
        self.probe(untouched)
        self.model.to(torch_dtype(self.dtype))

    def costs(self, inputs: Sequence[int]) -> list[int]:
        """Whole windows: a short utterance is padded to one."""
        return whole_windows(inputs, self.window)

    def hidden(self, inputs: Sequence[NDArray[np.float32]]) -> tuple[list[Tensor], list[int]]:
        of_inputs = [pieces_of(audio, self.window, self.minimum) for audio in inputs]
        windows = [window for pieces in of_inputs for window in pieces]
        values = self._values(windows)
        layers = self.hidden_layers.run(lambda: self.model(values).last_hidden_state)
        frames = [[self._frames(window) for window in pieces] for pieces in of_inputs]
        return [padded(joined(self._read(layer), frames)) for layer in layers], [sum(own) for own in frames]

    @property
    def longest(self) -> int:
        return self.window

    def waveform(self, audio: Tensor) -> list[Tensor]:
        bands = traced_bands(audio, int(self.extractor.num_mel_bins), "hanning")
        frames = bands.shape[1]
        whole = F.pad(bands, (0, 0, 0, int(self.extractor.max_length) - frames))
        if self.extractor.do_normalize:
            whole = (whole - self.extractor.mean) / (2 * self.extractor.std)
        layers = self.hidden_layers.run(lambda: self.model(whole).last_hidden_state)
        if self.level == "utterance":
            return [self._read(layer) for layer in layers]
        return [self._read(layer)[:, : (frames + self.step - 1) // self.step] for layer in layers]

    def _values(self, windows: Sequence[NDArray[np.float32]]) -> Tensor:
        """The spectrograms of windows that are no longer than the model's own."""
        values = self.extractor(list(windows), sampling_rate=self.sample_rate, return_tensors="pt").input_values
        return self.moved(values).to(self.model.dtype)

    def _frames(self, window: NDArray[np.float32]) -> int:
        """Columns of patches that begin within a window; 1 at utterance level."""
        if self.level == "utterance":
            return 1
        return min(self.columns, -(-(1 + (len(window) - FRAME) // HOP) // self.step))

    def _read(self, tokens: Tensor) -> Tensor:
        """`(windows, tokens, dim)` -> `(windows, 1, dim)` at utterance level, `(windows, columns, dim)` at frame level."""
        if self.level == "utterance":
            return tokens[:, :TOKENS].mean(1, keepdim=True)
        patches = tokens[:, TOKENS:].reshape(tokens.shape[0], self.bands, self.columns, tokens.shape[2])
        return patches.mean(1)

    def pieces(self) -> list[NDArray[np.float32]]:
        """The audio of the probe, of one window at most."""
        return [piece[: self.window] for piece in super().pieces()]
