"""Checkpoints in funasr's layout: `config.yaml`, and weights in a file of torch's, loaded strictly into a network of ours."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml
from torch import Tensor, nn

from ser.errors import EncoderError
from ser.extract.hubs import ModelFiles
from ser.extract.models.loading import quiet_pickles, refuse_missing, why_unreadable

Network = TypeVar("Network", bound=nn.Module)
State = Mapping[str, Tensor]


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
    raise EncoderError(f"{folder} has no weights", expected=named, found=", ".join(f.name for f in files) or "no .pt file")


def read_config(path: Path, model: str, what: str, *sections: str) -> Mapping[str, Any]:
    """A `config.yaml` that describes a model of funasr's.

    Args:
        model: the class's name, which the file must have.
        what: the file that is expected, in words.
        sections: mappings that it must have.

    Raises:
        EncoderError: it does not.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if content["model"] != model or not all(isinstance(content[section], dict) for section in sections):
            raise ValueError(f"model {content['model']}")
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise _unusable(path, what, error) from None
    settings: Mapping[str, Any] = content
    return settings


def build(network: Callable[[], Network], path: Path, what: str) -> Network:
    """The network that settings describe, with no weights yet, in evaluation mode.

    Args:
        path: of the file with the settings, for the message.
        what: the file that is expected, in words.

    Raises:
        EncoderError: the settings lack something, or ask for what the network does not have.
    """
    try:
        with torch.device("meta"):  # no memory and no random numbers: every weight comes from the checkpoint
            return network().eval().requires_grad_(False)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unusable(path, what, error) from None


def _unusable(path: Path, what: str, error: Exception) -> EncoderError:
    return EncoderError(f"cannot use {path}", expected=what, found=f"{type(error).__name__}: {error}"[:200])


def fill(
    model: nn.Module,
    state: State,
    checkpoint: Path,
    found: ModelFiles,
    own: Sequence[str] = ("",),
    strange_to: str = "that its config.yaml does not describe",
) -> None:
    """Load the weights of a checkpoint into a model; every one must be there.

    Args:
        own: the beginnings of the names of weights that features depend on: all of these must be the model's.
        strange_to: the end of the sentence on those that are not.

    Raises:
        EncoderError: the checkpoint lacks a weight, or has one that the model has no place for.
    """
    wanted = model.state_dict()
    counts = {key: torch.tensor(0) for key in wanted if key.endswith("num_batches_tracked")}  # which nothing reads
    state = {**counts, **state}
    lacking = sorted(key for key, value in wanted.items() if key not in state or state[key].shape != value.shape)
    if lacking:
        refuse_missing(found, lacking)
    strange = sorted(key for key in state if key.startswith(tuple(own)) and key not in wanted)
    if strange:
        raise EncoderError(
            f"{checkpoint} has weights {strange_to}",
            found=f"{len(strange)}: {', '.join(strange[:3])}",
            action="Is the config.yaml that of this checkpoint?" if "config.yaml" in strange_to else None,
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
        with quiet_pickles():
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and torch errors of many kinds
        raise EncoderError(f"{checkpoint} is damaged or not a checkpoint", found=why_unreadable(error)) from None
    for wrapping in ("state_dict", "model_state_dict", "model"):
        state = state[wrapping] if isinstance(state, dict) and isinstance(state.get(wrapping), dict) else state
    return {key.removeprefix("module."): value for key, value in state.items()}
