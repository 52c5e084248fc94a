"""Export to ONNX: the graph of a model is traced, checked with onnxruntime on recordings, and only then given its name."""

import shutil
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from msgspec import UNSET
from msgspec.structs import replace
from numpy.typing import NDArray

import ser
from ser.errors import ConfigError, EncoderError, SerError
from ser.export.graph import FromFeatures, FromWaveform, refuse
from ser.extract.models.frozen_encoder import Frozen
from ser.features.blocks import Block
from ser.files import require_new
from ser.jsonfile import dumps
from ser.metadata.table import load_table
from ser.optional import need
from ser.predict.head_encoders import refuse_unused
from ser.predict.inputs import SEGMENT, Inputs, check_inputs
from ser.predict.onnx_head import ENDING, KEY, LENGTHS, WAVEFORM, OnnxFacts, OnnxHead, WaveformFacts, load_onnx
from ser.predict.predictor import Predictor
from ser.predict.recordings import RecordingLike
from ser.results.metrics.calibration import scaled
from ser.train.checkpoint import SavedHead, durations_of, load_head, refuse_others
from ser.train.model_folder import heads_and_temperatures
from ser.train.nn.layers import Input
from ser.workspace import Workspace, writing

TOLERANCE = 1e-4  # of a probability
OPSET = 17
LONGEST = 30.0  # s; encoders with windows take no more at once
CLIPS = 5  # recordings of the corpus that the graph is checked on
WHOLE = (
    "mend that, with --weights DIR or --encoders STORE=FOLDER where weights are elsewhere, and give the command again with "
    "--overwrite; the encoder is then in the graph if it can be traced"
)
SECONDS = (1.3, 2.6, 4.1)  # of the noise that is heard where there are no recordings


@dataclass(frozen=True)
class Traced:
    """A model in ONNX that was written.

    Attributes:
        path: its file.
        reads: `waveform`, or `features`.
        why: the reason why it does not read the waveform; "" where it does.
        features: the stores whose features it reads instead.
        whole: the way to a graph from the waveform, where this machine lacks what that needs.
        heard: what it was checked on, in words.
        difference: the largest between onnxruntime and PyTorch, of a probability or a value.
    """

    path: Path
    reads: str
    why: str
    features: tuple[str, ...]
    whole: str
    heard: str
    difference: float


def export_onnx(
    model: Sequence[Path],
    output: Path,
    *,
    clips: Sequence[RecordingLike] | Inputs = (),
    weights: Path | None = None,
    encoders: dict[str, str] | None = None,
    features: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Traced:
    """Export a model, from the waveform where its encoder can be traced, else from features.

    Args:
        model: files of heads, or the folder of a model.
        output: the file.
        clips: recordings to check it on, those that ONNX cannot take left out; where none are named, noise.
        weights, encoders: as of `Predictor`.
        features: read features even where the encoder can be traced.
        overwrite: replace a file that is there.

    Raises:
        ConfigError: a file that is there or does not end in .onnx; heads that have no graph, or a graph that answers
            something else than PyTorch.
        EncoderError: a package is missing.
    """
    if output.suffix != ENDING:
        raise ConfigError(f"--output {output}", expected=f"a file that ends in {ENDING}")
    require_new(output, overwrite)
    need("onnx", "onnx", kind=EncoderError)
    need("onnxruntime", "onnx", kind=EncoderError)
    files, temperatures = heads_and_temperatures(model)
    heads = [load_head(file) for file in files]
    refuse_others(files, heads)
    for head in heads:
        refuse(head)
    refuse_unused(encoders or {}, [source.name for source in heads[0].inputs])
    predictor, why = _predictor(model, weights, encoders, say)
    graph = FromFeatures(heads, temperatures)
    encoder = predictor.encoders[0] if predictor is not None else None
    whole = WHOLE if why and not features else ""
    if features or predictor is not None:
        why = "features were asked for" if features or predictor is None else _reason(predictor.encoders)
    with TemporaryDirectory() as folder:
        aside = Path(folder) / f"model{ENDING}"
        if not why and isinstance(encoder, Frozen):
            facts = WaveformFacts(sample_rate=encoder.sample_rate, shortest=encoder.minimum, longest=encoder.longest)
            _trace(FromWaveform(encoder, graph), _heard(encoder), aside, {WAVEFORM: {1: "samples"}})
        else:
            facts = None
            _trace(graph, *_example(heads[0].inputs, aside))
        _describe(aside, heads, facts)
        heard, difference = _compare(aside, predictor, heads, temperatures, clips)
        if not difference <= TOLERANCE:
            raise ConfigError(
                "the graph in ONNX answers something else than the model",
                expected=f"a difference of {TOLERANCE:g} at most on {heard}",
                found=f"{difference:.2g}",
                action="Nothing was written. Take features alone: --features; or hand on a folder: ser export folder.",
            )
        with writing(output) as temporary:
            shutil.copyfile(aside, temporary)
    stores = tuple(source.name for source in heads[0].inputs) if why else ()
    return Traced(output, "features" if why else WAVEFORM, why, stores, whole, heard, difference)


def clips_of(head: SavedHead, workspace: Workspace) -> Inputs | None:
    """The first utterances of the corpus of a head, with their segments, as far as the workspace has its table and the audio.

    Those that are known to be longer than any encoder takes at once are left out. None where there is none.
    """
    try:
        table = load_table(head.about.dataset.split("+")[0], workspace)
    except SerError:
        return None
    frame = table.frame
    fitting = frame[(frame["path"] != "") & ~(frame["duration"] > LONGEST)].drop_duplicates(["path", *SEGMENT])
    rows = list(islice((row for row in fitting.index if (table.root / frame["path"][row]).is_file()), CLIPS))
    if not rows:
        return None
    paths = [table.root / path for path in frame["path"][rows]]
    return check_inputs(paths, segments={name: list(frame[name][rows]) for name in SEGMENT})


def _predictor(
    model: Sequence[Path], weights: Path | None, encoders: dict[str, str] | None, say: Callable[[str], None]
) -> tuple[Predictor | None, str]:
    """The model with its encoders; None where these cannot be loaded here, and the reason."""
    try:
        return Predictor(model, weights=weights, encoders=encoders, say=say), ""
    except SerError as error:
        return None, error.line()


def _reason(encoders: Sequence[Any]) -> str:
    """The reason why the encoders cannot be a part of the graph; "" where they can."""
    if len(encoders) != 1:
        return f"the model reads {len(encoders)} stores, and a graph from the waveform has one encoder"
    encoder = encoders[0]
    if not isinstance(encoder, Frozen) or encoder.network is None:
        return f"encoder {encoder.name} is not made of torch's operations alone"
    if encoder.dtype != "float32":
        return f"encoder {encoder.name} computes in {encoder.dtype}"
    return ""


def _heard(encoder: Frozen) -> tuple[torch.Tensor, ...]:
    """Audio to trace the graph of an encoder with, no longer than it takes at once."""
    (noise,) = _noise(encoder.sample_rate)
    return (noise[:, : encoder.longest],)


def _noise(rate: int, seconds: float = 1.1, rows: int = 2) -> tuple[torch.Tensor, ...]:
    samples = np.random.default_rng(0).normal(0, 0.1, (rows, int(seconds * rate)))
    return (torch.from_numpy(samples.astype(np.float32)),)


def _example(columns: Sequence[Input], path: Path) -> tuple[tuple[torch.Tensor, ...], Path, dict[str, dict[int, str]]]:
    """Features to trace a graph with: two utterances, one with padding; and the axes that may have any size."""
    values: list[torch.Tensor] = []
    axes: dict[str, dict[int, str]] = {}
    random = np.random.default_rng(0)
    for number, source in enumerate(columns):
        frames = 57 + 8 * number
        block = _random(source, random, [frames, frames - 20])
        if block.offsets is None:
            values.append(torch.from_numpy(block.values))
            axes[source.name] = {}
            continue
        first, last = np.split(block.values, [frames])
        rows = np.stack([first, np.concatenate([last, np.zeros_like(first[:20])])])
        values += [torch.from_numpy(rows), torch.tensor([frames, frames - 20])]
        axes |= {source.name: {1: f"frames_{number}"}, source.name + LENGTHS: {}}
    return tuple(values), path, axes


def _random(source: Input, random: np.random.Generator, frames: Sequence[int]) -> Block:
    """Random features of utterances with so many frames."""
    count = sum(frames) if source.framewise else len(frames)
    shape = (count, source.layers, source.dim) if source.layers > 1 else (count, source.dim)
    offsets = np.concatenate([[0], np.cumsum(frames)]).astype(np.int64) if source.framewise else None
    if source.vocabulary:
        words = random.integers(1, source.vocabulary, (count, 1)).astype(np.int64)
        return Block(source.name, source.modality, words, offsets, source.vocabulary)
    return Block(source.name, source.modality, random.normal(size=shape).astype(np.float32), offsets)


def _trace(
    graph: FromFeatures | FromWaveform, example: tuple[torch.Tensor, ...], path: Path, axes: dict[str, dict[int, str]]
) -> None:
    """Write the graph; the first axis of each input, and those that `axes` names, may have any size."""
    sizes = {name: {0: "batch", **own} for name, own in [*axes.items(), *((name, {}) for name in graph.outputs)]}
    with warnings.catch_warnings(), torch.no_grad(), redirect_stdout(StringIO()):
        # Of tracing, and of the exporter by torch.export, which has no packed sequences.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                graph.eval(),
                example,
                str(path),
                input_names=list(axes),
                output_names=graph.outputs,
                dynamic_axes=sizes,
                opset_version=OPSET,
                dynamo=False,
            )
        except Exception as error:  # the exporter fails in many ways
            raise ConfigError(
                "torch cannot write this model as ONNX",
                found=f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}",
                action="Take features alone (--features), or hand on a folder: ser export folder.",
            ) from None


def _describe(path: Path, heads: Sequence[SavedHead], waveform: WaveformFacts | None) -> None:
    """Write the facts of the model into the metadata of its file."""
    import onnx

    graph = onnx.load(str(path))
    about = replace(heads[0].about, durations=durations_of(heads) or UNSET)
    facts = OnnxFacts(ser=ser.__version__, heads=len(heads), waveform=waveform, head=about)
    onnx.helper.set_model_props(graph, {KEY: dumps(facts)})
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def _compare(
    path: Path,
    predictor: Predictor | None,
    heads: Sequence[SavedHead],
    temperatures: Sequence[float | None],
    clips: Sequence[RecordingLike] | Inputs,
) -> tuple[str, float]:
    """The largest difference between onnxruntime and PyTorch, and what both have heard."""
    graph = load_onnx(path)
    if predictor is None or any(i.modality != "audio" for i in predictor.head.inputs):
        return "random features", _on_features(graph, heads, temperatures)
    rate = max(encoder.sample_rate for encoder in predictor.encoders)
    noise = [(_noise(rate, seconds, 1)[0][0].numpy(), rate) for seconds in SECONDS]
    inputs = clips if isinstance(clips, Inputs) else check_inputs(list(clips) or noise)
    errors, _, expected = predictor.judge(inputs)
    if graph.waveform is not None:
        own, _, found = Predictor([path], encoders=None).judge(inputs)
    else:
        predictor.heads, predictor.head, predictor.temperatures = [graph], graph, [None]
        own, _, found = predictor.judge(inputs)
    reasons = np.where(errors == "", own, errors)  # a graph may not take recordings as long as the model does
    good = reasons == ""
    if not good.any():
        raise ConfigError(
            "none of the recordings to check the graph on can be used",
            expected="one that both the model and its graph in ONNX can hear",
            found=f"of the first: {reasons[0]}",
            action="Name others: --clip FILE.",
        )
    count = int(good.sum())
    words = f"{count} {('recording' if count == 1 else 'recordings') if clips else 'pieces of noise'}"
    if count < len(good):
        words += f" ({len(good) - count} left out, the first because {reasons[~good][0]})"
    return words, float(np.abs(found[good] - expected[good]).max())


def _on_features(graph: OnnxHead, heads: Sequence[SavedHead], temperatures: Sequence[float | None]) -> float:
    random = np.random.default_rng(1)
    blocks = [_random(source, random, [7, 31, 112]) for source in heads[0].inputs]
    each: list[NDArray[np.float64]] = []
    far: list[NDArray[np.float64]] = []
    for head, temperature in zip(heads, temperatures, strict=True):
        shares, novelty = head.judged(blocks)
        each.append(shares if temperature is None else scaled(shares, temperature))
        far += [] if novelty is None else [novelty]
    shares, novelty = graph.judged(blocks)
    difference = np.abs(shares - np.mean(each, axis=0)).max()
    return float(difference if novelty is None else max(difference, np.abs(novelty - np.mean(far, axis=0)).max()))
