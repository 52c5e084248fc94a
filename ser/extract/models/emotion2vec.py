"""A checkpoint of emotion2vec, loaded strictly."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn

from ser.errors import EncoderError
from ser.extract.checkpoints import ModelName, sha256
from ser.extract.hubs import ModelFiles
from ser.extract.models.emotion2vec_network import Emotion2vecNet
from ser.extract.models.frozen_encoder import Frozen
from ser.extract.models.loading import refuse_missing
from ser.extract.models.stem import receptive_field
from ser.extract.options import EncoderOptions, torch_dtype
from ser.extract.provenance import versions

SAMPLE_RATE = 16000
NORMALISATION_EPS = 1e-5
# What features depend on. A checkpoint also has its pre-training's decoder, and a classifier where it was fine-tuned.
_AUDIO = "modality_encoders.AUDIO."
_PARTS = (
    "local_encoder",
    "project_features",
    "relative_positional_encoder",
    "context_encoder",
    "extra_tokens",
    "alibi",
)
ENCODER = ("blocks.", "norm.", *(_AUDIO + part for part in _PARTS))


class Emotion2vec(Frozen):
    """A loaded emotion2vec model."""

    modality = "audio"
    sample_rate = SAMPLE_RATE

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions) -> None:
        checkpoint = checkpoint_file(found.folder)
        settings = read_settings(found.folder / "config.yaml")
        self.net = build_network(settings, found.folder / "config.yaml")
        fill(self.net, checkpoint, found)
        super().__init__(name, found, options, plugin="emotion2vec", dim=self.net.dim, depth=self.net.depth)
        self.normalise = bool(settings.get("normalize"))
        self.minimum = receptive_field([k for _, k, _ in self.net.audio.spec], [s for *_, s in self.net.audio.spec])
        self.values_dtype = torch.float32
        to_device(self.net, self.device, torch.float32)
        self.identity |= {
            "weights_sha256": sha256([checkpoint]),
            "settings_sha256": sha256([found.folder / "config.yaml"]),
            "sample_rate": SAMPLE_RATE,
            "normalise": "utterance" if self.normalise else None,
            "normalise_eps": NORMALISATION_EPS if self.normalise else None,
            "versions": versions("torch"),
        }
        self.probe()
        self.values_dtype = torch_dtype(self.dtype)
        to_device(self.net, self.device, self.values_dtype)

    def hidden(self, inputs: Sequence[NDArray[np.float32]]) -> tuple[list[Tensor], list[int]]:
        layers: tuple[list[Tensor], list[int]] = self.net([self._values(audio) for audio in inputs], self.layers)
        return layers

    def _values(self, audio: NDArray[np.float32]) -> Tensor:
        source = torch.from_numpy(audio)
        if self.normalise:
            source = nn.functional.layer_norm(source, source.shape, eps=NORMALISATION_EPS)
        return self.moved(source).to(self.values_dtype)


def checkpoint_file(folder: Path) -> Path:
    """The weights in a folder of funasr's layout: that of `configuration.json`, else `model.pt`, else the only `.pt`.

    Raises:
        EncoderError: there are none, or several without a name that decides.
    """
    try:
        named = json.loads((folder / "configuration.json").read_text(encoding="utf-8"))["file_path_metas"]["init_param"]
    except (OSError, ValueError, KeyError, TypeError):
        named = "model.pt"
    files = sorted(folder.glob("*.pt"))
    for file in files:
        if file.name == named or len(files) == 1:
            return file
    raise EncoderError(
        f"{folder} has no weights", expected=named, found=", ".join(f.name for f in files) or "no .pt file"
    )


def read_settings(path: Path) -> Mapping[str, Any]:
    """`model_conf` of a `config.yaml`.

    Raises:
        EncoderError: the file does not describe an emotion2vec model.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if content["model"] != "Emotion2vec" or not isinstance(content["model_conf"], dict):
            raise ValueError(f"model {content['model']}")
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise _unusable(path, error) from None
    settings: Mapping[str, Any] = content["model_conf"]
    return settings


def build_network(settings: Mapping[str, Any], path: Path) -> Emotion2vecNet:
    """The network that the settings describe, with no weights yet, in evaluation mode.

    Args:
        path: of the file, for the message.

    Raises:
        EncoderError: the settings lack something, or ask for what the network does not have.
    """
    try:
        with torch.device("meta"):  # no memory and no random numbers: every weight comes from the checkpoint
            return Emotion2vecNet(settings).eval().requires_grad_(False)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unusable(path, error) from None


def to_device(net: Emotion2vecNet, device: str, dtype: torch.dtype) -> None:
    """Move the network; the scales of the attention's bias stay in float32."""
    scale = getattr(net.audio, "alibi_scale", None)
    kept = None if scale is None else scale.detach().clone()
    net.to(device, dtype)
    if kept is not None:
        net.audio.alibi_scale = nn.Parameter(kept.to(device), requires_grad=False)
    net.audio.prepare()


def _unusable(path: Path, error: Exception) -> EncoderError:
    found = f"{type(error).__name__}: {error}"[:200]
    return EncoderError(f"cannot use {path}", expected="the config.yaml of an emotion2vec model", found=found)


def fill(model: nn.Module, checkpoint: Path, found: ModelFiles) -> None:
    """Load a checkpoint into a model; every weight must be there.

    Raises:
        EncoderError: the checkpoint is damaged or lacks a weight.
    """
    state = read_state(checkpoint)
    wanted = model.state_dict()
    lacking = sorted(key for key, value in wanted.items() if key not in state or state[key].shape != value.shape)
    if lacking:
        refuse_missing(found, lacking)
    strange = sorted(key for key in state if key.startswith(ENCODER) and key not in wanted)
    if strange:
        raise EncoderError(
            f"{checkpoint} has weights that its config.yaml does not describe",
            found=f"{len(strange)}: {', '.join(strange[:3])}",
            action="Is the config.yaml that of this checkpoint?",
        )
    model.load_state_dict({key: state[key].float() for key in wanted}, strict=True, assign=True)
    model.requires_grad_(False)


def read_state(checkpoint: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint by their published names.

    Raises:
        EncoderError: it is damaged.
    """
    try:
        # weights_only: a checkpoint is a pickle, and must not run code.
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and torch errors of many kinds
        raise EncoderError(
            f"{checkpoint} is damaged or not a checkpoint", found=str(error).split("\n")[0][:200]
        ) from None
    for wrapping in ("state_dict", "model_state_dict", "model"):
        state = state[wrapping] if isinstance(state, dict) and isinstance(state.get(wrapping), dict) else state
    return {key.removeprefix("module."): value for key, value in state.items()}
