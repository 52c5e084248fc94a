"""Text encoders and word pieces against the libraries called directly."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ser.errors import AudioError, ConfigError, EncoderError
from ser.extract import encoder as base
from ser.extract.options import EncoderOptions

DATA = Path(__file__).parents[3] / "../shared/data"
TEXTS = ["I am so happy today!", "sad", "so sad.", "I am unhappy.", "Sad!", "happy to", "I am so sad today."]
Tiny = Callable[[str], Path]


def load(name: object, **options: Any) -> Any:
    return base.load(str(name), "text", EncoderOptions(**options))


@pytest.mark.parametrize("name", ["bert", "distilbert", "xlm-roberta", "modernbert"])
def test_features_are_those_of_transformers(tiny: Tiny, name: str) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny(name))
    model = AutoModel.from_pretrained(tiny(name), dtype=torch.float32).eval()
    features = {
        "cls": load(tiny(name)).encode(TEXTS),
        "mean": load(tiny(name), pooling="mean").encode(TEXTS),
        "frame": load(tiny(name), level="frame").encode(TEXTS),
        "layers": load(tiny(name), layers=(0, 2), pooling="mean").encode(TEXTS),
    }
    for n, text in enumerate(TEXTS):
        with torch.no_grad():
            output = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
        last = output.last_hidden_state[0].numpy()
        assert len(last) == len(tokenizer(text)["input_ids"])
        np.testing.assert_allclose(features["frame"][n], last, atol=1e-5)
        np.testing.assert_allclose(features["cls"][n], last[0], atol=1e-5)
        np.testing.assert_allclose(features["mean"][n], last.mean(axis=0), atol=1e-5)
        layers = np.stack([output.hidden_states[layer][0].numpy().mean(axis=0) for layer in (0, 2)])
        np.testing.assert_allclose(features["layers"][n], layers, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "qwen3"])
def test_a_decoders_text_is_its_last_token(tiny: Tiny, name: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny(name))
    model = AutoModelForCausalLM.from_pretrained(tiny(name), dtype=torch.float32).eval()
    last, mean, lower = load(tiny(name)), load(tiny(name), pooling="mean"), load(tiny(name), layers=(0, 1))
    assert (last.name, last.identity["pooling"], mean.name) == (f"tiny-{name}", "last", f"tiny-{name}.mean")
    for n, text in enumerate(TEXTS):
        with torch.no_grad():
            states = model(tokenizer(text, return_tensors="pt").input_ids, output_hidden_states=True).hidden_states
        np.testing.assert_allclose(last.encode(TEXTS)[n], states[-1][0, -1], atol=1e-5)
        np.testing.assert_allclose(mean.encode(TEXTS)[n], states[-1][0].mean(0), atol=1e-5)
        np.testing.assert_allclose(lower.encode(TEXTS)[n], np.stack([s[0, -1] for s in states[:2]]), atol=1e-5)
    with pytest.raises(ConfigError, match="--pooling cls: the first token of a decoder has read nothing"):
        load(tiny(name), pooling="cls")


MODULES = [{"idx": n, "type": f"sentence_transformers.models.{kind}", "path": f"{n}_{kind}" if n else ""}
           for n, kind in enumerate(("Transformer", "Pooling", "Normalize"))]  # fmt: skip


def _sentence(folder: Path, parts: int, pooling: dict[str, Any] | None, **settings: Any) -> Path:
    """Add what sentence-transformers writes beside a model: the first `parts` of `MODULES`, and a pooling's settings."""
    (folder / "modules.json").write_text(json.dumps(MODULES[:parts]))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 6}))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    (folder / "1_Pooling").mkdir()
    if pooling is not None:
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **pooling}))
    return folder


def _modes(wanted: str) -> dict[str, Any]:
    return {f"pooling_mode_{mode}": mode == wanted for mode in ("cls_token", "mean_tokens", "max_tokens", "lasttoken")}


@pytest.mark.parametrize(
    ("parts", "pooling", "expected"),
    [
        (3, _modes("mean_tokens"), lambda f: f.mean(0) / np.linalg.norm(f.mean(0))),
        (2, _modes("max_tokens"), lambda f: f.max(0)),
        (3, _modes("cls_token"), lambda f: f[0] / np.linalg.norm(f[0])),
        (2, {"pooling_mode": "lasttoken"}, lambda f: f[-1]),
    ],
)
def test_a_sentence_encoders_own_pooling(
    tiny: Tiny, tmp_path: Path, parts: int, pooling: dict[str, Any], expected: Callable[[Any], Any]
) -> None:
    folder = _sentence(Path(shutil.copytree(tiny("bert"), tmp_path / "sentences")), parts, pooling)
    frames = load(folder, level="frame").encode(["sad", "so happy"])
    own = load(folder, pooling="sentence")
    for vector, frame in zip(own.encode(["sad", "so happy"]), frames, strict=True):
        np.testing.assert_allclose(vector, expected(frame), atol=1e-6)
    assert own.name == "sentences.sentence"
    assert own.identity["sentence"]["normalised"] == (parts == 3)
    assert (own.limit, load(folder).limit) == (6, 24)  # sentence_bert_config.json is of the sentence encoder


def test_folders_that_state_no_pooling_or_another(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"modules\.json.*Give --pooling"):
        load(tiny("bert"), pooling="sentence")
    cases: list[tuple[int, dict[str, Any], dict[str, Any], str]] = [
        (1, _modes("mean_tokens"), {}, "Transformer, Pooling"),
        (3, _modes("weightedmean_tokens"), {}, "pooling that is not known"),
        (3, _modes("mean_tokens") | {"pooling_mode_max_tokens": True}, {}, "found mean, max"),
        (3, _modes("mean_tokens"), {"default_prompt_name": "query"}, "prompt"),
    ]
    for n, (parts, pooling, settings, message) in enumerate(cases):
        folder = _sentence(Path(shutil.copytree(tiny("bert"), tmp_path / str(n))), parts, pooling, **settings)
        with pytest.raises(EncoderError, match=message):
            load(folder, pooling="sentence")
    folder = _sentence(Path(shutil.copytree(tiny("bert"), tmp_path / "bare")), 3, None)
    with pytest.warns(UserWarning, match=r"1_Pooling/config\.json is not there: .* the mean"):
        assert load(folder, pooling="sentence").identity["sentence"]["mode"] == "mean"


def test_a_sentence_encoder_that_changes_texts_first_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "lower"
    shutil.copytree(tiny("bert"), folder)
    kinds = ["sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling"]
    (folder / "modules.json").write_text(json.dumps([{"path": "", "type": kind} for kind in kinds]))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 24, "do_lower_case": True}))
    with pytest.raises(EncoderError, match=r"lower case first.*--pooling cls, mean or last"):
        load(folder, pooling="sentence")


def test_pooled_is_pooled_from_the_frames_that_are_kept(tiny: Tiny) -> None:
    frames = load(tiny("bert"), level="frame").encode(TEXTS)
    both = lambda f: np.concatenate([f.mean(axis=0), f.std(axis=0)])  # noqa: E731
    for pooling, pool in [("cls", lambda f: f[0]), ("mean", lambda f: f.mean(axis=0)), ("mean,std", both)]:
        for pooled, frame in zip(load(tiny("bert"), pooling=pooling).encode(TEXTS), frames, strict=True):
            np.testing.assert_allclose(pooled, pool(frame), atol=1e-6)


def test_names_of_poolings(tiny: Tiny) -> None:
    assert load(tiny("bert")).name == "tiny-bert"
    assert load(tiny("bert"), pooling="cls", level="utterance").name == "tiny-bert"
    assert load(tiny("bert"), pooling="mean", layers=(1,)).name == "tiny-bert.mean.layer-1"
    assert load(tiny("bert"), level="frame").name == "tiny-bert.frame"
    assert load(tiny("bert"), pooling="mean,std").name == "tiny-bert.mean-std"
    with pytest.raises(ConfigError, match="utterance level"):
        load(tiny("bert"), level="frame", pooling="mean")


@pytest.mark.parametrize(("name", "limit"), [("bert", 24), ("xlm-roberta", 24)])
def test_long_texts_are_cut_at_the_models_limit_with_a_warning(tiny: Tiny, name: str, limit: int) -> None:
    encoder = load(tiny(name), level="frame")
    assert encoder.identity["longest"] == limit
    long = "so happy " * 30
    with pytest.warns(UserWarning, match=f"over {limit} tokens are cut") as caught:
        features = encoder.encode([long, "sad", long + "so"])
    assert [len(f) for f in features] == [limit, len(encoder.encode(["sad"])[0]), limit]
    assert len(caught) == 1
    assert encoder.cut == 2


def test_threads_may_share_an_encoder_of_long_and_short_texts(tiny: Tiny) -> None:
    """The length at which a tokenizer cuts is a setting of the whole tokenizer, and may not be changed while it works."""
    encoder = load(tiny("bert"), level="frame")
    kinds = [["so happy " * 2000, "sad"], ["so happy " * 3000], ["i am sad"] * 40]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [encoder.encode(texts) for texts in kinds]
        with ThreadPoolExecutor(6) as pool:
            results = list(pool.map(lambda n: (n % 3, encoder.encode(kinds[n % 3])), range(60)))
    for kind, features in results:
        for one, other in zip(features, expected[kind], strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_limit_of_models_whose_positions_start_behind_the_paddings(tiny: Tiny) -> None:
    from types import SimpleNamespace

    from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel

    from ser.extract.encoders.text import token_limit

    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 9}
    endless = SimpleNamespace(model_max_length=10**30)
    mpnet = MPNetModel(MPNetConfig(**size, max_position_embeddings=20)).eval()
    limit = token_limit(endless, mpnet)
    assert limit == 18
    with torch.no_grad():
        mpnet(torch.full((1, limit), 5))
        with pytest.raises(IndexError):
            mpnet(torch.full((1, limit + 1), 5))
    assert token_limit(endless, BertModel(BertConfig(**size, max_position_embeddings=20))) == 20
    assert token_limit(SimpleNamespace(model_max_length=7), mpnet) == 7


def test_a_text_encoder_without_a_weight_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path / "broken"
    shutil.copytree(tiny("bert"), folder)
    tensors = load_file(folder / "model.safetensors")
    pooler = {key: tensor for key, tensor in tensors.items() if "pooler" not in key}
    assert len(pooler) < len(tensors)
    save_file(pooler, folder / "model.safetensors", metadata={"format": "pt"})
    np.testing.assert_array_equal(load(folder).encode(["sad"])[0], load(tiny("bert")).encode(["sad"])[0])
    broken = {key: tensor for key, tensor in pooler.items() if "layer.1.attention.self.query.weight" not in key}
    save_file(broken, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="lacks weights"):
        load(folder)


def test_a_speech_model_is_no_text_encoder(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"this is an encoder of audio; expected --audio .*wav2vec2"):
        load(tiny("wav2vec2"))


def test_word_pieces_of_the_corpus() -> None:
    encoder = load("wordpiece")
    texts = ["Happy, happy dogs!", "happy dogs bark", "the dogs barked", "the happy barker"]
    encoder.prepare(texts, {})
    ids = encoder.encode([*texts, "HAPPY dogs", "Ünhäppy ☃"])
    assert encoder.vocabulary == 1 + max(encoder.tokenizer.get_vocab().values())
    for one in ids:
        assert one.dtype == np.int32
        assert one.ndim == 2
        assert one.shape[1] == 1
        assert one.min() >= 1  # 0 is padding
        assert one.max() < encoder.vocabulary
    assert ids[4].ravel().tolist() == [ids[1][0, 0], ids[1][1, 0]]  # case does not matter; frequent words are whole
    assert ids[0][0, 0] == ids[1][0, 0]
    unknown = encoder.tokenizer.token_to_id("[UNK]")
    assert ids[5].ravel().tolist().count(unknown) >= 1  # a snowman was not in the corpus


def test_word_pieces_are_those_that_occur_in_training_text() -> None:
    encoder = load("wordpiece")
    encoder.prepare(["good good morning morning"] * 2, {})
    assert {"good", "morning"} <= set(encoder.tokenizer.get_vocab())
    assert "##x" not in encoder.tokenizer.get_vocab()
    # `##o` written by a speaker is two signs and a letter, not the piece of that name.
    assert "##o" in encoder.tokenizer.get_vocab()
    assert encoder.tokenizer.encode("##o", add_special_tokens=False).tokens == ["[UNK]", "[UNK]", "o"]


def test_word_pieces_of_a_store_are_used_again() -> None:
    first = load("wordpiece")
    first.prepare(["happy dogs", "happy cats"], {})
    again = load("wordpiece")
    again.prepare(["quite other texts", "of other words"], first.assets)
    assert again.identity == first.identity
    assert again.assets == first.assets
    np.testing.assert_array_equal(again.encode(["happy cats"])[0], first.encode(["happy cats"])[0])
    other = load("wordpiece")
    other.prepare(["quite other texts", "of other words"], {})
    assert other.identity != first.identity
    with pytest.raises(EncoderError, match="damaged"):
        load("wordpiece").prepare([], {"tokenizer.json": "{"})


def test_word_pieces_need_a_vocabulary_and_texts() -> None:
    encoder = load("wordpiece")
    with pytest.raises(EncoderError, match="no vocabulary"):
        encoder.encode(["happy"])
    with pytest.raises(EncoderError, match="no texts"):
        encoder.prepare(["", " "], {})
    encoder.prepare(["happy"], {})
    with pytest.raises(AudioError, match="no text"):
        encoder.encode(["\u200b"])  # nothing is left of a zero-width space


CODE = """
import hashlib, sys
from ser.extract.encoder import load
from ser.extract.options import EncoderOptions
texts = open(sys.argv[1], encoding="utf-8").read().split("\\n")
encoder = load("wordpiece", "text", EncoderOptions())
encoder.prepare(texts, {})
print(hashlib.sha256(encoder.assets["tokenizer.json"].encode()).hexdigest())
"""


def test_word_pieces_do_not_depend_on_the_process_or_the_threads(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    letters = list("abcdefghijklmnopqrstuvwxyzäöüß")
    words = ["".join(generator.choice(letters, generator.integers(2, 9))) for _ in range(400)]
    texts = [" ".join(generator.choice(words, generator.integers(2, 12))) for _ in range(1500)]
    (tmp_path / "texts").write_text("\n".join(texts), encoding="utf-8")
    (tmp_path / "shuffled").write_text("\n".join(texts[::-1]), encoding="utf-8")
    runs = []
    for threads, file in [("1", "texts"), ("2", "texts"), ("4", "shuffled"), ("1", "shuffled")]:
        settings = {"RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true" if threads != "1" else "false"}
        command = [sys.executable, "-c", CODE, str(tmp_path / file)]
        environment = {**os.environ, **settings}
        runs.append(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip())
    assert len(set(runs)) == 1
    encoder = load("wordpiece")
    encoder.prepare(texts, {})
    assert hashlib.sha256(encoder.assets["tokenizer.json"].encode()).hexdigest() == runs[0]


def test_word_pieces_of_a_published_tokenizer(tiny: Tiny) -> None:
    encoder = load(f"wordpiece:{tiny('bert')}")
    assert encoder.name == "wordpiece-tiny-bert"
    assert encoder.vocabulary == 15
    pieces = ["i", "am", "so", "happy", "to", "##day", "!"]
    expected = [encoder.tokenizer.token_to_id(piece) for piece in pieces]
    assert encoder.encode(["I am so happy today!"])[0].ravel().tolist() == expected
    # XLM-R's padding is id 1: all ids move up, so that 0 is padding here too.
    shifted = load(f"wordpiece:{tiny('xlm-roberta')}")
    assert shifted.vocabulary == 16
    plain = shifted.tokenizer.encode("sad", add_special_tokens=False).ids
    assert shifted.encode(["sad"])[0].ravel().tolist() == [1 + i for i in plain]
    again = load("wordpiece")
    again.prepare([], shifted.assets)
    np.testing.assert_array_equal(again.encode(["sad"])[0], shifted.encode(["sad"])[0])


@pytest.mark.skipif(not (DATA / "meld").is_dir(), reason="the real corpora (../shared/data) are not here")
def test_word_pieces_of_meld() -> None:
    with (DATA / "meld/train_sent_emo.csv").open(encoding="utf-8") as file:
        texts = [row["Utterance"] for row in csv.DictReader(file)]
    encoder = load("wordpiece")
    encoder.prepare(texts, {})
    assert 4000 < encoder.vocabulary <= 8000
    ids = np.concatenate(encoder.encode([text for text in texts if text.strip()]))
    assert (ids == encoder.tokenizer.token_to_id("[UNK]")).mean() < 0.001
    assert 8 < len(ids) / len(texts) < 15
