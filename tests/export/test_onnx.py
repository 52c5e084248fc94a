"""Models in ONNX answer as PyTorch: every head from features, encoders of transformers from the waveform."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import UNSET

import ser
from ser import outside
from ser.cli import main
from ser.errors import ConfigError, EncoderError
from ser.export.folder import export_folder
from ser.extract.encoder import load
from ser.extract.options import EncoderOptions
from ser.features.blocks import Block
from ser.metadata.table import make_table, write_table
from ser.registry import names, resolve
from ser.train.checkpoint import SavedHead
from ser.train.head_file import HeadFacts, OutsidePart, StoredInput, Unit
from ser.train.heads._base import HEADS, build_head, part_of, takes
from ser.train.loop.config import make_config
from ser.train.nn.layers import Input
from ser.train.nn.parameters import Parameters
from ser.train.runs.identity import parts_from_outside
from ser.workspace import Workspace

pytest.importorskip("onnx", reason="the package onnx is not installed")
pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
import ser.export.onnx as exporting
from ser.export.graph import FromFeatures, FromWaveform
from ser.predict.onnx_head import WAVEFORM, OnnxHead, WaveformFacts, load_onnx

CANDIDATES = (
    [Input("pooled", "audio", 12, framewise=False, layers=3)],
    [Input("frames", "audio", 39, framewise=True)],
    [Input("frames", "audio", 64, framewise=True)],
    [Input("words", "text", 1, framewise=True, vocabulary=17)],
    [Input("frames", "audio", 12, framewise=True), Input("words", "text", 1, framewise=True, vocabulary=17)],
    [Input("a", "audio", 12, framewise=True), Input("t", "text", 10, framewise=True), Input("v", "visual", 9, framewise=True)],
)


# Narrower, and fewer of the layers that are alike: what is traced is the same, and the time goes by its size.
SMALLER: dict[str, Any] = {
    "audio_transformer": {"hidden": 32, "layers": 2},
    "bilstm": {"hidden": 16},
    "cnn2d": {"channels": "4,8,8,8", "hidden": 16},
    "cnn_bilstm": {"channels": "4,8,8", "hidden": 16},
    "cross_attention": {"hidden": 32},
    "gated": {"hidden": 32},
    "patch_attention": {"hidden": 32},
    "resnet18": {"hidden": 4},
    "text_centred": {"hidden": 16, "feed": 64},
    "timnet": {"blocks": 3},
}


def saved(name: str, columns: list[Input], seed: int = 0, **facts_of: Any) -> SavedHead:
    """A head of four outputs with random weights, as it would be read from a file."""
    config = make_config(name, target="mixed" if facts_of else "emotion", head_options=SMALLER.get(name, {}))
    part = part_of(name)
    weights = []
    for inputs in [columns] if part == name else [[i] for i in columns]:
        made = build_head(part, inputs, 4, dict(config.head_options), seed)
        weights.append(Parameters([lambda made=made: made]).row(0))  # type: ignore[misc]
    random = np.random.default_rng(1)
    statistics: Any = {
        i.name: {
            key: np.abs(random.normal(1, 0.2, (i.layers, i.dim) if i.layers > 1 else (i.dim,))).astype(np.float32)
            for key in ("mean", "std")
        }
        for i in columns
        if not i.vocabulary
    }
    facts = HeadFacts(
        schema="ser.head/1",
        classes=list("ab" if facts_of else "abcd"),
        dataset="toy",
        config=config.as_dict(),
        inputs=[StoredInput(*i) for i in columns],
        stores={i.name: {"encoder": "none", "identity": {}} for i in columns},
        normalize="train",
        limit=3.0,
        stamps=[],
        experiment="x",
        config_hash="0",
        run=0,
        fold="0",
        seed=0,
        **{"novelty": 0.8, **facts_of},
    )
    return SavedHead(facts, config, weights, statistics)


def _fitting(name: str) -> list[list[Input]]:
    part = takes(name)
    found = [c for c in CANDIDATES if part.fits(c)] if part_of(name) == name else [CANDIDATES[4]]
    return found[:1] + found[-1:] if len(found) > 1 else found


@pytest.mark.parametrize("name", names(HEADS))
def test_every_head_answers_in_onnx_as_in_torch(name: str, tmp_path: Path) -> None:
    for columns in _fitting(name):
        assert _differs(name, columns, [None], tmp_path / "model.onnx") < 1e-4, columns


@pytest.mark.parametrize(("name", "columns"), [("mlp", CANDIDATES[0]), ("late", CANDIDATES[4]), ("bilstm", CANDIDATES[3])])
def test_several_heads_answer_with_their_mean(name: str, columns: list[Input], tmp_path: Path) -> None:
    assert _differs(name, columns, [None, 0.5], tmp_path / "model.onnx") < 1e-4


def _differs(name: str, columns: list[Input], temperatures: list[float | None], path: Path) -> float:
    """The largest difference between heads and their graph, which is the mean of all."""
    heads = [saved(name, columns, seed) for seed in range(len(temperatures))]
    exporting._trace(FromFeatures(heads, temperatures), *exporting._example(columns, path))
    exporting._describe(path, heads, None)
    return float(exporting._on_features(load_onnx(path), heads, temperatures))


def test_a_class_and_dimensions_keep_their_scales(tmp_path: Path) -> None:
    unit = Unit([0.5, 3.0], [2.0, 1.5])
    heads = [saved("mlp", CANDIDATES[0], learns="emotion,arousal,valence", unit=unit, novelty=UNSET)]
    path = tmp_path / "model.onnx"
    exporting._trace(FromFeatures(heads, [None]), *exporting._example(CANDIDATES[0], path))
    exporting._describe(path, heads, None)
    graph = load_onnx(path)
    assert graph.dimensions == ("arousal", "valence")
    assert exporting._on_features(graph, heads, [None]) < 1e-4
    assert not graph.knows_novelty  # as of a head that an earlier version saved


FAMILIES = ("whisper-tiny", "wav2vec2-base", "wavlm-base", "data2vec-base", "emotion2vec", "w2v-bert-2.0", "ast")


@pytest.mark.parametrize("options", [{}, {"level": "frame"}, {"layers": "all", "pooling": "mean,std"}], ids=str)
@pytest.mark.parametrize("name", FAMILIES)
def test_encoders_are_traced_from_the_waveform(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    from ser.extract.encoder import find

    pytest.importorskip("transformers")
    plugin = find(name)
    folder = plugin.example(tmp_path / plugin.CHECKPOINTS[name].hub.split("/")[-1])
    if name == "ast":
        options = {key: value for key, value in options.items() if key != "pooling"}  # it has two tokens, not frames, to pool
    encoder = load(str(folder), "audio", EncoderOptions(**options))
    layers = len(encoder.layers) if encoder.stacked else 1  # type: ignore[attr-defined]
    source = Input("store", "audio", encoder.dim, framewise=encoder.level == "frame", layers=layers)
    head = saved("mlp", [source])
    path = tmp_path / "model.onnx"
    facts = WaveformFacts(sample_rate=16000, shortest=encoder.minimum, longest=None)
    graph = FromWaveform(encoder, FromFeatures([head], [None]))  # type: ignore[arg-type]
    exporting._trace(graph, exporting._heard(encoder), path, {WAVEFORM: {1: "samples"}})
    exporting._describe(path, [head], facts)
    model = load_onnx(path)
    for samples in (3000, min(20001, encoder.longest or 20001)):  # type: ignore[attr-defined]
        audio = np.random.default_rng(samples).normal(0, 0.1, samples).astype(np.float32)
        features = encoder.encode([audio])
        values = features[0] if source.framewise else np.stack(features)
        offsets = np.array([0, len(values)]) if source.framewise else None
        expected = head.probabilities([Block("store", "audio", values, offsets)])
        found, far = model.judged([Block(WAVEFORM, "audio", audio[:, None], np.array([0, samples]))])
        np.testing.assert_allclose(found, expected, atol=1e-4)
        np.testing.assert_allclose(far, head.novelty([Block("store", "audio", values, offsets)]), atol=1e-4)


def test_the_command_writes_a_checked_graph_that_predicts(
    trained: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.onnx"
    assert main(["export", "onnx", "frames", "--output", str(path), "--workspace", str(trained)]) == 0
    out, err = capsys.readouterr()
    assert "the graph begins with features: encoder mfcc is not made of torch's operations alone" in err
    assert "largest difference from PyTorch, on 5 recordings: " in out
    heads = sorted((trained / "results" / "frames").glob("*.safetensors"))
    averaged = ser.Predictor(heads)
    expected = averaged.predict(clip)
    assert ser.Predictor(path).durations == averaged.durations
    command = ["predict", str(clip), "--model", str(path), "--runtime", "onnx", "--format", "jsonl"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    for name in ("p_anger", "novelty"):
        assert found[name] == pytest.approx(expected[name][0], abs=1e-4)
    assert main(["predict", str(clip), "--model", str(heads[0]), "--runtime", "onnx"]) == 2
    assert "Write it first: ser export onnx" in capsys.readouterr().err


def test_a_graph_without_its_encoder_says_so_and_how_to_have_it(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["export", "onnx", "frames", "--output", str(tmp_path / "m.onnx"), "--workspace", str(trained), "--overwrite"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "in it: the heads, not the encoder; whoever runs it gives it the features mfcc" in out
    assert "for a graph from the waveform" not in out  # mfcc is never in one

    def without_weights(*given: Any, **more: Any) -> None:
        raise EncoderError("there are no weights of mfcc here", action="Give --weights DIR.")

    monkeypatch.setattr(exporting, "Predictor", without_weights)
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "begins with features: there are no weights of mfcc here. Give --weights DIR." in " ".join(err.split())
    assert "from features to the answer" in out
    assert "for a graph from the waveform: mend that, with --weights DIR or" in " ".join(out.split())


def test_the_recordings_that_a_graph_is_checked_on_are_the_segments_of_the_table(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    times = [("film.wav", 2.0, 3.5, 1), ("film.wav", 60.0, 61.0, None), ("film.wav", 0.0, 45.0, None)]
    rows = [
        {"utterance_id": f"u{k}", "path": path, "start": start, "end": end, "channel": channel, "emotion": "anger"}
        | {"duration": end - start}
        for k, (path, start, end, channel) in enumerate([*times, ("gone.wav", 0.0, 1.0, None)])
    ]
    write_table(make_table(rows, "toy", {"corpus": "csv", "root": str(tmp_path)}), space)
    (tmp_path / "film.wav").write_bytes(b"")
    found = exporting.clips_of(saved("mlp", CANDIDATES[0]), space)
    assert found is not None
    assert [(r.name, r.start, r.end, r.channel) for r in found.recordings or []] == [
        (str(tmp_path / "film.wav"), 2.0, 3.5, 1),
        (str(tmp_path / "film.wav"), 60.0, 61.0, None),
    ]
    assert exporting.clips_of(saved("mlp", CANDIDATES[0]), Workspace(tmp_path / "none")) is None


def test_recordings_that_onnx_cannot_take_are_left_out_of_the_check(
    trained: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = exporting.Predictor.judge

    def short(self: Any, inputs: Any) -> Any:
        errors, seconds, shares = judge(self, inputs)
        if isinstance(self.head, OnnxHead):
            errors[1:], shares[1:] = "the recording is longer than this model in ONNX can hear", np.nan
        return errors, seconds, shares

    monkeypatch.setattr(exporting.Predictor, "judge", short)
    heads = sorted((trained / "results" / "mfcc").glob("*.safetensors"))
    done = exporting.export_onnx(heads, tmp_path / "m.onnx", clips=[clip, clip])
    assert done.heard == "1 recording (1 left out, the first because the recording is longer than this model in ONNX can hear)"
    assert done.difference < 1e-4
    assert len(heads) > 1
    assert exporting.Predictor([tmp_path / "m.onnx"]).averaged == len(heads)  # not the one graph
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    with pytest.raises(ConfigError, match=r"none of the recordings to check the graph on.*--clip FILE"):
        exporting.export_onnx(heads, tmp_path / "n.onnx", clips=[tmp_path / "bad.wav", clip])


def test_a_calibrated_folder_becomes_a_calibrated_graph(trained: Path, clip: Path, tmp_path: Path) -> None:
    folder = export_folder("mfcc", Workspace(trained), tmp_path / "model", calibrate=True).path
    there = tmp_path / "m.onnx"
    there.write_bytes(b"mine")
    with pytest.raises(ConfigError, match="is there already"):
        exporting.export_onnx([folder], there)
    assert there.read_bytes() == b"mine"
    with pytest.raises(ConfigError, match=r"expected a file that ends in \.onnx"):
        exporting.export_onnx([folder], tmp_path / "m.wav")
    done = exporting.export_onnx([folder], there, overwrite=True)
    assert done.heard == "3 pieces of noise"
    found, expected = (ser.Predictor(m).predict(clip)["p_anger"][0] for m in (done.path, folder))
    assert found == pytest.approx(expected, abs=1e-4)


def test_what_is_no_graph_is_said_in_one_line(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "onnx", "sklearn", "--output", str(tmp_path / "m.onnx"), "--workspace", str(trained)]) == 2
    assert "a classifier of scikit-learn, is not exported to ONNX" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x.onnx").write_bytes(b"no model")
    with pytest.raises(ConfigError, match="expected a file that ser export onnx wrote"):
        ser.Predictor(tmp_path / "x.onnx")
    head, path = saved("linear", CANDIDATES[0]), tmp_path / "y.onnx"
    graph = FromFeatures([head], [None])
    graph.outputs = ["other"]
    exporting._trace(graph, *exporting._example(CANDIDATES[0], path))
    exporting._describe(path, [head], None)
    with pytest.raises(ConfigError, match=r"damaged or forged; expected an output probabilities; found \['other'\]"):
        load_onnx(path)


def test_a_graph_that_answers_something_else_is_not_written(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_compare", lambda *_: ("3 pieces of noise", 2e-4))
    with pytest.raises(ConfigError, match=r"answers something else than the model.*found 0.0002"):
        exporting.export_onnx(sorted((trained / "results" / "mfcc").glob("*.safetensors")), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_graph_of_a_head_from_outside_needs_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(outside.VARIABLE, "")
    copy = (Path(ser.__file__).parent / "train" / "heads" / "linear.py").read_text(encoding="utf-8")
    (tmp_path / "my_line.py").write_text(copy, encoding="utf-8")
    name = resolve(HEADS, str(tmp_path / "my_line.py"))
    head = saved(name, CANDIDATES[0])
    head.about.outside = [OutsidePart(**part) for part in parts_from_outside({"head": name})["outside"]]
    path = tmp_path / "model.onnx"
    exporting._trace(FromFeatures([head], [None]), *exporting._example(CANDIDATES[0], path))
    exporting._describe(path, [head], None)
    block = exporting._random(CANDIDATES[0][0], np.random.default_rng(0), [1])
    expected = head.probabilities([block])
    outside.distrust(name)
    np.testing.assert_allclose(load_onnx(path).probabilities([block]), expected, atol=1e-6)
