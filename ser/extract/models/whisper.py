"""Whisper's encoder: transformers' own, on windows of 30 s as published, or on the true frames of an utterance alone.

Published: an utterance is padded with silence to a whole window, which the encoder reads; frames of padding are dropped from
what it gives, and the last block, behind which nothing reads them, does not compute them. Exact: the padding is dropped from
what it reads. The log-mel spectrogram is that of the published window, cut behind the utterance's frames; positions begin at
0 and end with them; audio of more than 30 s goes in windows, the last of which is cut. In a batch the frames behind a shorter
utterance are 0 before the first convolution, as a convolution's own padding is (the second, of stride 2, reads none of them
for a frame of the utterance), and masked in attention.
"""

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ser.extract.checkpoints import ModelName
from ser.extract.hubs import ModelFiles
from ser.extract.models.frozen_encoder import Frozen, HiddenLayers
from ser.extract.models.loading import PREPROCESSOR, load_extractor, load_strictly, weights_identity
from ser.extract.models.padding import joined, padded, pieces_of, valid, whole_windows
from ser.extract.options import EXACT, EncoderOptions, torch_dtype
from ser.extract.provenance import versions

MOSTLY = 0.9  # of a batch's frames: with less padding than the rest the last block computes all of them
STRIDE = 2  # of the second convolution: spectrogram frames an encoder frame


class Whisper(Frozen):
    """A loaded Whisper encoder; the decoder is not loaded."""

    modality = "audio"

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions) -> None:
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        prefix = {r"^(model\.)?encoder\.": ""}  # of the encoder within the whole model
        self.model = load_strictly(WhisperEncoder, found, "float32", r"$^", key_mapping=prefix)
        self.extractor = load_extractor(found)
        config = self.model.config
        super().__init__(name, found, options, plugin="whisper", dim=config.d_model, depth=config.encoder_layers)
        self.sample_rate = int(self.extractor.sampling_rate)
        self.minimum = int(self.extractor.n_fft)
        self.window = int(self.extractor.n_samples)
        self.hop = int(self.extractor.hop_length)
        self.exact = options.window == EXACT
        self.model.to(self.device)
        self.hidden_layers = HiddenLayers(self.model.layers, self.layers)
        self._own = threading.local()  # `frames` that the batch of this thread needs of the last block
        last = self.model.layers[min(self.hidden_layers.top, config.encoder_layers) - 1]
        last.forward = partial(self._of_own_frames, last, last.forward)
        self.identity |= weights_identity(found, "config.json", *PREPROCESSOR)
        self.identity |= {
            "sample_rate": self.sample_rate,
            "window": EXACT if self.exact else self.extractor.chunk_length,
            "versions": versions("torch", "transformers", "numpy"),
        }
        self.probe()
        self.model.to(torch_dtype(self.dtype))

    def costs(self, inputs: Sequence[int]) -> list[int]:
        """Samples; as published in whole windows, as a short utterance is padded to one."""
        return list(inputs) if self.exact else whole_windows(inputs, self.window)

    def hidden(self, inputs: Sequence[NDArray[np.float32]]) -> tuple[list[Tensor], list[int]]:
        of_inputs = [pieces_of(audio, self.window, 0) for audio in inputs]
        windows = [window for pieces in of_inputs for window in pieces]
        frames = [self._frames(window) for window in windows]
        if self.exact:
            layers = self._own_frames(windows, frames)
        else:
            mel = self.extractor(windows, sampling_rate=self.sample_rate, return_tensors="pt").input_features
            mel = self.moved(mel).to(self.model.dtype)
            self._own.frames = max(frames)
            layers = self.hidden_layers.run(lambda: self.model(mel).last_hidden_state)
        if len(windows) == len(inputs):
            return [layer[:, : max(frames)] for layer in layers], frames
        own = [[self._frames(window) for window in pieces] for pieces in of_inputs]
        return [padded(joined(layer, own)) for layer in layers], [sum(counts) for counts in own]

    @property
    def longest(self) -> int:
        return self.window

    def waveform(self, audio: Tensor) -> list[Tensor]:
        samples = audio.shape[1]
        frames = (samples + self.hop * STRIDE - 1) // (self.hop * STRIDE)
        heard: Any = self.window
        if self.exact:
            longest = frames * self.hop * STRIDE + 2 * self.extractor.n_fft
            heard = torch.clamp(torch.as_tensor(longest), max=self.window)
        mel = self._mel(F.pad(audio, (0, heard - samples)))
        mel = mel[:, :, : STRIDE * frames] if self.exact else mel
        self._own.frames = self.window // (self.hop * STRIDE)  # all: the last block is not cut
        return [layer[:, :frames] for layer in self.hidden_layers.run(lambda: self._encoded(mel, None))]

    def _mel(self, audio: Tensor) -> Tensor:
        """The extractor's log-mel spectrogram as a convolution, `(batch, samples)` -> `(batch, bands, frames)`."""
        size = int(self.extractor.n_fft)
        angle = torch.outer(torch.arange(size // 2 + 1).double(), torch.arange(size).double()) * (2 * torch.pi / size)
        waves = torch.cat([angle.cos(), -angle.sin()]) * torch.hann_window(size, dtype=torch.float64)
        wide = F.pad(audio[:, None], (size // 2, size // 2), mode="reflect")
        parts = F.conv1d(wide, waves.float()[:, None], stride=self.hop)[..., :-1]  # the last frame is left out
        power = parts[:, : size // 2 + 1].square() + parts[:, size // 2 + 1 :].square()
        bands = torch.from_numpy(np.asarray(self.extractor.mel_filters)).float()
        logs = (bands.T @ power).clamp_min(1e-10).log10()
        return (torch.maximum(logs, logs.amax((1, 2), keepdim=True) - 8) + 4) / 4

    def _frames(self, audio: NDArray[np.float32]) -> int:
        """The encoder's frames of audio, a begun one included."""
        return -(-len(audio) // (self.hop * STRIDE))

    def _of_own_frames(self, block: Any, whole: Any, states: Tensor, mask: Tensor | None, **named: Any) -> Tensor:
        """The output of the last block, of the first frames alone where the others are padding; it reads all frames."""
        frames = getattr(self._own, "frames", states.shape[1])
        if self.exact or mask is not None or frames > MOSTLY * states.shape[1]:
            found: Tensor = whole(states, mask, **named)
            return found
        normal = block.self_attn_layer_norm(states)
        attended, _ = block.self_attn(normal[:, :frames], key_value_states=normal, attention_mask=None)
        states = states[:, :frames] + attended
        states = states + block.fc2(block.activation_fn(block.fc1(block.final_layer_norm(states))))
        if states.dtype == torch.float16:
            most = torch.finfo(states.dtype).max - 1000
            states = states.clamp(-most, most)
        return states

    def _own_frames(self, windows: Sequence[NDArray[np.float32]], frames: list[int]) -> list[Tensor]:
        """The layers `(windows, frames, dim)` of windows that are not padded to 30 s."""
        mel = padded([self._spectrogram(audio, count) for audio, count in zip(windows, frames, strict=True)])
        mel = self.moved(mel).to(self.model.dtype).transpose(1, 2)
        mask = valid(frames, self.device)
        seen = None if mask is None else mask[:, None, None]
        return self.hidden_layers.run(lambda: self._encoded(mel, seen))

    def _spectrogram(self, audio: NDArray[np.float32], frames: int) -> Tensor:
        """The published spectrogram of a window up to the audio's end, `(STRIDE * frames, bands)`.

        The highest value, from which the floor is taken, is looked for in every frame that reads audio: those that stand
        a little behind the end are computed too.
        """
        wanted = STRIDE * frames * self.hop
        longest = min(self.window, wanted + 2 * self.extractor.n_fft)
        mel = self.extractor(
            audio, sampling_rate=self.sample_rate, max_length=longest, padding="max_length", return_tensors="pt"
        ).input_features[0]
        cut: Tensor = mel[:, : STRIDE * frames].T
        return cut

    def _encoded(self, mel: Tensor, mask: Tensor | None) -> Tensor:
        """Compute transformers' encoder on any number of frames: `(batch, bands, frames)` -> `(batch, frames, dim)`."""
        states = F.gelu(self.model.conv2(F.gelu(self.model.conv1(mel)))).transpose(1, 2)
        states = states + self.model.embed_positions.weight[: states.shape[1]]
        for layer in self.model.layers:
            states = layer(states, mask)
        last: Tensor = self.model.layer_norm(states)
        return last
