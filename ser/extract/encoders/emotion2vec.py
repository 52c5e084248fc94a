"""emotion2vec and emotion2vec+: speech emotion representations, through funasr.

Ma et al., Findings of ACL 2024 (arXiv:2312.15185). Audio `(samples,)` at 16 kHz, normalised to zero mean and unit
variance over the utterance (eps 1e-5) -> frames `(1 + (samples - 400) // 320, dim)`, 50 Hz: the encoder's output
after its ten extra tokens.

The model class is funasr's; its `AutoModel` is not used: that fills weights missing from a checkpoint with random
numbers, reseeds every random generator, sets the number of threads, and sends each utterance through a decoder of
its own.
"""

import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import EncoderError
from ser.extract import weights
from ser.extract.encoder import Checkpoint, Options
from ser.extract.frozen import DTYPES, Frozen, device, only, require, torch_dtype, versions
from ser.extract.hubs import Found, mirror_cache, mirror_hub, modelscope_cache, modelscope_hub
from ser.extract.pretrained import refuse_missing
from ser.extract.weights import Name, locate, understand

MODALITY = "audio"
SOURCE = "Ma et al., Shanghai Jiao Tong University and Alibaba; through funasr"
LICENCE = "FunASR model licence"
LEVELS = ("utterance", "frame")
_PLUS = "fine-tuned on emotion labels, academic corpora among them: IEMOCAP, CREMA-D, MELD, RAVDESS"
CHECKPOINTS = {
    "emotion2vec": Checkpoint(
        "iic/emotion2vec_base", 768, "self-supervised, 262 h of emotional speech, IEMOCAP and MELD among them"
    ),
    "emotion2vec-base-finetuned": Checkpoint("iic/emotion2vec_base_finetuned", 768, _PLUS),
    "emotion2vec-plus-seed": Checkpoint("iic/emotion2vec_plus_seed", 768, _PLUS),
    "emotion2vec-plus-base": Checkpoint("iic/emotion2vec_plus_base", 768, _PLUS),
    "emotion2vec-plus-large": Checkpoint("iic/emotion2vec_plus_large", 1024, _PLUS),
}
SAMPLE_RATE = 16000
NORMALISATION_EPS = 1e-5
NEEDS = (("config.yaml",),)


def accepts(name: str) -> bool:
    """Other emotion2vec models: a hub id that says so, or a folder in funasr's layout."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return (folder / "config.yaml").is_file() and not (folder / "config.json").is_file()
    return weights.is_hub_id(name) and "emotion2vec" in name.lower()


def load(name: str, options: Options) -> "Emotion2vec":
    """An emotion2vec model by short name, hub id or folder.

    Raises:
        EncoderError: funasr or the files cannot be had, or the checkpoint lacks a weight.
    """
    require("funasr", "encoders")
    only(options, name, layers=[options.layers], pooling=["mean"], dtype=DTYPES)
    device(options.device)
    known = understand(name, "emotion2vec", CHECKPOINTS)
    found = locate(known, options, NEEDS, (modelscope_cache, mirror_cache, modelscope_hub, mirror_hub))
    encoder = Emotion2vec(known, found, options)
    encoder.probe()
    return encoder


class Emotion2vec(Frozen):
    """A loaded emotion2vec model."""

    modality = MODALITY
    sample_rate = SAMPLE_RATE

    def __init__(self, name: Name, found: Found, options: Options) -> None:
        from ser.extract.encoders.speech import receptive_field

        checkpoint = checkpoint_file(found.folder)
        self.model, config = build(found.folder / "config.yaml")
        fill(self.model, checkpoint, found)
        audio = self.model.modality_encoders["AUDIO"]
        self.blocks = [*audio.context_encoder.blocks, *self.model.blocks]
        super().__init__(name, found, options, plugin="emotion2vec", dim=int(config.embed_dim), depth=len(self.blocks))
        self.extra = int(config.modalities.audio.num_extra_tokens)
        self.normalise = bool(config.normalize)
        self.minimum = receptive_field(
            [k for _, k, _ in audio.feature_enc_layers], [s for *_, s in audio.feature_enc_layers]
        )
        self.model.to(self.device)
        self.identity |= {
            "weights_sha256": weights.sha256([checkpoint]),
            "settings_sha256": weights.sha256([found.folder / "config.yaml"]),
            "sample_rate": SAMPLE_RATE,
            "normalise": "utterance" if self.normalise else None,
            "normalise_eps": NORMALISATION_EPS if self.normalise else None,
            "versions": versions("torch", "funasr"),
        }

    def hidden(self, audio: NDArray[np.float32]) -> list[Any]:
        import torch

        source = torch.from_numpy(audio).to(self.device)
        if self.normalise:
            source = torch.nn.functional.layer_norm(source, source.shape, eps=NORMALISATION_EPS)
        depth = len(self.blocks)
        kept: dict[int, Any] = {}
        hooks = [self._keep(kept, layer) for layer in self.layers if layer < depth]
        # The learned position bias must stay float32, so weights are not cast.
        half = nullcontext() if self.dtype == "float32" else torch.autocast(source.device.type, torch_dtype(self.dtype))
        try:
            with half:
                output = self.model.extract_features(source.view(1, -1), padding_mask=None, remove_extra_tokens=False)
        finally:
            for hook in hooks:
                hook.remove()
        kept[depth] = output["x"]
        return [kept[layer][0, self.extra :] for layer in self.layers]

    def _keep(self, kept: dict[int, Any], layer: int) -> Any:
        """Note a block's input: the output of layer `layer`, counted from 0."""

        def before(_: Any, inputs: tuple[Any, ...]) -> None:
            kept[layer] = inputs[0].clone()  # the block may work in place

        return self.blocks[layer].register_forward_pre_hook(before)


def checkpoint_file(folder: Path) -> Path:
    """The weights in a folder of funasr's layout: what `configuration.json` names, else `model.pt`, else the only `.pt`.

    Raises:
        EncoderError: there are none, or it cannot be told which.
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


def build(settings: Path) -> tuple[Any, Any]:
    """funasr's model of a `config.yaml`, with random weights, in evaluation mode; and its `model_conf`.

    Raises:
        EncoderError: funasr cannot be imported, or the file describes no emotion2vec.
    """
    with undisturbed():
        try:
            from funasr.models.emotion2vec.model import Emotion2vec as Model
            from omegaconf import OmegaConf
        except (ImportError, OSError) as error:
            action = "On Python 3.12 and later it needs setuptools; beside a CPU torch there must be no torchaudio."
            raise EncoderError("funasr cannot be imported", found=str(error)[:200], action=action) from None
        try:
            # OmegaConf, not PyYAML: to the latter `1e-05` is text.
            config = OmegaConf.load(settings)
            layers = str(config.model_conf.modalities.audio.feature_encoder_spec)
            # funasr evaluates this text as Python.
            if config.model != "Emotion2vec" or not re.fullmatch(r"(?!.*\*\s*\*)[\d\s()\[\],+*]{1,500}", layers):
                raise ValueError(f"model {config.model}, layers {layers[:80]}")
            model = Model(model_conf=OmegaConf.to_container(config.model_conf, resolve=True))
        except Exception as error:  # whatever a wrong configuration does to the model's constructor
            expected = "the config.yaml of an emotion2vec model"
            raise EncoderError(f"cannot use {settings}", expected=expected, found=str(error)[:200]) from None
    for encoder in model.modality_encoders.values():
        encoder.remove_pretraining_modules()  # the decoder, which features do not depend on
    return model.eval().requires_grad_(False), model.cfg


def fill(model: Any, checkpoint: Path, found: Found) -> None:
    """Load a checkpoint into a model; every weight must be there.

    Raises:
        EncoderError: the checkpoint is damaged or lacks a weight.
    """
    import torch

    try:
        # weights_only: a checkpoint is a pickle, and must not run code.
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and torch errors of many kinds
        raise EncoderError(f"{checkpoint} is damaged or no checkpoint", found=str(error).split("\n")[0][:200]) from None
    for wrapping in ("state_dict", "model_state_dict", "model"):
        state = state[wrapping] if isinstance(state, dict) and isinstance(state.get(wrapping), dict) else state
    state = {key.removeprefix("module."): value for key, value in state.items()}
    wanted = model.state_dict()
    lacking = sorted(key for key, value in wanted.items() if key not in state or state[key].shape != value.shape)
    if lacking:
        refuse_missing(found, lacking)
    model.load_state_dict({key: state[key].to(value.dtype) for key, value in wanted.items()}, strict=True)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Undo what importing and building with funasr does to the process: random states, threads, log handlers, prints."""
    import logging

    import torch

    root, threads = logging.getLogger(), torch.get_num_threads()
    handlers, level = list(root.handlers), root.level
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (the global state is the point)
    try:
        with torch.random.fork_rng(devices=[]), redirect_stdout(StringIO()):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_num_threads(threads)
        root.handlers[:] = handlers
        root.setLevel(level)
