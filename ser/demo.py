"""The whole pipeline on two small corpora that it makes itself: nothing is downloaded, no recording is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ser.extract.encoder import Options as EncoderOptions
from ser.extract.encoder import load
from ser.extract.engine import extract
from ser.metadata.build import build
from ser.metadata.splits import Options
from ser.metadata.table import Table, write_table
from ser.results import plots
from ser.results.show import text
from ser.synthesis import make_corpus
from ser.train.fewshot import fewshot
from ser.train.fit import fit
from ser.workspace import Workspace

CORPORA = {"demo-studio": ("studio", 1), "demo-room": ("room", 2)}  # name -> accent, seed
ENCODER = "logmel"


@dataclass(frozen=True)
class Made:
    """What the demo leaves: the summaries and their pictures."""

    fit: Path
    fewshot: Path
    pictures: tuple[Path, Path]


def run(
    workspace: Workspace, *, runs: int = 5, jobs: int = 1, quiet: bool = False, say: Callable[[str], None] = print
) -> Made:
    """Synthesise two corpora, extract features, fit over seeds speaker-independently, and transfer with few labels.

    Args:
        workspace: gets `corpora/`, `metadata/`, `features/` and `results/`.
        runs: seeds.
        jobs: worker processes.
        say: told what happens.
    """
    say("SYNTHETIC: all audio here is computed from a model of the voice. Its numbers say nothing about people.\n")
    for name, (accent, seed) in CORPORA.items():
        table = _corpus(name, accent, seed, workspace, say)
        encoder = load(ENCODER, "audio", EncoderOptions(level="utterance"))
        say(f"2. {extract(table, encoder, workspace, jobs=jobs, quiet=quiet).line()}")
    first, second = CORPORA
    say(f"\n3. ser fit --dataset {first} --head mlp --scheme 6 --protocol speaker --folds 4 --runs {runs}\n")
    fitted = fit(
        first,
        workspace,
        scheme="6",
        protocol="speaker",
        folds=Options(folds=4),
        runs=runs,
        jobs=jobs,
        quiet=quiet,
        command="ser demo: fit",
    )
    path = workspace.results / f"{fitted['experiment']}.json"
    say(text(fitted, path))
    say(f"\n4. ser fewshot --source {first} --target {second} --scheme 6 --protocol speaker --folds 4 --runs {runs}\n")
    few = fewshot(
        second,
        first,
        workspace,
        scheme="6",
        protocol="speaker",
        folds=Options(folds=4),
        percentages=(10, 20, 50),
        runs=runs,
        jobs=jobs,
        quiet=quiet,
        command="ser demo: fewshot",
    )
    few_path = workspace.results / f"{few['experiment']}.json"
    say(text(few, few_path))
    pictures = (path.with_suffix(".png"), few_path.with_suffix(".png"))
    plots.save(plots.confusion_matrix(fitted), pictures[0])
    plots.save(plots.fewshot_curve(few), pictures[1])
    say("")
    for file in (path, few_path, *pictures):
        say(f"written: {file}")
    return Made(path, few_path, pictures)


def _corpus(name: str, accent: str, seed: int, workspace: Workspace, say: Callable[[str], None]) -> Table:
    folder = workspace.root / "corpora" / name
    count = make_corpus(folder, seed=seed, accent=accent)
    say(f"1. {name}: {count} utterances synthesised in {folder}, in CREMA-D's layout")
    table = build(name, folder, "cremad", quiet=True).table
    write_table(table, workspace)
    return table
