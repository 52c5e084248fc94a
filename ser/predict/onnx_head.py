"""A model in ONNX that `ser export onnx` wrote, run by onnxruntime: from features, or from the waveform itself.

The file's metadata has, under the key `ser`, the facts of a saved head as its own file has them, and what the graph reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ser.errors import AudioError, ConfigError, EncoderError, UnusableError
from ser.extract.encoder import Encoder
from ser.features.blocks import Block
from ser.files import kind_of, why_damaged
from ser.jsonfile import Count, Model, Positive, Word, decode
from ser.optional import need
from ser.predict.predictions import NOVELTY
from ser.results.records.names import ONNX
from ser.train.checkpoint import SavedHead, Turn, finite_probabilities
from ser.train.head_file import HeadFacts
from ser.train.loop.config import Config
from ser.train.nn.layers import Input

ENDING = ONNX
KEY = "ser"  # of the metadata
WAVEFORM, OUTPUT = "waveform", "probabilities"  # an input's and the output's name
LENGTHS = ".lengths"  # behind the name of a store of frames: the input with their numbers


class WaveformFacts(Model, kw_only=True):
    """The audio that a graph reads: its rate in Hz, and the samples of the shortest and the longest; null: any length."""

    sample_rate: Positive
    shortest: Count
    longest: Positive | None


class OnnxFacts(Model, kw_only=True):
    """The metadata of a model in ONNX.

    Attributes:
        heads: whose answers the graph averages.
        waveform: null where the graph reads features.
        head: the facts of the first head.
    """

    schema: Literal["ser.onnx/1"] = "ser.onnx/1"
    ser: Word
    heads: Positive
    waveform: WaveformFacts | None
    head: HeadFacts


@dataclass(frozen=True, eq=False)
class OnnxHead(SavedHead):
    """The heads of a model, as one graph.

    Attributes:
        session: of onnxruntime.
        waveform: the audio that the graph reads; None where it reads features.
        averaged: the number of heads whose mean the graph answers.
    """

    session: Any = None
    waveform: WaveformFacts | None = None
    averaged: int = 1

    @property
    def inputs(self) -> list[Input]:
        return self.about.columns if self.waveform is None else [Input(WAVEFORM, "audio", 1, framewise=True)]

    def probabilities(
        self,
        blocks: Sequence[Block],
        device: str = "cpu",
        *,
        turns: Turn | None = None,
        speakers: NDArray[np.object_] | None = None,
    ) -> NDArray[np.float64]:
        """Class probabilities as `SavedHead.probabilities` gives them, the mean of all heads in the graph."""
        return self.judged(blocks)[0]

    def judged(
        self,
        blocks: Sequence[Block],
        device: str = "cpu",
        *,
        turns: Turn | None = None,
        speakers: NDArray[np.object_] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Probabilities and novelty as `SavedHead.judged` gives them, the means of all heads in the graph."""
        if not any(block.framewise for block in blocks):
            found = self._run({block.name: np.asarray(block.values) for block in blocks})
        else:
            count = next(len(b.values) if b.offsets is None else len(b.offsets) - 1 for b in blocks)
            found = np.concatenate([self._run(self._feed(blocks, row)) for row in range(count)])
        return (found[:, :-1], found[:, -1]) if self.knows_novelty else (found, None)

    @property
    def knows_novelty(self) -> bool:
        """True for a graph that gives the novelty too; those of earlier versions do not."""
        return NOVELTY in self._outputs

    @property
    def _outputs(self) -> list[str]:
        return [output.name for output in self.session.get_outputs()]

    def _feed(self, blocks: Sequence[Block], row: int) -> dict[str, NDArray[Any]]:
        """The graph's inputs for one utterance."""
        feed: dict[str, NDArray[Any]] = {}
        for block in blocks:
            if block.offsets is None:
                feed[block.name] = block.values[row : row + 1]
                continue
            frames = block.values[block.offsets[row] : block.offsets[row + 1]]
            if self.waveform is not None:
                return {WAVEFORM: frames.T}
            feed[block.name] = frames[None]
            feed[block.name + LENGTHS] = np.array([len(frames)], dtype=np.int64)
        return feed

    def _run(self, feed: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        """The outputs, and in one more column the novelty of a graph that gives it."""
        whole = {name: v if v.dtype == np.int64 else v.astype(np.float32, copy=False) for name, v in feed.items()}
        found = self.session.run([OUTPUT, *([NOVELTY] if self.knows_novelty else [])], whole)
        return finite_probabilities(np.column_stack(found).astype(np.float64))


class Waveform(Encoder):
    """The audio itself as the features of a graph that reads it: `(samples,)` -> `(samples, 1)`."""

    modality = "audio"
    name = WAVEFORM
    level = "frame"
    dim = 1

    def __init__(self, facts: WaveformFacts) -> None:
        self.sample_rate, self.minimum, self.longest = facts.sample_rate, max(facts.shortest, 1), facts.longest
        self.identity, self.assets = {}, {}

    def encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        for audio in inputs:
            if self.longest is not None and len(audio) > self.longest:
                raise AudioError(
                    "the recording is longer than this model in ONNX can hear",
                    expected=f"{self.longest / self.sample_rate:g} s at most",
                    found=f"{len(audio) / self.sample_rate:.1f} s",
                    action="Cut it, follow it over time with --window, or take the model that was exported.",
                )
        return [audio[:, None] for audio in inputs]


def load_onnx(path: Path) -> OnnxHead:
    """Read a model in ONNX.

    Raises:
        ConfigError: it is missing, is not such a model, or has no facts of ser.
        EncoderError: onnxruntime is not installed.
    """
    if (found := kind_of(path)) != "a file":
        raise (ConfigError if found == "nothing" else UnusableError)(
            f"cannot read the model {path}",
            expected="a file that ser export onnx wrote",
            found=f"{found} there",
            action=f"Write it with: ser export onnx EXPERIMENT --output {path.name}",
        )
    need("onnxruntime", "onnx", kind=EncoderError)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
            # Some releases (1.23) fuse products of float64 into an operator that they lack.
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes, which are private
        raise UnusableError(
            f"cannot read the model {path}",
            expected="a file that ser export onnx wrote",
            found=why_damaged(path, error).split("\n")[0][:200],
        ) from None
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    if text is None:
        raise UnusableError(
            f"{path} does not say what it reads and answers",
            expected="a model that ser export onnx wrote",
            found=f"no metadata under the key {KEY}",
        )
    facts = decode(text.encode(), OnnxFacts, path)
    try:  # the graph computes the head: no plugin is needed, and no source of a part from outside
        recipe = msgspec.convert(facts.head.config, Config)
    except msgspec.ValidationError as error:
        raise UnusableError(f"{path} is of another version of ser", found=error, action="Export it again.") from None
    named = {i.name for i in session.get_inputs()}
    wanted = {WAVEFORM} if facts.waveform is not None else {i.name for i in facts.head.columns}
    if not wanted <= named:
        raise UnusableError(f"{path} is damaged or forged", expected=f"inputs {sorted(wanted)}", found=sorted(named))
    answers = sorted(o.name for o in session.get_outputs())
    if OUTPUT not in answers:
        raise UnusableError(f"{path} is damaged or forged", expected=f"an output {OUTPUT}", found=answers)
    return OnnxHead(facts.head, recipe, [], {}, (), session, facts.waveform, facts.heads)


def check_runtime(asked: str | None, model: Path) -> None:
    """Refuse a runtime that cannot compute a model.

    Args:
        asked: `torch`, `onnx`, or None for that of the file.

    Raises:
        ConfigError: it is of the other.
    """
    found = "onnx" if model.suffix == ENDING else "torch"
    if asked is not None and asked != found:
        raise ConfigError(
            f"--runtime {asked} cannot compute {model}",
            expected=f"a file that ends in {ENDING}" if asked == "onnx" else "a saved head",
            action=f"Write it first: ser export onnx MODEL --output m{ENDING}" if asked == "onnx" else "Take --runtime onnx.",
            option="runtime",
        )
