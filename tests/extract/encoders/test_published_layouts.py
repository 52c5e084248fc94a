"""Models load from folders as the hubs have them: names of weights, settings, and files beside them that nobody reads.

What this version of transformers saves is not what was published: older versions named weights and settings otherwise, and
repositories hold several formats. Published weights of most families cannot be downloaded here, but their layout can be written
with random ones. Facts of the layouts: the repositories that are named, as they stood in 2025.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ser import registry
from ser.extract import encoder as base
from ser.extract.encoder import ENCODERS
from ser.extract.options import EncoderOptions

Tiny = Callable[[str], Path]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
WEIGHTS = "model.safetensors"
# Old names of weights, as (what is saved today, what was published).
WEIGHT_NORM = ((r"parametrizations\.weight\.original0", "weight_g"), (r"parametrizations\.weight\.original1", "weight_v"))
GAMMA = ((r"LayerNorm\.weight$", "LayerNorm.gamma"), (r"LayerNorm\.bias$", "LayerNorm.beta"))


class Layout(NamedTuple):
    """The differences of a published folder from the one that the tests write.

    Attributes:
        model: of `tiny`.
        modality: of the encoder.
        renamed: patterns of weights' names and what stands in their place.
        added: weights beside them, which nothing uses, and their shapes.
        pickled: true where the weights are `pytorch_model.bin` only.
        beside: files that are not read; pointers of Git LFS here.
        dtype: of the weights.
        settings: changes of `config.json`.
    """

    model: str
    modality: str = "audio"
    renamed: tuple[tuple[str, str], ...] = ()
    added: dict[str, tuple[int, ...]] = {}  # noqa: RUF012  (a constant)
    pickled: bool = False
    beside: tuple[str, ...] = ()
    dtype: torch.dtype = torch.float32
    settings: Callable[[dict[str, Any]], None] = lambda _: None


def modernbert_settings(settings: dict[str, Any]) -> None:
    rope = settings.pop("rope_parameters")
    del settings["layer_types"]
    settings |= {
        f"{old}_rope_theta": rope[f"{new}_attention"]["rope_theta"] for old, new in (("global", "full"), ("local", "sliding"))
    }
    settings |= {"global_attn_every_n_layers": 3, "reference_compile": False, "position_embedding_type": "absolute"}


def qwen_settings(settings: dict[str, Any]) -> None:
    settings["rope_theta"] = settings.pop("rope_parameters")["rope_theta"]
    del settings["layer_types"]
    settings["rope_scaling"] = None


LAYOUTS = {
    "facebook/wav2vec2-base": Layout("wav2vec2", renamed=WEIGHT_NORM, pickled=True),
    "facebook/hubert-base-ls960": Layout("hubert", renamed=WEIGHT_NORM, pickled=True, beside=("tf_model.h5",)),
    "microsoft/wavlm-base": Layout("wavlm", renamed=WEIGHT_NORM, pickled=True),
    "facebook/data2vec-audio-base": Layout("data2vec", pickled=True),
    "microsoft/unispeech-sat-base": Layout("unispeech-sat", renamed=WEIGHT_NORM, pickled=True),
    "facebook/mms-1b-all": Layout("mms", renamed=WEIGHT_NORM, beside=("adapter.deu.bin", "pytorch_model.bin")),
    "facebook/w2v-bert-2.0": Layout("w2vbert", beside=("conformer_shaw.pt",)),
    "openai/whisper-large-v3-turbo": Layout("whisper", dtype=torch.float16, beside=("pytorch_model.bin", "flax_model.msgpack")),
    "openai/whisper-large-v3": Layout(
        "whisper", dtype=torch.float16, beside=("model.fp32-00001-of-00002.safetensors", "pytorch_model.bin")
    ),
    "distil-whisper/distil-large-v3": Layout("whisper", dtype=torch.float16, beside=("model.fp32.safetensors",)),
    "MIT/ast-finetuned-audioset-10-10-0.4593": Layout("ast", beside=("pytorch_model.bin",)),
    "laion/clap-htsat-unfused": Layout("clap", beside=("pytorch_model.bin",)),
    "google-bert/bert-base-uncased": Layout(
        "text", "text", GAMMA, {"bert.embeddings.position_ids": (1, 24)}, beside=("pytorch_model.bin", "rust_model.ot")
    ),
    "FacebookAI/xlm-roberta-base": Layout("xlm-roberta", "text", added={"roberta.embeddings.position_ids": (1, 26)}),
    "answerdotai/ModernBERT-base": Layout("modernbert", "text", settings=modernbert_settings, beside=("pytorch_model.bin",)),
    "openai-community/gpt2": Layout(
        "gpt2", "text", ((r"^transformer\.", ""),), {"h.0.attn.bias": (1, 1, 24, 24)}, beside=("64.tflite",)
    ),
    "Qwen/Qwen3-0.6B": Layout("qwen3", "text", dtype=torch.bfloat16, settings=qwen_settings),
}  # fmt: skip


def published(source: Path, folder: Path, layout: Layout) -> Path:
    """Write a model's folder again in its published layout."""
    shutil.copytree(source, folder)
    weights = {}
    for name, values in load_file(source / WEIGHTS).items():
        for saved, old in layout.renamed:
            name = re.sub(saved, old, name)
        weights[name] = values
    assert not layout.renamed or set(weights) != set(load_file(source / WEIGHTS))
    weights |= {name: torch.zeros(shape) for name, shape in layout.added.items()}
    if layout.pickled:
        torch.save(weights, folder / "pytorch_model.bin")
        (folder / WEIGHTS).unlink()
    else:
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    for file in layout.beside:
        (folder / file).write_text(POINTER)
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"torch_dtype": str(layout.dtype).removeprefix("torch."), "transformers_version": "4.30.0"}
    del settings["dtype"]
    layout.settings(settings)
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def prepared(source: Path, folder: Path, layout: Layout) -> Path:
    """A model as this version of transformers saves it, whose weights are of the published type and rotations no default."""
    shutil.copytree(source, folder)
    weights = load_file(source / WEIGHTS)
    rounded = {n: v.to(layout.dtype) if v.is_floating_point() else v for n, v in weights.items()}
    save_file(rounded, folder / WEIGHTS, metadata={"format": "pt"})
    settings = json.loads((folder / "config.json").read_text())
    rope = settings.get("rope_parameters", {})
    for place, theta in ((rope, 300.0), (rope.get("full_attention", {}), 500.0), (rope.get("sliding_attention", {}), 20.0)):
        if "rope_theta" in place:
            place["rope_theta"] = theta
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("name", LAYOUTS)
def test_published_folders_give_the_same_features(tiny: Tiny, tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    own = prepared(tiny(layout.model), tmp_path / "own", layout)
    theirs = published(own, tmp_path / "their folder", layout)
    one, other = (base.load(str(folder), layout.modality, EncoderOptions()) for folder in (own, theirs))
    given: Any = "i am so happy today !" if layout.modality == "text" else np.sin(np.arange(9000, dtype=np.float32) ** 1.3)
    np.testing.assert_array_equal(one.encode([given])[0], other.encode([given])[0])


@pytest.mark.parametrize("name", ["sensevoice", "speaker"])
def test_published_folders_of_funasr(tmp_path: Path, name: str) -> None:
    """As on ModelScope: `iic/SenseVoiceSmall`, and 3D-Speaker's, whose weights are a plain file beside `configuration.json`."""
    family = registry.load(ENCODERS, name)
    own, theirs = family.example(tmp_path / "own"), family.example(tmp_path / "their folder")
    (theirs / "example").mkdir()
    (theirs / "example" / "en.mp3").write_text(POINTER)
    metas = {"init_param": "model.pt", "config": "config.yaml", "frontend_conf": {"cmvn_file": "am.mvn"}}
    (theirs / "configuration.json").write_text(
        json.dumps({"framework": "pytorch", "model": {"type": "funasr"}, "file_path_metas": metas})
    )
    for file in ("chn_jpn_yue_eng_ko_spectok.bpe.model", "tokens.json"):
        (theirs / file).write_text(POINTER)
    (theirs / "quickstart.md").write_text("read me")
    audio = np.sin(np.arange(16000, dtype=np.float32) ** 1.3)
    one, other = (base.load(str(folder), "audio", EncoderOptions()).encode([audio])[0] for folder in (own, theirs))
    np.testing.assert_array_equal(one, other)
