"""SenseVoice and speaker embeddings: the same numbers as funasr's own classes give on the same random weights, and refusals."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

from ser.errors import EncoderError
from ser.extract import encoder as base
from ser.extract.encoders import speaker
from ser.extract.models.kaldi_bands import kaldi_bands, traced_bands
from ser.extract.options import EncoderOptions

Example = Callable[[str], str]
SAMPLES = (1680, 9000, 41000)


def noise(samples: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0.01, 0.1, samples).astype(np.float32)


def load(folder: str | Path, **options: Any) -> Any:
    return base.load(str(folder), "audio", EncoderOptions(**options))


def bands_of_transformers(audio: NDArray[np.float32], window: str) -> torch.Tensor:
    """Kaldi's filter bank, as transformers computes it for other models."""
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    shape = window_function(400, window, periodic=False)
    filters = mel_filter_bank(257, 80, 20, 8000, 16000, mel_scale="kaldi", triangularize_in_mel_space=True)
    settings = {"fft_length": 512, "power": 2.0, "center": False, "preemphasis": 0.97, "mel_floor": 1.192092955078125e-07}
    found = spectrogram(audio, shape, 400, 160, mel_filters=filters, log_mel="log", remove_dc_offset=True, **settings)
    return torch.from_numpy(found.T.astype(np.float32))


def close(found: NDArray[np.float32], expected: torch.Tensor) -> None:
    other = expected.detach().numpy()
    assert found.shape == other.shape
    assert np.linalg.norm(found - other) <= 2e-5 * np.linalg.norm(other)


@pytest.mark.parametrize("window", ["hamming", "povey"])
@pytest.mark.parametrize("samples", [400, 559, 560, 9000])
def test_bands_are_kaldis(window: str, samples: int) -> None:
    close(kaldi_bands(noise(samples), 80, window).numpy(), bands_of_transformers(noise(samples), window))


@pytest.mark.parametrize("window", ["hamming", "povey", "hanning"])
def test_bands_that_can_be_traced_are_the_same(window: str) -> None:
    pair = np.stack([noise(9000), noise(9000, seed=1)])
    found = traced_bands(torch.from_numpy(pair), 80, window).numpy()
    for row, audio in zip(found, pair, strict=True):
        close(row, bands_of_transformers(audio, window.removesuffix("ing") if window == "hanning" else window))


def test_silence_has_finite_bands() -> None:
    assert kaldi_bands(np.zeros(800, dtype=np.float32), 80, "hamming").isfinite().all()


@pytest.mark.parametrize("samples", [400, *SAMPLES])
def test_sensevoice_is_what_funasr_computes(example: Example, models: ModuleType, samples: int) -> None:
    folder = Path(example("sensevoice"))
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    with models.undisturbed():
        from funasr.frontends.wav_frontend import apply_cmvn, apply_lfr, load_cmvn
        from funasr.models.sense_voice.model import SenseVoiceEncoderSmall
    state = torch.load(folder / "model.pt", weights_only=True)
    theirs = SenseVoiceEncoderSmall(input_size=560, **settings["encoder_conf"]).eval()
    own = {key.removeprefix("encoder."): value for key, value in state.items() if key.startswith("encoder.")}
    theirs.load_state_dict(own, strict=True)
    bands = bands_of_transformers(noise(samples) * 32768, "hamming")
    speech = apply_cmvn(apply_lfr(bands, 7, 6), load_cmvn(str(folder / "am.mvn")))
    asked = state["embed.weight"][[0, 1, 2, 15]]  # as `inference` of funasr's class joins them
    with torch.inference_mode():
        expected = theirs(torch.cat([asked, speech])[None], torch.tensor([4 + len(speech)]))[0][0, 4:]
    close(load(folder, level="frame").encode([noise(samples)])[0], expected)
    close(load(folder).encode([noise(samples)])[0], expected.mean(0))


def test_layers_of_sensevoice(example: Example) -> None:
    """Layer 2 is behind the first part's final norm, the last behind the second's; a lower layer alone is the same."""
    encoder = load(example("sensevoice"), layers="all")
    layers = encoder.encode([noise(9000)])[0]
    assert layers.shape == (5, 32)
    np.testing.assert_array_equal(layers[4], load(example("sensevoice")).encode([noise(9000)])[0])
    for number in range(5):
        frames = load(example("sensevoice"), layers=(number,), level="frame").encode([noise(9000)])[0]
        np.testing.assert_allclose(frames.mean(axis=0), layers[number], atol=1e-5)
        normed = bool(np.abs(frames.mean(axis=1)).max() < 1e-5 and np.abs(frames.std(axis=1) - 1).max() < 1e-2)
        assert normed == (number in (2, 4))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda c: c["frontend_conf"].update(window="hanning"), "window hanning"),
        (lambda c: c["encoder_conf"].update(normalize_before=False), "normalize_before"),
        (lambda c: c["encoder_conf"].pop("output_size"), "output_size"),
        (lambda c: c["encoder_conf"].update(num_blocks=2), "weights that its config.yaml does not describe"),
        (lambda c: c["encoder_conf"].update(num_blocks=4), r"lacks weights .*encoder\.encoders\.2"),
    ],
)
def test_sensevoice_settings_that_do_not_fit(
    example: Example, tmp_path: Path, edit: Callable[[Any], object], said: str
) -> None:
    folder = Path(shutil.copytree(example("sensevoice"), tmp_path / "model"))
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    edit(settings)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(EncoderError, match=said):
        load(folder)


@pytest.mark.parametrize(("text", "said"), [("<AddShift> 2 2\n[ 1 2 ]", "cannot use"), ("<Rescale> [ x ]", "cannot use")])
def test_means_that_do_not_fit(example: Example, tmp_path: Path, text: str, said: str) -> None:
    folder = Path(shutil.copytree(example("sensevoice"), tmp_path / "model"))
    (folder / "am.mvn").write_text(text)
    with pytest.raises(EncoderError, match=said):
        load(folder)
    (folder / "am.mvn").write_text("<AddShift> [ 1 2 ]\n<Rescale> [ 1 2 ]")
    with pytest.raises(EncoderError, match="another model; expected 560 numbers; found 2"):
        load(folder)


def campplus() -> Any:
    from funasr.models.campplus.model import CAMPPlus

    return CAMPPlus(embedding_size=24, growth_rate=4, bn_size=2, init_channels=16)


def eres2netv2(scale: int) -> Any:
    from funasr.models.eres2net.eres2netv2 import ERes2NetV2

    return ERes2NetV2(num_blocks=[1, 2, 1, 1], m_channels=8, embedding_size=24, baseWidth=32, scale=scale, expansion=scale)


def ecapa(later: int) -> Any:
    from funasr.models.sond.encoder.ecapa_tdnn_encoder import ECAPA_TDNN

    class Whole(ECAPA_TDNN):
        """Pooled over the whole utterance, as 3D-Speaker does; funasr's diarisation pools windows."""

        def forward(self, x: Any) -> Any:
            x, kept = x.transpose(1, 2), []
            for block in self.blocks:
                x = block(x)
                kept.append(x)
            return self.fc(self.asp_bn(self.asp(self.mfa(torch.cat(kept[1:], dim=1)))))

    sizes = {"attention_channels": 8, "res2net_scale": 4, "se_channels": 8, "lin_neurons": 24}
    return Whole(80, channels=[16, later, later, later, 3 * later], **sizes)


SPEAKERS = {
    "campplus_voxceleb.bin": campplus,
    "pretrained_eres2netv2.ckpt": lambda: eres2netv2(2),
    "pretrained_eres2netv2w24s4ep4.ckpt": lambda: eres2netv2(4),
    "ecapa_tdnn.bin": lambda: ecapa(16),
    "ecapa-tdnn.ckpt": lambda: ecapa(8),
}


@pytest.mark.parametrize("file", SPEAKERS)
def test_speakers_are_what_funasr_computes(models: ModuleType, tmp_path: Path, file: str) -> None:
    with models.undisturbed():
        torch.manual_seed(1)
        theirs = SPEAKERS[file]().eval()
    for name, values in theirs.state_dict().items():
        if name.endswith("running_var"):
            values.uniform_(0.5, 2)
        elif name.endswith("running_mean"):
            values.normal_(0, 0.2)
    torch.save(theirs.state_dict(), tmp_path / file)
    encoder = load(tmp_path)
    audios = [noise(samples, samples) for samples in (*SAMPLES, 9000)]
    for audio, found in zip(audios, encoder.encode(audios), strict=True):
        bands = bands_of_transformers(audio, "povey")
        with torch.inference_mode():
            expected = theirs((bands - bands.mean(0))[None])
        close(found, expected.reshape(-1))
    assert encoder.dim == 24


def test_the_shortest_audio_has_an_embedding(models: ModuleType, tmp_path: Path) -> None:
    """One frame less would have no deviation over time, or too little to reflect."""
    for file, make in SPEAKERS.items():
        folder = tmp_path / file
        folder.mkdir()
        with models.undisturbed():
            torch.save(make().state_dict(), folder / file)
        encoder = load(folder)
        assert np.isfinite(encoder.encode([noise(encoder.minimum)])[0]).all()
        assert encoder.costs([encoder.minimum, encoder.minimum + 159]) == [160 * encoder.net.least] * 2


def test_speakers_weights_that_do_not_fit(example: Example, tmp_path: Path) -> None:
    file = tmp_path / "campplus_cn_common.bin"
    torch.save({"a.weight": torch.zeros(2)}, file)
    with pytest.raises(EncoderError, match=r"cannot use .*; expected the weights of a CAM\+\+"):
        load(tmp_path)
    state = torch.load(Path(example("speaker")) / file.name, weights_only=True)
    torch.save({k: v for k, v in state.items() if k != "xvector.tdnn.nonlinear.batchnorm.running_mean"}, file)
    with pytest.raises(EncoderError, match=r"lacks weights .*batchnorm\.running_mean"):
        load(tmp_path)
    torch.save({**state, "more": torch.zeros(1)}, file)
    with pytest.raises(EncoderError, match=r"weights that this network does not have; found 1: more"):
        load(tmp_path)
    shutil.copy(file, tmp_path / "ecapa_tdnn.bin")
    with pytest.raises(EncoderError, match="weights of several models; expected one of them"):
        load(tmp_path)


def test_old_checkpoints_have_no_count_of_batches(example: Example, tmp_path: Path) -> None:
    state = torch.load(Path(example("speaker")) / "campplus_cn_common.bin", weights_only=True)
    torch.save({k: v for k, v in state.items() if "num_batches" not in k}, tmp_path / "campplus_cn_common.bin")
    found = load(tmp_path).encode([noise(9000)])[0]
    np.testing.assert_array_equal(found, load(example("speaker")).encode([noise(9000)])[0])


@pytest.mark.parametrize(
    ("name", "plugin"),
    [
        ("iic/SenseVoiceSmall", "sensevoice"),
        ("FunAudioLLM/SenseVoiceSmall", "sensevoice"),
        ("campplus", "speaker"),
        ("iic/speech_eres2netv2w24s4ep4_sv_zh-cn_16k-common", "speaker"),
        ("iic/emotion2vec_base", "emotion2vec"),
    ],
)
def test_families_of_names(name: str, plugin: str) -> None:
    assert base.find(name).__name__.endswith(f".{plugin}")


def test_folders_of_funasr_are_told_apart_by_their_class(example: Example, tmp_path: Path) -> None:
    for name in ("sensevoice", "emotion2vec"):
        assert base.find(example(name)).__name__.endswith(f".{name}")
    (tmp_path / "config.yaml").write_text("model: CAMPPlus\nmodel_conf:\n  feat_dim: 80\n")
    assert base.find(str(tmp_path)) is speaker
