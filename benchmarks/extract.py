"""The cost of `ser extract` beside the bound of its encoder, and beside the loops that people write.

    python benchmarks/extract.py --models FOLDER [--only wav2vec2-base ...] [--lengths ravdess|meld] [--utterances 24]

`--models` holds full-size models with random weights (`python benchmarks/models.py FOLDER`). In one process, on the same
synthetic recordings (16 kHz wav) whose lengths are those of a corpus, in interleaved rounds, medians of processor time,
one thread of work throughout:

- bound: only the forward passes of the library's model, on utterances of equal length with as much audio in sum, at the
  batch size that is fastest here; for texts, on texts of equal numbers of tokens;
- own bound: the forward passes of our encoder on those;
- loop: the usual script: read a file, the feature extractor, the model at batch 1, the mean over frames, one .npy a file
  (for emotion2vec: FunASR's own `generate`);
- ser: all of `extract`: plan, hashes, decoding, batches, pooling, shards with fsync, the merged store;
- ser, bfloat16: the same with `--dtype bfloat16`.

Whisper (`--only whisper-base`, or a folder of published weights) has a table of its own: the usual loop (the feature extractor
pads every file to 30 s), `ser extract` as published, and with `--window exact`.

Ratios are of speed. Time to load the model is in none of them. With --device cuda, wall-clock time instead, and the share of
the bound, seconds of audio a second, and the floating-point operations a second.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16000
GFLOP = {"wav2vec2-base": 14.0, "emotion2vec": 14.0, "wav2vec2-large-lv60": 36.3}  # a second of audio, forward
TEXT = ("bert",)
Step = Callable[[], None]


def lengths(kind: str, count: int) -> np.ndarray:
    """Seconds of utterances: RAVDESS's are alike, MELD's are anything from a tenth of a second."""
    generator = np.random.default_rng(0)
    if kind == "ravdess":
        return generator.normal(3.7, 0.3, count).clip(2.9, 5.3)
    return generator.gamma(1.5, 2.1, count).clip(0.3, 20)


def corpus(folder: Path, seconds: np.ndarray) -> list[Path]:
    """Wav files of speech-like noise."""
    generator = np.random.default_rng(1)
    folder.mkdir(parents=True)
    paths = []
    for number, length in enumerate(seconds):
        samples = generator.normal(0, 0.1, int(length * RATE)).astype(np.float32)
        paths.append(folder / f"u{number:05d}.wav")
        soundfile.write(paths[-1], samples, RATE, subtype="PCM_16")
    return paths


def table_of(paths: Sequence[Path], seconds: np.ndarray) -> Any:
    from ser.metadata.table import make_table

    rows = [
        {"utterance_id": p.stem, "path": p.name, "label": "x", "emotion": "neutral", "duration": float(s)}
        for p, s in zip(paths, seconds, strict=True)
    ]
    return make_table(rows, "bench", {"root": str(paths[0].parent)})


def ours(encoder: Any, table: Any, folder: Path, jobs: int) -> None:
    from ser.extract.extraction import extract
    from ser.workspace import Workspace

    extract(table, encoder, Workspace(folder), jobs=jobs, quiet=True, overwrite=True)


def library(model: Path, device: str, dtype: Any) -> tuple[Any, Any]:
    """The untouched model as its library runs it, and its preprocessor: `(batch, samples) -> (batch, frames, dim)`."""
    import torch

    if (model / "config.json").exists():
        from transformers import AutoFeatureExtractor, AutoModel

        loaded = AutoModel.from_pretrained(model, dtype=dtype).eval().to(device)
        return lambda x: loaded(x).last_hidden_state, AutoFeatureExtractor.from_pretrained(model)
    from funasr import AutoModel as Funasr

    loaded = Funasr(model=str(model), disable_update=True, disable_pbar=True, device=device, disable_log=True)
    torch.set_num_threads(1)  # it sets four
    inner = loaded.model.to(dtype)
    return lambda x: inner.extract_features(x, padding_mask=None)["x"], loaded


def loop(model: Any, preprocessor: Any, paths: Sequence[Path], folder: Path, device: str) -> None:
    """The script that a user has today."""
    import torch

    folder.mkdir(exist_ok=True)
    if hasattr(preprocessor, "generate"):
        for path in paths:
            options = {"granularity": "utterance", "extract_embedding": True, "disable_pbar": True}
            preprocessor.generate(str(path), output_dir=str(folder), **options)
            torch.set_num_threads(1)
        return
    with torch.inference_mode():
        for path in paths:
            audio, rate = soundfile.read(path, dtype="float32")
            values = preprocessor(audio, sampling_rate=rate, return_tensors="pt").input_values.to(device)
            np.save(folder / f"{path.stem}.npy", model(values)[0].mean(0).cpu().numpy())


def forward(model: Any, batches: Sequence[Any], sync: Step) -> None:
    import torch

    with torch.inference_mode():
        for batch in batches:
            model(batch)
    sync()


def measure(steps: dict[str, Step], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Medians of interleaved rounds, the first of which does not count."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            begin = clock()
            step()
            taken[name].append(clock() - begin)
    return {name: statistics.median(times[1:]) for name, times in taken.items()}


def run(name: str, arguments: argparse.Namespace, folder: Path) -> str:
    """A line of the table."""
    import torch

    from ser.extract.encoder import load
    from ser.extract.options import EncoderOptions

    device, gpu = arguments.device, arguments.device != "cpu"
    sync: Step = torch.cuda.synchronize if gpu else (lambda: None)
    seconds = lengths(arguments.lengths, arguments.utterances)
    paths = corpus(folder / f"audio-{name}", seconds)
    table, total = table_of(paths, seconds), float(seconds.sum())
    dtype = getattr(torch, arguments.dtype)
    model, preprocessor = library(arguments.models / name, device, dtype)
    samples = int(seconds.mean() * RATE)
    noise = torch.randn(len(seconds), samples, device=device, dtype=dtype)
    sizes = (16, 64, 128) if gpu else (1, 2, 4)
    bounds = {f"bound {n}": partial(forward, model, noise.split(n), sync) for n in sizes}
    choices = {"ser": arguments.dtype} | ({} if gpu else {"ser bf16": "bfloat16"})
    encoders = {
        n: load(str(arguments.models / name), "audio", EncoderOptions(device=device, dtype=d)) for n, d in choices.items()
    }
    jobs = 1 if not gpu else arguments.jobs
    even = list(np.random.default_rng(2).normal(0, 0.1, (len(seconds), samples)).astype(np.float32))
    bounds |= {f"own {n}": partial(alone, encoders["ser"], even, n) for n in sizes}
    mine = {n: partial(ours, e, table, folder / f"{n}-{name}", jobs) for n, e in encoders.items()}
    usual = partial(loop, model if arguments.dtype == "float32" else library(arguments.models / name, device, torch.float32)[0],
                    preprocessor, paths, folder / f"npy-{name}", device)  # fmt: skip
    clock = time.perf_counter if gpu else time.process_time
    taken = measure({**bounds, "loop": usual, **mine}, arguments.rounds, clock)
    return line(name, arguments.lengths, taken, f"{total / taken['ser']:.1f} s", GFLOP.get(name, 0) * total / taken["ser"])


def run_text(name: str, arguments: argparse.Namespace, folder: Path) -> str:
    """A line of the table for a text encoder: texts with MELD's numbers of words."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    from ser.extract.encoder import load
    from ser.extract.options import EncoderOptions
    from ser.metadata.table import make_table

    gpu = arguments.device != "cpu"
    sync: Step = torch.cuda.synchronize if gpu else (lambda: None)
    generator = np.random.default_rng(0)
    counts = generator.gamma(1.6, 5.5, arguments.utterances).clip(1, 80).astype(int)
    texts = [" ".join(f"w{n}" for n in generator.integers(0, 20000, count)) for count in counts]
    rows = [{"utterance_id": f"t{n:05d}", "text": t, "label": "x", "emotion": "neutral"} for n, t in enumerate(texts)]
    table = make_table(rows, "bench", {})
    model = AutoModel.from_pretrained(arguments.models / name).eval().to(arguments.device)
    tokenizer = AutoTokenizer.from_pretrained(arguments.models / name)
    # As many tokens in sum, all texts of one length or of one token more.
    words, longer = divmod(int(counts.sum()), len(texts))
    parts = [generator.integers(10, 20000, (n, words + 2 + k)) for k, n in enumerate((len(texts) - longer, longer))]
    noise = [torch.from_numpy(part).to(arguments.device) for part in parts]
    bounds = {
        f"bound {n}": partial(forward, lambda x: model(x).last_hidden_state, [b for t in noise for b in t.split(n)], sync)
        for n in (32, 128)
    }
    even = [" ".join(["w1"] * (words + (k >= len(texts) - longer))) for k in range(len(texts))]
    choices = {"ser": arguments.dtype} | ({} if gpu else {"ser bf16": "bfloat16"})
    encoders = {
        n: load(str(arguments.models / name), "text", EncoderOptions(device=arguments.device, dtype=d))
        for n, d in choices.items()
    }
    bounds |= {f"own {n}": partial(alone, encoders["ser"], even, n) for n in (32, 128)}

    def loop() -> None:
        (folder / "texts").mkdir(exist_ok=True)
        with torch.inference_mode():
            for number, text in enumerate(texts):
                inputs = tokenizer(text, return_tensors="pt").to(arguments.device)
                np.save(folder / "texts" / f"{number}.npy", model(**inputs).last_hidden_state[0, 0].cpu().numpy())

    jobs = 1 if not gpu else arguments.jobs
    mine = {n: partial(ours, e, table, folder / f"{n}-{name}", jobs) for n, e in encoders.items()}
    clock = time.perf_counter if gpu else time.process_time
    taken = measure({**bounds, "loop": loop, **mine}, arguments.rounds, clock)
    return line(name, "meld text", taken, f"{len(texts) / taken['ser']:.0f} texts", 0.0)


def run_whisper(name: str, arguments: argparse.Namespace, folder: Path) -> str:
    """The lines of Whisper's own table: seconds for each second of audio, and speed beside the loop."""
    import torch
    from transformers import AutoFeatureExtractor, WhisperModel

    from ser.extract.encoder import load
    from ser.extract.options import WINDOWS, EncoderOptions

    seconds = lengths(arguments.lengths, arguments.utterances)
    paths = corpus(folder / f"audio-{name}", seconds)
    table, total = table_of(paths, seconds), float(seconds.sum())
    source = arguments.models / name
    model = WhisperModel.from_pretrained(source, dtype=torch.float32).eval().to(arguments.device).encoder
    extractor = AutoFeatureExtractor.from_pretrained(source)

    def loop() -> None:
        (folder / f"npy-{name}").mkdir(exist_ok=True)
        with torch.inference_mode():
            for path, length in zip(paths, seconds, strict=True):
                audio, rate = soundfile.read(path, dtype="float32")
                mel = extractor(audio, sampling_rate=rate, return_tensors="pt").input_features.to(arguments.device)
                states = model(mel).last_hidden_state[0, : int(np.ceil(length * 50))]
                np.save(folder / f"npy-{name}" / f"{path.stem}.npy", states.mean(0).cpu().numpy())

    jobs = 1 if arguments.device == "cpu" else arguments.jobs
    options = {window: EncoderOptions(device=arguments.device, window=window) for window in WINDOWS}
    encoders = {window: load(str(source), "audio", wish) for window, wish in options.items()}
    mine = {f"ser, {w}": partial(ours, e, table, folder / f"{w}-{name}", jobs) for w, e in encoders.items()}
    clock = time.process_time if arguments.device == "cpu" else time.perf_counter
    taken = measure({"loop": loop, **mine}, arguments.rounds, clock)
    cells = [[name, kind, f"{total / t:.1f} s", f"{taken['loop'] / t:.2f}"] for kind, t in taken.items()]
    head = "\n| model | way | audio a second | to the loop |\n| --- | --- | ---: | ---: |\n"
    return head + "\n".join("| " + " | ".join(row) + " |" for row in cells)


def alone(encoder: Any, inputs: Sequence[Any], size: int) -> None:
    """Our encoder's forward passes, nothing else."""
    for first in range(0, len(inputs), size):
        encoder.encode(inputs[first : first + size])


def line(name: str, what: str, taken: dict[str, float], rate: str, gflops: float) -> str:
    """A row of the table."""
    cells = [name, what]
    for kind in ("bound", "own"):
        best = min((n for n in taken if n.startswith(kind)), key=lambda n: taken[n])
        cells.append(f"{taken[best] / taken['ser']:.2f} (batch {best.split()[1]})")
    cells += [f"{taken['loop'] / taken['ser']:.2f}"]
    cells += [f"{taken['loop'] / taken['ser bf16']:.2f}" if "ser bf16" in taken else "", rate, f"{gflops:.0f}"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=["wav2vec2-base", "emotion2vec"])
    parser.add_argument("--lengths", choices=["ravdess", "meld"], default="ravdess")
    parser.add_argument("--utterances", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", help="of the bound and of ser on a GPU")
    parser.add_argument("--jobs", type=int, default=8, help="threads on a GPU machine")
    arguments = parser.parse_args()
    import torch

    if arguments.device == "cpu":
        torch.set_num_threads(1)
    columns = ("model", "lengths", "of the bound", "of its own bound", "against the loop", "bfloat16 against the loop")
    print("| " + " | ".join((*columns, "a second", "GFLOP/s")) + " |\n" + "| --- " * 8 + "|")
    with tempfile.TemporaryDirectory(prefix="ser-extract-") as folder:
        for name in arguments.only:
            step = run_text if name in TEXT else run_whisper if "whisper" in name else run
            print(step(name, arguments, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
