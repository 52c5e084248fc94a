"""The places of models, and the message where they are missing."""

import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ser.errors import ConfigError, EncoderError
from ser.extract import checkpoints, hubs
from ser.extract import encoder as base
from ser.extract.options import EncoderOptions

Tiny = Callable[[str], Path]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Empty caches, and a network that knows no host."""
    from huggingface_hub import constants

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "modelscope"))


@pytest.mark.parametrize(
    ("name", "modality", "command"),
    [
        ("wav2vec2-base", "audio", "hf download facebook/wav2vec2-base"),
        ("someone/wav2vec2-of-mine", "audio", "hf download someone/wav2vec2-of-mine"),
        ("wavlm-large@abc123", "audio", "hf download microsoft/wavlm-large --revision abc123"),
        ("whisper-tiny", "audio", "hf download openai/whisper-tiny"),
        ("bert", "text", "hf download google-bert/bert-base-uncased"),
        ("bert-base-uncased", "text", "hf download google-bert/bert-base-uncased"),
        ("wordpiece:bert", "text", "hf download google-bert/bert-base-uncased"),
        ("emotion2vec", "audio", "modelscope download --model iic/emotion2vec_base"),
        ("iic/emotion2vec_plus_large", "audio", "modelscope download --model iic/emotion2vec_plus_large"),
    ],
)
def test_without_network_one_line_names_what_is_missing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, modality: str, command: str
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(EncoderError) as caught:
        base.load(name, modality, EncoderOptions(weights=tmp_path))
    assert waits == []  # nothing is tried again
    line = caught.value.line()
    assert command in line
    assert str(tmp_path) in line
    assert "--weights DIR" in line
    assert "\n" not in line
    assert "Traceback" not in "".join(capfd.readouterr())


def test_weights_folder_by_hub_id_last_name_and_short_name(tiny: Tiny, tmp_path: Path) -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    expected = base.load(str(tiny("hubert")), "audio", EncoderOptions()).encode([audio])[0]
    for below in ("someone/hubert-of-mine", "hubert-of-mine"):
        shutil.copytree(tiny("hubert"), tmp_path / below)
        encoder = base.load("someone/hubert-of-mine", "audio", EncoderOptions(weights=tmp_path))
        assert encoder.name == "hubert-of-mine"
        assert encoder.identity["model"] == "someone/hubert-of-mine"
        np.testing.assert_array_equal(encoder.encode([audio])[0], expected)
        shutil.rmtree(tmp_path / below.split("/")[0])


def test_the_local_cache_serves_without_network(tiny: Tiny, tmp_path: Path) -> None:
    commit = "0123456789012345678901234567890123456789"
    repository = tmp_path / "hub" / "models--someone--BERT.v2"
    shutil.copytree(tiny("bert"), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    encoder = base.load("someone/BERT.v2", "text", EncoderOptions())
    assert encoder.name == "bert-v2"
    assert encoder.identity["revision"] == commit
    pinned = base.load(f"someone/BERT.v2@{commit}", "text", EncoderOptions())
    assert pinned.identity == encoder.identity
    with pytest.raises(EncoderError, match="are not in the cache"):
        base.load("someone/BERT.v2@feed", "text", EncoderOptions())


def test_a_cache_that_lacks_a_file_is_not_enough(tiny: Tiny, tmp_path: Path) -> None:
    commit = "0123456789012345678901234567890123456789"
    repository = tmp_path / "hub" / "models--someone--bert"
    shutil.copytree(tiny("bert"), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots" / commit / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="hf download someone/bert"):
        base.load("someone/bert", "text", EncoderOptions())


def test_another_model_under_a_published_name_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny("wav2vec2"), tmp_path / "wav2vec2-base")
    with pytest.raises(EncoderError, match=r"768 features.*found 32"):
        base.load("wav2vec2-base", "audio", EncoderOptions(weights=tmp_path))


def test_a_folder_of_weights_that_lacks_a_file_is_named(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny("wav2vec2"), tmp_path / "wav2vec2-base")
    (tmp_path / "wav2vec2-base" / "preprocessor_config.json").unlink()
    with pytest.raises(EncoderError, match=r"wav2vec2-base lacks preprocessor_config.json or processor_config.json"):
        base.load("wav2vec2-base", "audio", EncoderOptions(weights=tmp_path))
    with pytest.raises(EncoderError, match=r"lacks a file of the model; expected preprocessor_config.json or"):
        base.load(str(tmp_path / "wav2vec2-base"), "audio", EncoderOptions())


@pytest.mark.parametrize(("model", "file"), [("wav2vec2", "model.safetensors"), ("emotion2vec", "model.pt")])
def test_a_git_lfs_pointer_in_the_place_of_weights_is_called_so(tiny: Tiny, tmp_path: Path, model: str, file: str) -> None:
    folder = tmp_path / f"{model}-of-mine"
    shutil.copytree(tiny(model), folder)
    (folder / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    for name, options in ((str(folder), EncoderOptions()), (f"someone/{folder.name}", EncoderOptions(weights=tmp_path))):
        with pytest.raises(EncoderError, match=rf"{file} is a Git LFS pointer, not the file.*git lfs pull"):
            base.load(name, "audio", options)


def test_a_pointer_that_is_not_read_does_no_harm(tiny: Tiny, tmp_path: Path) -> None:
    """`git lfs pull --include model.safetensors` leaves pointers in place of the other formats."""
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    folder = tmp_path / "of mine"
    shutil.copytree(tiny("bert"), folder)
    (folder / "pytorch_model.bin").write_text(pointer)
    assert base.load(str(folder), "text", EncoderOptions()).name == "of-mine"
    (folder / "vocab.txt").write_text(pointer)
    with pytest.raises(EncoderError, match=r"vocab.txt is a Git LFS pointer.*git lfs pull\.$"):
        base.load(str(folder), "text", EncoderOptions())


@pytest.mark.parametrize("model", ["bert", "wav2vec2"])
def test_weights_in_several_files(tiny: Tiny, tmp_path: Path, model: str) -> None:
    folder, index = tmp_path / "sharded", tmp_path / "sharded" / "model.safetensors.index.json"
    shutil.copytree(tiny(model), folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    files = [f"model-0000{k}-of-00002.safetensors" for k in (1, 2)]
    of = {name: files[k % 2] for k, name in enumerate(weights)}
    for file in files:
        save_file({n: v for n, v in weights.items() if of[n] == file}, folder / file, metadata={"format": "pt"})
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": of}))
    modality = "text" if model == "bert" else "audio"
    given: Any = "i am so happy" if model == "bert" else np.sin(np.arange(8000, dtype=np.float32) ** 1.3)
    one, other = (base.load(str(f), modality, EncoderOptions()).encode([given])[0] for f in (folder, tiny(model)))
    np.testing.assert_array_equal(one, other)
    (folder / "model-00003-of-00003.safetensors").write_text("of an older download, which the index does not name")
    assert [path.name for path in checkpoints.tensor_files(folder)] == files
    (folder / files[1]).unlink()
    with pytest.raises(EncoderError, match=r"sharded lacks 1 of the 2 files of its weights; expected model-00002-of-00002"):
        base.load(str(folder), modality, EncoderOptions())
    for text in ("{", "[]", '{"weight_map": 3}'):
        index.write_text(text)
        with pytest.raises(EncoderError, match=r"index.json is not an index of weights; expected a weight_map"):
            base.load(str(folder), modality, EncoderOptions())


def test_a_pickle_that_would_run_code_is_refused_without_torchs_advice(tiny: Tiny, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    folder = tmp_path / "evil"
    shutil.copytree(tiny("bert"), folder)
    (folder / "model.safetensors").unlink()
    torch.save({"bert.embeddings.word_embeddings.weight": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"could run code, and is not read. Take safetensors") as caught:
        base.load(str(folder), "text", EncoderOptions())
    assert "weights_only" not in caught.value.line()
    assert not (tmp_path / "ran").exists()


def test_weights_that_were_cut_short_are_to_be_fetched_again(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(tiny("bert"), folder)
    os.truncate(folder / "model.safetensors", (folder / "model.safetensors").stat().st_size // 2)
    with pytest.raises(EncoderError, match=r"damaged or was cut short. Copy or download it again"):
        base.load(str(folder), "text", EncoderOptions())


def test_a_folders_revision_is_not_known(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny("bert"), tmp_path / "of-mine")
    with pytest.raises(ConfigError, match=r"of-mine is a folder, whose files do not say that they are revision abc"):
        base.load(f"{tmp_path}/of-mine@abc", "text", EncoderOptions())
    with pytest.raises(EncoderError, match=r"of-mine does not say of which revision it is"):
        base.load("someone/of-mine@abc", "text", EncoderOptions(weights=tmp_path))


def test_a_folder_of_something_else_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "hyperparams.yaml").write_text("n_mels: 80\n")
    for modality in ("audio", "text"):
        with pytest.raises(
            ConfigError, match=r"without a model that is known here; expected config.json.*found hyperparams.yaml"
        ):
            base.load(str(tmp_path), modality, EncoderOptions())


def test_a_tokenizer_of_another_model_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(tiny("bert"), folder)
    words = (folder / "vocab.txt").read_text().splitlines()
    (folder / "vocab.txt").write_text(
        "\n".join([*(w for w in words if w not in ("a", ".")), *("x" * k for k in range(20, 90)), "."])
    )
    with pytest.raises(EncoderError, match=r"the tokenizer is of another model; expected tokens below 15"):
        base.load(str(folder), "text", EncoderOptions())
    (folder / "vocab.txt").write_text("nothing\n")
    with pytest.raises(EncoderError, match=r"its tokenizer does not read texts|cannot load the tokenizer"):
        base.load(str(folder), "text", EncoderOptions())


def test_the_network_is_announced_before_it_is_asked(tiny: Tiny, tmp_path: Path) -> None:
    heard: list[str] = []
    with pytest.raises(EncoderError):
        base.load("iic/emotion2vec_tiny", "audio", EncoderOptions(announce=heard.append))
    assert heard == ["the files of iic/emotion2vec_tiny are not here, and are fetched from the network"]
    shutil.copytree(tiny("wav2vec2"), tmp_path / "of-mine")
    base.load("someone/of-mine", "audio", EncoderOptions(weights=tmp_path, announce=heard.append))
    assert len(heard) == 1  # what is on the disk is not announced


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EncoderError, match=r"model.safetensors or .*found config.json"):
        base.load(str(tmp_path), "audio", EncoderOptions())


def test_emotion2vec_in_the_mirrors_cache(tiny: Tiny, tmp_path: Path) -> None:
    commit = "0123456789012345678901234567890123456789"
    repository = tmp_path / "hub" / "models--emotion2vec--emotion2vec_tiny"
    shutil.copytree(tiny("emotion2vec"), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    encoder = base.load("iic/emotion2vec_tiny", "audio", EncoderOptions())
    assert encoder.name == "emotion2vec_tiny"
    assert encoder.identity["revision"] == commit


def test_what_is_downloaded() -> None:
    common = ["README.md", ".gitattributes", "config.json", "tokenizer.json", "vocab.txt", "onnx/model.onnx", "tf_model.h5"]
    settings = ["config.json", "tokenizer.json", "vocab.txt"]
    both = [*common, "model.safetensors", "pytorch_model.bin"]
    assert hubs.wanted(both) == sorted([*settings, "model.safetensors"])
    assert hubs.wanted([*common, "pytorch_model.bin"]) == sorted([*settings, "pytorch_model.bin"])
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    assert hubs.wanted([*common, *shards, "pytorch_model.bin"]) == sorted([*settings, *shards])
    assert hubs.wanted(["config.yaml", "model.pt", "example/test.wav"]) == ["config.yaml", "model.pt"]
    assert hubs.wanted(["README.md", "campplus_cn_common.bin"]) == ["campplus_cn_common.bin"]


def test_hashes_of_several_files_depend_on_each(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    before = checkpoints.sha256([first, second])
    second.write_bytes(b"3")
    assert checkpoints.sha256([first, second]) != before
    assert checkpoints.sha256([first]) == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"


def test_without_its_package_modelscope_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "modelscope.hub.api", None)
    with pytest.raises(EncoderError, match=r"pip install 'ser\[modelscope\]'"):
        base.load("emotion2vec", "audio", EncoderOptions(weights=tmp_path))
