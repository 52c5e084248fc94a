"""The whole pipeline on two small corpora that it makes itself: nothing is downloaded, no recording is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.extract.encoder import load
from ser.extract.extraction import extract
from ser.extract.options import EncoderOptions
from ser.metadata.build import build
from ser.metadata.table import write_table
from ser.results.plotting.gallery import plot_into
from ser.results.report.compose import text_of
from ser.results.result import Result
from ser.synthesis import make_corpus
from ser.train.experiments.fewshot import fewshot
from ser.train.experiments.fit import fit
from ser.workspace import Workspace

CORPORA = {"demo-studio": ("studio", 1), "demo-room": ("room", 2)}  # name -> accent, seed
ENCODER = "logmel"


@dataclass(frozen=True)
class Made:
    """The summaries that the demo leaves; a picture of the same name lies beside each."""

    fit: Path
    fewshot: Path


def run(
    workspace: Workspace,
    *,
    runs: int = 5,
    jobs: int = 1,
    speakers: int = 12,
    sentences: int = 4,
    quiet: bool = False,
    say: Callable[[str], None] = print,
) -> Made:
    """Synthesise two corpora, extract features, fit over seeds speaker-independently, and transfer with few labels.

    Args:
        workspace: gets `corpora/`, `metadata/`, `features/` and `results/`.
        runs: seeds.
        jobs: worker processes.
        speakers, sentences: of each corpus.
        say: told what happens.
    """
    say("SYNTHETIC: all audio here is computed from a model of the voice. Its numbers say nothing about people.\n")
    for name, (accent, seed) in CORPORA.items():
        folder = workspace.root / "corpora" / name
        count = make_corpus(folder, seed=seed, accent=accent, speakers=speakers, sentences=sentences)
        say(f"{name}: {count} utterances synthesised in {folder}, in the layout of CREMA-D")
        table = build(name, folder, "cremad", quiet=True).table
        write_table(table, workspace)
        encoder = load(ENCODER, "audio", EncoderOptions(level="utterance"))
        say(extract(table, encoder, workspace, jobs=jobs, quiet=quiet)[0].line())
    source, target = CORPORA
    options: dict[str, Any] = {"scheme": "6", "protocol": "speaker", "folds": 4, "runs": runs}
    typed = f"--workspace {workspace.root} --scheme 6 --protocol speaker --folds 4 --runs {runs}"
    command = f"ser fit --dataset {source} {typed}"
    say(f"\n$ {command}\n")
    summary = fit(source, workspace, **options, jobs=jobs, quiet=quiet, command=command)
    fitted = _shown(summary, say)
    shares = (10, 20, 50)
    command = f"ser fewshot --source {source} --target {target} --percentages {','.join(map(str, shares))} {typed}"
    say(f"\n$ {command}\n")
    curve = fewshot(target, source, workspace, percentages=shares, **options, jobs=jobs, quiet=quiet, command=command)
    few = _shown(curve, say)
    return Made(fitted, few)


def _shown(result: Result, say: Callable[[str], None]) -> Path:
    """Print a summary and write its picture beside it."""
    say(text_of(result.record, result.path))
    (picture,) = plot_into(result, output=result.path.with_suffix(".png"), overwrite=True)
    say(f"picture     {picture}")
    return result.path
