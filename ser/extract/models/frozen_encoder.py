"""The base of the audio encoders with weights: exact batches, the layers that are wanted, pooling, a probe at the start."""

import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ser.accelerator import exact, pick_device
from ser.errors import AudioError, EncoderError
from ser.extract.checkpoints import ModelName
from ser.extract.encoder import Encoder
from ser.extract.hubs import ModelFiles
from ser.extract.models.padding import valid
from ser.extract.options import STATISTICS, EncoderOptions, chosen_layers, refuse_pooled_frames, store_name

# Seconds of audio in a batch. On a CPU the products are large enough with few utterances, and more only leave the
# cache; on a GPU this is some 5 GB for the convolutions of a model in float32.
CPU_SECONDS, GPU_SECONDS = 16.0, 240.0
TOLERANCE = 1e-4  # relative difference that a batch may make in the probe; rounding makes some 1e-6
PROBES = (0.25, 0.4, 0.11)  # s


class _Reached(Exception):
    """All that is wanted has been computed."""


class HiddenLayers:
    """Watches the inputs of a model's blocks: layer n is the input of block n, the last layer the model's output.

    The last layer is thus with the final layer norm where the model has one. Threads may share the model.

    Args:
        blocks: the model's; those above the wanted layers are removed from the list.
        layers: numbers from 0 to `len(blocks)`.
    """

    def __init__(self, blocks: nn.ModuleList, layers: Sequence[int]) -> None:
        self.layers = list(layers)
        self.top, self.depth = max(layers), len(blocks)
        self._own = threading.local()
        for layer in sorted({n for n in layers if n < self.depth}):
            blocks[layer].register_forward_pre_hook(self._keeper(layer), with_kwargs=True)
        del blocks[self.top + 1 :]

    def run(self, forward: Callable[[], Tensor]) -> list[Tensor]:
        """The layers, in the order of their numbers given.

        Args:
            forward: runs the model and returns its output.
        """
        self._own.kept = kept = {}
        try:
            kept[self.depth] = forward()
        except _Reached:
            pass
        finally:
            self._own.kept = None
        return [kept[layer] for layer in self.layers]

    def _keeper(self, layer: int) -> Callable[[Any, tuple[Any, ...], dict[str, Any]], None]:
        def before(_: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            kept = getattr(self._own, "kept", None)
            if kept is None:
                return
            kept[layer] = inputs[0] if inputs else named["hidden_states"]
            if layer == self.top:
                raise _Reached

        return before


def blocks_of(model: nn.Module, depth: int) -> nn.ModuleList | None:
    """The list of a model's `depth` blocks; None where it has no such list (ALBERT's share their weights)."""
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    return lists[0] if len(lists) == 1 else None


class Frozen(Encoder):
    """An encoder whose hidden layers are sequences of frames.

    Layer 0 is the input of the first block, layer `depth` the model's last hidden state: with the final layer norm
    where the model has one (transformers' `hidden_states[-1]` of such models lacks it). Blocks above the highest layer
    wanted are not computed.

    Utterance level is the mean over an utterance's own frames, accumulated in float64; under the pooling `mean,std` their
    standard deviation follows (of the population: 0 of a single frame).

    Attributes:
        width: features of a frame.
        pooling: `mean`, `mean,std`; None at frame level.
        probed: largest relative difference that the probe found between a batch and its utterances alone.
    """

    processes = False
    probed = 0.0

    def __init__(
        self, name: ModelName, found: ModelFiles, options: EncoderOptions, *, plugin: str, dim: int, depth: int
    ) -> None:
        self.level = options.level or "utterance"
        refuse_pooled_frames(options, name.short)
        self.pooling = (options.pooling or "mean") if self.level == "utterance" else None
        self.width, self.dim = dim, 2 * dim if self.pooling == STATISTICS else dim
        self.layers = chosen_layers(options.layers, depth, self.level)
        self.stacked = self.level == "utterance" and (options.layers == "all" or len(self.layers) > 1)
        self.name = store_name(name.short, options, "utterance")
        self.device = pick_device(options.device)
        self.dtype = options.dtype
        self.batch_seconds = options.batch_seconds
        self.assets = {}
        self.identity = {
            "plugin": plugin,
            "model": found.model,
            "revision": found.revision,
            "level": self.level,
            "layers": self.layers,
            "last_layer": depth,
            "pooling": self.pooling,
            "dtype": self.dtype,
        }
        if name.checkpoint is not None and name.checkpoint.dim != dim:
            raise EncoderError(f"{found.folder} is not {name.model}", expected=f"{name.checkpoint.dim} features", found=dim)

    @property
    def budget(self) -> int:
        seconds = self.batch_seconds
        if seconds is None:
            seconds = CPU_SECONDS if self.device == "cpu" else GPU_SECONDS
        return int(seconds * self.sample_rate)

    def halve(self) -> float:
        """Take half as much audio in a batch from now on; the seconds that are left."""
        self.batch_seconds = self.budget / self.sample_rate / 2
        return self.batch_seconds

    @abstractmethod
    def hidden(self, inputs: Sequence[NDArray[np.float32]]) -> tuple[list[Tensor], list[int]]:
        """The chosen layers of a batch: each a tensor `(batch, frames, dim)`, and the number of real frames of each row."""

    @property
    def network(self) -> nn.Module | None:
        """The network of an encoder that has `waveform`, its attribute `model`; None of others."""
        return getattr(self, "model", None) if type(self).waveform is not Frozen.waveform else None

    @property
    def longest(self) -> int | None:
        """The samples of the longest audio that `waveform` takes; None for any."""
        return None

    def waveform(self, audio: Tensor) -> list[Tensor]:
        """The chosen layers, `(batch, frames, dim)` each, of audio `(batch, samples)` of one length.

        They are those of `hidden`, made of torch's operations alone, so that they can be traced. Where `network` is not None.
        """
        raise NotImplementedError

    def pool_whole(self, layer: Tensor) -> Tensor:
        """The vector of utterance level of a layer whose frames are all real, `(batch, frames, dim)` -> `(batch, size)`."""
        centre = layer.mean(1)
        if self.pooling != STATISTICS:
            return centre
        return torch.cat([centre, (layer - centre[:, None]).square().mean(1).sqrt()], dim=-1)

    def moved(self, values: Tensor) -> Tensor:
        """Values on the device.

        To an NVIDIA GPU the copy goes on behind the computation, from pinned memory, which torch keeps until it has ended.
        Elsewhere it is waited for: an Apple GPU may read memory that was given back meanwhile (pytorch issue 189690).
        """
        if self.device.startswith("cuda"):
            return values.pin_memory().to(self.device, non_blocking=True)
        return values.to(self.device)

    def encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        for audio in inputs:
            if len(audio) < self.minimum:
                expected = f"{self.minimum} samples at {self.sample_rate} Hz or more"
                raise AudioError("the audio is shorter than the encoder's receptive field", expected=expected, found=len(audio))
        with torch.inference_mode(), exact(self.device):
            return self._features(*self.hidden(inputs))

    def _features(self, layers: list[Tensor], frames: list[int]) -> list[NDArray[np.float32]]:
        if self.level == "frame":
            block = layers[0].float().cpu().numpy()
            return [block[row, :count].copy() for row, count in enumerate(frames)]
        pool = statistics_over if self.pooling == STATISTICS else mean_over
        pooled = torch.stack([pool(layer, frames) for layer in layers], dim=1).float().cpu().numpy()
        return list(pooled if self.stacked else pooled[:, 0])

    def probe(self, expected: Sequence[Tensor] | None = None) -> None:
        """Encode four short pieces of noise as a batch, and compare each with itself alone.

        This fails when a version of the library does not behave as the batches here assume. It is done in
        float32, before the model is cast to what it computes in: the rounding of bfloat16 would hide an error.

        Args:
            expected: the highest wanted layer, `(frames, dim)` for each piece, as the untouched model gives it; without it
                the pieces are encoded alone.

        Raises:
            EncoderError: the output is not `(..., dim)`, or a batch changes the features.
        """
        pieces = self.pieces()
        with torch.inference_mode(), exact(self.device):
            batch = self._top(pieces)
            alone = [self._top([piece])[0] for piece in pieces] if expected is None else expected
        if batch[0].shape[-1] != self.width:
            raise EncoderError(f"{self.name} gives another dimension", expected=self.width, found=tuple(batch[0].shape))
        found = max(_distance(row, one) for row, one in zip(batch, alone, strict=True))
        if not found <= TOLERANCE:
            raise EncoderError(
                f"{self.name}: a batch changes the features",
                expected=f"a relative difference of {TOLERANCE:g} at most",
                found=f"{found:.2g} between a batch and the untouched model",
                action="The installed libraries differ from those that this was written for: see `ser doctor`.",
            )
        self.probed = max(self.probed, found)

    def untouched(self, model: Any, values: Callable[[NDArray[np.float32]], Mapping[str, Any]]) -> list[Tensor]:
        """The highest wanted layer of each piece of the probe, `(1, frames, dim)`, as a model of transformers computes it.

        Args:
            values: what the model reads of a piece.
        """
        top, last = max(self.layers), self.identity["last_layer"]
        with torch.inference_mode(), exact(self.device):
            found = [model(**values(piece), output_hidden_states=True) for piece in self.pieces()]
        return [output.last_hidden_state if top == last else output.hidden_states[top] for output in found]

    def pieces(self) -> list[NDArray[np.float32]]:
        """The audio that the probe encodes: noise of three lengths, and of the shortest that is possible."""
        generator = np.random.default_rng(0)
        lengths = [*(int(seconds * self.sample_rate) for seconds in PROBES), self.minimum]
        return [generator.normal(0.01, 0.1, max(self.minimum, n)).astype(np.float32) for n in lengths]

    def _top(self, inputs: list[NDArray[np.float32]]) -> list[Tensor]:
        """The highest layer that is wanted, `(frames, dim)` for each input."""
        layers, frames = self.hidden(inputs)
        top = layers[self.layers.index(max(self.layers))]
        return [top[row, :count] for row, count in enumerate(frames)]


def mean_over(layer: Tensor, frames: Sequence[int]) -> Tensor:
    """Mean over each row's own frames, `(batch, frames, dim)` -> `(batch, dim)`, in float64 where the device has it."""
    wide = torch.float32 if layer.device.type == "mps" else torch.float64
    mask = valid(frames, layer.device)
    if mask is None:
        return layer.mean(1, dtype=wide)
    # Not a product with the mask: numbers in padding need not be finite.
    kept = torch.where(mask[..., None], layer, torch.zeros((), dtype=layer.dtype, device=layer.device))
    return kept.sum(1, dtype=wide) / mask.sum(1, keepdim=True)


def statistics_over(layer: Tensor, frames: Sequence[int]) -> Tensor:
    """Mean and standard deviation over each row's own frames, `(batch, frames, dim)` -> `(batch, 2 dim)`, as `mean_over`."""
    centre = mean_over(layer, frames)
    variance = mean_over((layer - centre[:, None]).square(), frames)  # of deviations: no cancellation
    return torch.cat([centre, variance.sqrt()], dim=-1)


def _distance(left: Tensor, right: Tensor) -> float:
    """||left - right|| / ||right||; infinite where the shapes differ."""
    if left.shape != right.shape:
        return float("inf")
    left, right = left.cpu().double(), right.cpu().double()  # Apple's GPUs have no float64
    return float((left - right).norm() / right.norm().clamp_min(1e-30))
