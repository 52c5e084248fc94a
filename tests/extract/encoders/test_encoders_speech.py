"""Speech encoders against the libraries called directly, on tiny models of the true architectures."""

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from ser.errors import ConfigError, EncoderError
from ser.extract import encoder as base
from ser.extract.classifiers import load_classifier
from ser.extract.encoders._example import SIZES, save_model
from ser.extract.options import EncoderOptions

WAVE = ["wav2vec2", "wav2vec2-large", "mms", "hubert", "hubert-batch-norm", "wavlm", "data2vec", "unispeech-sat"]
ALL = [*WAVE, "whisper", "emotion2vec"]
Tiny = Callable[[str], Path]


def load(folder: Path, **options: Any) -> Any:
    return base.load(str(folder), "audio", EncoderOptions(**options))


def noise(samples: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.normal(0, 0.1, samples) + 0.05).astype(np.float32)


def distance(left: np.ndarray, right: Any) -> float:
    expected = np.asarray(right, dtype=np.float64)
    assert left.shape == expected.shape
    return float(np.linalg.norm(left - expected) / np.linalg.norm(expected))


def directly(folder: Path, audio: np.ndarray, dtype: torch.dtype = torch.float32) -> tuple[np.ndarray, list[np.ndarray]]:
    """Last hidden state and all hidden states `(frames, dim)` by plain transformers, normalising by hand."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, dtype=dtype).eval()
    values = audio.astype(np.float64)
    if json.loads((folder / "preprocessor_config.json").read_text())["do_normalize"]:
        values = (values - values.mean()) / np.sqrt(values.var() + 1e-7)
    with torch.no_grad():
        output = model(torch.tensor(values, dtype=torch.float32)[None].to(dtype), output_hidden_states=True)
    return output.last_hidden_state[0].float().numpy(), [state[0].float().numpy() for state in output.hidden_states]


@pytest.mark.parametrize("name", WAVE)
def test_features_are_those_of_transformers(tiny: Tiny, name: str) -> None:
    audio = noise(8000)
    last, hidden = directly(tiny(name), audio)
    assert distance(load(tiny(name), level="frame").encode([audio])[0], last) < 1e-5
    assert distance(load(tiny(name)).encode([audio])[0], last.mean(axis=0, dtype=np.float64)) < 1e-5
    layers = load(tiny(name), layers="all").encode([audio])[0]
    means = [state.mean(axis=0, dtype=np.float64) for state in [*hidden[:-1], last]]
    assert distance(layers, np.stack(means)) < 1e-5
    # A lower layer alone, for which the blocks above it are not run.
    assert distance(load(tiny(name), layers=(1,)).encode([audio])[0], means[1]) < 1e-5
    assert distance(load(tiny(name), layers=(0,), level="frame").encode([audio])[0], hidden[0]) < 1e-5
    assert distance(load(tiny(name), layers=(2, 0)).encode([audio])[0], np.stack([means[2], means[0]])) < 1e-5


@pytest.mark.parametrize("name", ["wav2vec2", "whisper", "emotion2vec"])
def test_statistics_are_those_of_the_frames_that_are_kept(tiny: Tiny, name: str) -> None:
    """Mean and deviation of an utterance's own frames, alone and in a batch; layers stay apart; the mean has its bits."""
    sounds = [noise(8000), noise(3000, 1), noise(12000, 2)]
    mean, both = load(tiny(name)), load(tiny(name), pooling="mean,std")
    assert (both.dim, both.name) == (2 * mean.dim, f"{mean.name}.mean-std")
    assert {k for k in both.identity if both.identity[k] != mean.identity[k]} == {"pooling"}
    frames = load(tiny(name), level="frame").encode(sounds)
    together, means = both.encode(sounds), mean.encode(sounds)
    for found, alone, plain, frame in zip(together, [both.encode([s])[0] for s in sounds], means, frames, strict=True):
        assert found[: mean.dim].tobytes() == plain.tobytes()
        np.testing.assert_allclose(found[mean.dim :], frame.astype(np.float64).std(axis=0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-5)
    layers = load(tiny(name), pooling="mean,std", layers="all").encode(sounds[:1])[0]
    assert layers.shape[1] == both.dim
    np.testing.assert_allclose(layers[-1], together[0], rtol=1e-4, atol=1e-5)


def test_frames_are_not_pooled(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"--pooling mean,std is for utterance level"):
        load(tiny("wav2vec2"), level="frame", pooling="mean,std")


@pytest.mark.parametrize("name", ["wav2vec2-large"])
def test_last_has_the_final_layer_norm(tiny: Tiny, name: str) -> None:
    features = load(tiny(name), level="frame").encode([noise(8000)])[0]
    # A fresh LayerNorm has weight 1 and bias 0.
    np.testing.assert_allclose(features.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(features.std(axis=1), 1, atol=1e-3)


def test_only_checkpoints_that_say_so_normalise_the_waveform(tiny: Tiny) -> None:
    audio = noise(8000)
    shifted = 0.1 * audio + 0.5
    wav2vec2, wavlm = load(tiny("wav2vec2")), load(tiny("wavlm"))
    assert distance(*wav2vec2.encode([audio, shifted])) < 2e-4
    assert distance(*wavlm.encode([audio, shifted])) > 2e-2
    assert wav2vec2.identity["normalise"] == "utterance"
    assert wavlm.identity["normalise"] is None


@pytest.mark.parametrize("samples", [400, 719, 720, 16000])
def test_frames_are_one_every_320_samples(tiny: Tiny, samples: int) -> None:
    frames = 1 + (samples - 400) // 320
    for name in ("wav2vec2", "emotion2vec"):
        assert load(tiny(name), level="frame").encode([noise(samples)])[0].shape == (frames, 32)
    assert load(tiny("whisper"), level="frame").encode([noise(samples)])[0].shape == (-(-samples // 320), 32)


def test_whisper_is_the_encoder_of_the_whole_model(tiny: Tiny) -> None:
    from transformers import WhisperFeatureExtractor, WhisperModel

    audio = noise(10000)
    model = WhisperModel.from_pretrained(tiny("whisper"), dtype=torch.float32).eval()
    mel = WhisperFeatureExtractor.from_pretrained(tiny("whisper"))(audio, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        output = model.encoder(mel.input_features, output_hidden_states=True)
    last = output.last_hidden_state[0, :32].numpy()  # 10,000 / 320 = 31.25
    assert distance(load(tiny("whisper"), level="frame").encode([audio])[0], last) < 1e-5
    pooled = load(tiny("whisper"), layers=(1, 3)).encode([audio])[0]
    means = [output.hidden_states[1][0, :32].double().mean(0).numpy(), last.mean(axis=0, dtype=np.float64)]
    assert distance(pooled, np.stack(means)) < 1e-5


def test_whisper_reads_long_audio_in_windows_of_30_s(tiny: Tiny) -> None:
    encoder = load(tiny("whisper"), level="frame")
    audio = noise(31 * 16000)
    whole, first, rest = encoder.encode([audio, audio[: 30 * 16000], audio[30 * 16000 :]])
    assert len(whole) == 1550
    np.testing.assert_array_equal(whole, np.concatenate([first, rest]))


@pytest.mark.parametrize("samples", [400, 10000, 30 * 16000 - 100])
def test_the_exact_window_is_an_encoder_with_as_many_positions(tiny: Tiny, samples: int) -> None:
    """transformers' own encoder, built for the utterance's number of frames, on the published spectrogram cut to them."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    audio = noise(samples)
    frames = -(-samples // 320)
    audio[-150:] *= 8  # the loudest frame, which the floor is taken from, is the last
    published = WhisperModel.from_pretrained(tiny("whisper"), dtype=torch.float32).eval().encoder
    config = WhisperConfig.from_pretrained(tiny("whisper"), max_source_positions=frames)
    weights = published.state_dict()
    weights["embed_positions.weight"] = weights["embed_positions.weight"][:frames]
    short = WhisperEncoder(config).eval()
    short.load_state_dict(weights)
    mel = WhisperFeatureExtractor.from_pretrained(tiny("whisper"))(audio, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        expected = short(mel.input_features[:, :, : 2 * frames]).last_hidden_state[0].numpy()
        padded = published(mel.input_features).last_hidden_state[0, :frames].numpy()
    found = load(tiny("whisper"), level="frame", window="exact").encode([audio])[0]
    assert distance(found, expected) < 1e-5
    assert (distance(found, padded) > 1e-3) == (samples < 16000)  # in 30 s there is hardly any padding to leave out


def test_the_exact_window_in_a_batch_and_over_30_s(tiny: Tiny) -> None:
    encoder = load(tiny("whisper"), level="frame", window="exact")
    inputs = [noise(n, n) for n in (31 * 16000, 400, 9000, 8321, 9000)]
    for features, audio in zip(encoder.encode(inputs), inputs, strict=True):
        pieces = [encoder.encode([audio[k : k + 30 * 16000]])[0] for k in range(0, len(audio), 30 * 16000)]
        assert distance(features, np.concatenate(pieces)) < 1e-5
    assert encoder.costs([9000]) == [9000]


def test_the_exact_window_has_a_store_of_its_own(tiny: Tiny) -> None:
    published, exact = load(tiny("whisper"), layers="all"), load(tiny("whisper"), layers="all", window="exact")
    assert exact.name == "tiny-whisper.exact.layers-all"
    differs = {key for key, value in exact.identity.items() if published.identity[key] != value}
    assert (differs, published.identity["window"], exact.identity["window"]) == ({"window"}, 30, "exact")
    with pytest.raises(ConfigError, match="--window exact; expected published"):
        load(tiny("wav2vec2"), window="exact")


@pytest.mark.parametrize("name", ["emotion2vec", "emotion2vec-layers", "emotion2vec-before"])
def test_emotion2vec_is_what_funasr_generates(tiny: Tiny, models: ModuleType, name: str) -> None:
    with models.undisturbed():
        from funasr import AutoModel

        model = AutoModel(model=str(tiny(name)), disable_update=True, disable_pbar=True, device="cpu")
        for samples in (400, 16000, 30000):
            audio = noise(samples)
            for level in ("utterance", "frame"):
                options = {"granularity": level, "extract_embedding": True, "disable_pbar": True}
                expected = model.generate(audio, **options)[0]["feats"]
                assert distance(load(tiny(name), level=level).encode([audio])[0], expected) <= 1e-5


def test_emotion2vec_plus_answers_as_funasr_does(models: ModuleType, tmp_path: Path) -> None:
    folder = models.emotion2vec_plus(tmp_path / "plus")
    classifier = load_classifier(str(folder), EncoderOptions())
    audios = [noise(samples, samples) for samples in (400, 16000, 30000)]
    with models.undisturbed():
        from funasr import AutoModel

        model = AutoModel(model=str(folder), disable_update=True, disable_pbar=True, device="cpu")
        for audio, together in zip(audios, classifier.encode(audios), strict=True):
            expected = model.generate(audio, granularity="utterance", extract_embedding=False, disable_pbar=True)[0]
            assert list(classifier.labels) == expected["labels"]
            for found in (together, classifier.encode([audio])[0]):
                np.testing.assert_allclose(found, expected["scores"], atol=1e-5)


@pytest.mark.parametrize("name", ["Wav2Vec2ForSequenceClassification", "WhisperForAudioClassification"])
def test_classifiers_answer_as_the_pipeline_of_transformers(tmp_path: Path, name: str) -> None:
    from transformers import pipeline

    folder = classifier_of(tmp_path, name)
    classifier = load_classifier(str(folder), EncoderOptions())
    pipe = pipeline("audio-classification", model=str(folder), device="cpu", top_k=None)
    audios = [noise(samples, samples) for samples in (4000, 16000, 9000)]
    for audio, together in zip(audios, classifier.encode(audios), strict=True):
        expected = {one["label"]: one["score"] for one in pipe(audio.copy())}
        assert sorted(classifier.labels) == sorted(expected)
        for found in (together, classifier.encode([audio])[0]):
            np.testing.assert_allclose(found, [expected[label] for label in classifier.labels], atol=1e-6)


def classifier_of(folder: Path, name: str, **settings: Any) -> Path:
    """Write a tiny classifier of emotions."""
    import transformers

    kind = getattr(transformers, name)
    if name.startswith("Whisper"):
        size = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_layers": 1}
        extractor: Any = transformers.WhisperFeatureExtractor()
    else:
        size = {**SIZES, "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
        extractor = transformers.Wav2Vec2FeatureExtractor()
    labels = {"id2label": {0: "neu", 1: "hap", 2: "ang"}, "label2id": {"neu": 0, "hap": 1, "ang": 2}}
    save_model(folder, kind, kind.config_class(**{**size, **labels, "initializer_range": 0.5, **settings}))
    extractor.save_pretrained(folder)
    return folder


def test_models_that_are_no_classifier_are_refused(tiny: Tiny, models: ModuleType, tmp_path: Path) -> None:
    folder = classifier_of(tmp_path / "many", "Wav2Vec2ForSequenceClassification", problem_type="multi_label_classification")
    with pytest.raises(EncoderError, match="does not choose one label"):
        load_classifier(str(folder), EncoderOptions())
    with pytest.raises(EncoderError, match=r"is not a classifier; .* found a model that was made as Wav2Vec2ForPreTraining"):
        load_classifier(str(tiny("wav2vec2")), EncoderOptions())
    with pytest.raises(EncoderError, match="has no classifier; expected weights proj"):
        load_classifier(str(tiny("emotion2vec")), EncoderOptions())
    plus = models.emotion2vec_plus(tmp_path / "plus")
    (plus / "tokens.txt").write_text("one\ntwo\n")
    with pytest.raises(EncoderError, match=r"tokens.txt is not of these weights; expected 6 labels; found 2"):
        load_classifier(str(plus), EncoderOptions())


def test_layers_of_emotion2vec(tiny: Tiny) -> None:
    audio = noise(8000)
    encoder = load(tiny("emotion2vec"), layers="all")
    layers = encoder.encode([audio])[0]
    assert layers.shape == (5, 32)  # two blocks of the audio encoder, two above, and the input
    np.testing.assert_array_equal(layers[4], load(tiny("emotion2vec")).encode([audio])[0])
    assert len({layer.tobytes() for layer in layers}) == 5
    # One block makes each layer of the one before it.
    frames = [load(tiny("emotion2vec"), layers=(n,), level="frame").encode([audio])[0] for n in range(5)]
    for n, mean in enumerate(layers):
        assert distance(mean, frames[n].mean(axis=0, dtype=np.float64)) < 1e-6


def test_emotion2vec_does_without_funasr(tiny: Tiny) -> None:
    code = "import sys; from ser.extract.encoder import load; from ser.extract.options import EncoderOptions\n"
    code += "load(sys.argv[1], 'audio', EncoderOptions()); print('funasr' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(tiny("emotion2vec"))], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"], done.stderr


@pytest.mark.parametrize("samples", [560, 8000, 8160])  # an odd number of spectrogram frames leaves one unread
def test_w2vbert_is_that_of_transformers(tiny: Tiny, samples: int) -> None:
    from transformers import AutoFeatureExtractor, Wav2Vec2BertModel

    audio, frames = noise(samples), (1 + (samples - 400) // 160) // 2
    values = AutoFeatureExtractor.from_pretrained(tiny("w2vbert"))(audio, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        output = Wav2Vec2BertModel.from_pretrained(tiny("w2vbert")).eval()(**values, output_hidden_states=True)
    last = output.last_hidden_state[0, :frames].numpy()
    assert distance(load(tiny("w2vbert"), level="frame").encode([audio])[0], last) < 1e-5
    means = [state[0, :frames].double().mean(0).numpy() for state in output.hidden_states]
    assert distance(load(tiny("w2vbert"), layers="all").encode([audio])[0], np.stack(means)) < 1e-5
    with pytest.raises(EncoderError, match="w2v-BERT"):
        base.find("w2v-bert-2.0").load(str(tiny("wav2vec2")), EncoderOptions())


def test_ast_is_that_of_transformers_in_windows(tiny: Tiny) -> None:
    from transformers import ASTModel, AutoFeatureExtractor

    model, extractor = ASTModel.from_pretrained(tiny("ast")).eval(), AutoFeatureExtractor.from_pretrained(tiny("ast"))
    assert extractor.max_length == 48
    window = 48 * 160
    audio = noise(window + 2000)
    outputs = []
    for piece in (audio[:window], audio[window:]):
        values = extractor(piece, sampling_rate=16000, return_tensors="pt").input_values
        with torch.no_grad():
            outputs.append(model(values, output_hidden_states=True))
    pooled = torch.stack([output.pooler_output[0] for output in outputs]).mean(0).numpy()
    assert distance(load(tiny("ast")).encode([audio])[0], pooled) < 1e-5
    lower = torch.stack([output.hidden_states[1][0, :2].mean(0) for output in outputs]).mean(0).numpy()
    assert distance(load(tiny("ast"), layers=(1,)).encode([audio])[0], lower) < 1e-5
    # 12 bands of patches and 4 columns; 2,000 samples are 11 frames, in which two columns of patches begin.
    columns = [output.last_hidden_state[0, 2:].reshape(12, 4, 32).mean(0).numpy() for output in outputs]
    expected = np.concatenate([columns[0], columns[1][:2]])
    assert distance(load(tiny("ast"), level="frame").encode([audio])[0], expected) < 1e-5


def test_clap_is_the_audio_tower_of_the_whole_model(tiny: Tiny, tmp_path: Path) -> None:
    from transformers import AutoFeatureExtractor, ClapModel

    model, extractor = (ClapModel.from_pretrained(tiny("clap")).eval(), AutoFeatureExtractor.from_pretrained(tiny("clap")))
    audio = noise(48000 + 7000)
    pooled = []
    for piece in (audio[:48000], audio[48000:]):
        values = extractor(piece, sampling_rate=48000, return_tensors="pt").input_features
        with torch.no_grad():
            pooled.append(model.audio_model(values).pooler_output[0])
    assert distance(load(tiny("clap")).encode([audio])[0], torch.stack(pooled).mean(0).numpy()) < 1e-5
    assert distance(load(tiny("clap")).encode([audio[48000:]])[0], pooled[1].numpy()) < 1e-5
    config = json.loads((tiny("clap") / "config.json").read_text())
    config["audio_config"]["enable_fusion"] = True
    shutil.copytree(tiny("clap"), tmp_path / "fused")
    (tmp_path / "fused" / "config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match="random crops"):
        load(tmp_path / "fused")


def _without(folder: Path, target: Path, key: str) -> Path:
    """A copy of a model whose checkpoint lacks every tensor with `key` in its name."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, target)
    pickled = target / "model.pt"
    tensors = torch.load(pickled)["model"] if pickled.exists() else load_file(target / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if key not in name}
    assert len(kept) < len(tensors)
    if pickled.exists():
        torch.save({"model": kept}, pickled)
    else:
        save_file(kept, target / "model.safetensors", metadata={"format": "pt"})
    return target


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("wav2vec2", "encoder.layers.1.feed_forward.output_dense.bias"),
        ("wav2vec2", "pos_conv_embed"),
        ("hubert", "feature_projection.projection.weight"),
        ("wavlm", "rel_attn_embed"),
        ("data2vec", "feature_extractor.conv_layers.3.conv.weight"),
        ("whisper", "encoder.layers.2.fc1.weight"),
        ("whisper", "encoder.conv1.weight"),
        ("emotion2vec", "extra_tokens"),
        ("emotion2vec", "blocks.1.attn.qkv.weight"),
    ],
)
def test_a_checkpoint_that_lacks_a_weight_is_refused(tiny: Tiny, tmp_path: Path, name: str, key: str) -> None:
    broken = _without(tiny(name), tmp_path / "broken", key)
    with pytest.raises(EncoderError, match="lacks weights") as caught:
        load(broken)
    assert key.split(".")[-1] in caught.value.line()


@pytest.mark.parametrize(
    ("name", "key"), [("wav2vec2", "masked_spec_embed"), ("wav2vec2", "quantizer"), ("whisper", "decoder")]
)
def test_weights_that_no_feature_depends_on_may_lack(tiny: Tiny, tmp_path: Path, name: str, key: str) -> None:
    audio = noise(4000)
    partial = _without(tiny(name), tmp_path / "partial", key)
    np.testing.assert_array_equal(load(partial).encode([audio])[0], load(tiny(name)).encode([audio])[0])


def test_a_checkpoint_of_another_size_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(tiny("hubert"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    with pytest.raises(EncoderError, match=r"missing or of another shape: encoder.layers.0.feed_forward"):
        load(folder)


def test_a_damaged_checkpoint_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    for name, file in [("hubert", "model.safetensors"), ("emotion2vec", "model.pt")]:
        folder = tmp_path / name
        shutil.copytree(tiny(name), folder)
        (folder / file).write_bytes((folder / file).read_bytes()[:3000])
        with pytest.raises(EncoderError) as caught:
            load(folder)
        assert str(folder) in caught.value.line()


def test_a_checkpoint_that_would_run_code_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    import pickle
    import zipfile

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    folder = tmp_path / "evil"
    shutil.copytree(tiny("emotion2vec"), folder)
    with zipfile.ZipFile(folder / "model.pt", "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"model": Evil()}, protocol=2))
        archive.writestr("model/version", "3\n")
    with pytest.raises(EncoderError, match=r"damaged or not a checkpoint"):
        load(folder)
    (folder / "model.pt").write_bytes(pickle.dumps({"model": Evil()}, protocol=4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of this protocol, before the refusal
        with pytest.raises(EncoderError, match=r"it could run code, and is not read"):
            load(folder)
    shutil.copy(tiny("emotion2vec") / "model.pt", folder / "model.pt")
    settings = (folder / "config.yaml").read_text()
    assert "[(16, 10, 5)]" in settings
    harm = f"[__import__('pathlib').Path('{tmp_path}/ran').touch()]"
    (folder / "config.yaml").write_text(settings.replace("[(16, 10, 5)]", harm.replace("'", "''")))
    with pytest.raises(EncoderError, match=r"cannot use"):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_a_half_precision_checkpoint_computes_in_float32(tmp_path: Path, models: ModuleType) -> None:
    half = models.wav2vec2(tmp_path / "half", dtype="float16")
    audio = noise(4000)
    encoder = load(half)
    assert encoder.model.dtype == torch.float32
    last, _ = directly(half, audio)
    assert distance(encoder.encode([audio])[0], last.mean(axis=0, dtype=np.float64)) < 1e-5


@pytest.mark.parametrize("name", [n for n in ALL if n != "hubert-batch-norm"])  # random, without a norm: far from close
def test_lower_precision_is_close_and_another_identity(tiny: Tiny, name: str) -> None:
    audio = noise(8000)
    exact, half = load(tiny(name)), load(tiny(name), dtype="bfloat16")
    features = half.encode([audio])[0]
    assert features.dtype == np.float32
    # Random weights magnify rounding: features of tiny models are only nearly alike.
    assert 1e-6 < distance(features, exact.encode([audio])[0]) < 0.5
    assert half.identity != exact.identity
    if name in WAVE:
        last, _ = directly(tiny(name), audio, torch.bfloat16)
        assert distance(features, last.mean(axis=0, dtype=np.float64)) < 2e-2


def test_pickled_weights_load_and_safetensors_win(tiny: Tiny, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder, audio = tmp_path / "bin", noise(4000)
    shutil.copytree(tiny("hubert"), folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    both = load(folder)
    assert both.identity["weights_sha256"] == load(tiny("hubert")).identity["weights_sha256"]
    (folder / "model.safetensors").unlink()
    pickled = load(folder)
    assert pickled.identity["weights_sha256"] != both.identity["weights_sha256"]
    np.testing.assert_array_equal(pickled.encode([audio])[0], both.encode([audio])[0])


def test_models_of_another_kind_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "bert-as-speech"
    shutil.copytree(tiny("bert"), folder)
    for _ in range(2):
        with pytest.raises(EncoderError, match=r"not a speech encoder; .*found bert. Name an encoder of text with --text"):
            load(folder)
        shutil.copy(tiny("wav2vec2") / "preprocessor_config.json", folder)


def test_a_model_without_its_preprocessor_settings_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(tiny("wav2vec2"), folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(EncoderError, match=r"preprocessor_config\.json"):
        load(folder)


def test_a_damaged_preprocessor_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    for name in ("wav2vec2", "whisper"):
        folder = tmp_path / name
        shutil.copytree(tiny(name), folder)
        for text in ("{", json.dumps({"auto_map": {"AutoFeatureExtractor": "evil.Extractor"}})):
            (folder / "preprocessor_config.json").write_text(text)
            with pytest.raises(EncoderError, match=f"cannot load the preprocessor in {folder}"):
                load(folder)


def test_a_model_with_an_adapter_behind_its_encoder_is_refused(tmp_path: Path, models: ModuleType) -> None:
    with pytest.raises(EncoderError, match=r"adapter behind its encoder.*add_adapter"):
        load(models.wav2vec2(tmp_path / "adapter", add_adapter=True))


def test_frame_level_keeps_one_layer(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="one layer"):
        load(tiny("wav2vec2"), level="frame", layers="all")
    with pytest.raises(ConfigError, match="0 to 3"):
        load(tiny("wav2vec2"), layers=(4,))
