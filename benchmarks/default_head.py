"""Decide the default training of the default head by held-out speakers of development corpora, under a rule stated beforehand.

    python benchmarks/default_head.py make --workspace DIR [--meld FOLDER --weights FOLDER]
    python benchmarks/default_head.py measure --workspace DIR [--corpora few-6 ...] [--settings mlp linear ...] [--runs 3]
    python benchmarks/default_head.py table --workspace DIR

The corpora are synthesised speech, whose speakers differ from one another two or three times as far as those of `ser demo`
(eGeMAPS functionals, and for some all layers of Whisper tiny.en), and the training and development parts of MELD (a sentence
encoder's vectors of the text); MELD's official test part is never read. Each speaker is held out once: a head is trained as
`ser fit` does, with its own validation part and its refit, and never sees that speaker. There is no corpus here on which
accuracy is quoted.

Corpora `few-*`, `many-9` and MELD served to look for a cause, with one run each. The rule for the decision, written before the
corpora `new-*` were made: train to the last epoch without choosing one (`last`) in place of choosing the epoch by UA on the
validation part (`mlp`), if with three runs on `new-*` the mean difference of UA is above 0 with its whole 95 % interval.

`measure` adds one line for each corpus and setting to `default_head.jsonl` in the workspace, and goes on where it was stopped.
`table` prints each setting's UA, its mean over corpora, and the mean difference to `mlp` as it was with a 95 % interval over
speakers (bootstrap within corpora, 2,000 draws).
"""

import argparse
import csv
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ser.features.normalise import LIMIT, normalise
from ser.features.stored_layers import one_layer
from ser.features.tensors import Tensors, load_tensors
from ser.metadata.build import build
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.folds.protocols import make_folds
from ser.metadata.table import Table, write_table
from ser.synthesis.corpus import Utterance, synthesise
from ser.synthesis.phones import SENTENCES
from ser.synthesis.voices import ACCENTS, EMOTIONS, speaker
from ser.train.loop.config import Config
from ser.train.loop.data import best_epochs
from ser.train.nn import streams
from ser.train.runs.recipe import learner_of, make_recipe
from ser.workspace import Workspace


class Synthetic(NamedTuple):
    """A corpus of synthesised speech.

    Attributes:
        accent, seed: as in `ser.synthesis`.
        speakers: how many.
        sentences, takes: each emotion is said in so many sentences, each so many times.
        variation: factor of the speakers' own voices and of their own ways with the emotions.
    """

    accent: str
    seed: int
    speakers: int
    sentences: int
    takes: int
    variation: float


SYNTHETIC = {
    "few-6": Synthetic("studio", 11, 6, 6, 1, 2.0),
    "few-9": Synthetic("room", 12, 9, 8, 1, 2.0),
    "few-9b": Synthetic("studio", 16, 9, 8, 1, 3.0),
    "few-12": Synthetic("studio", 13, 12, 4, 1, 3.0),
    "many-9": Synthetic("studio", 14, 9, 12, 4, 2.0),
    "new-6": Synthetic("studio", 21, 6, 6, 1, 2.0),
    "new-8": Synthetic("room", 24, 8, 10, 1, 2.5),
    "new-9": Synthetic("room", 22, 9, 8, 1, 2.0),
    "new-9b": Synthetic("studio", 26, 9, 8, 1, 3.0),
    "new-10": Synthetic("room", 25, 10, 6, 1, 3.0),
    "new-12": Synthetic("studio", 23, 12, 4, 1, 3.0),
}
SPEECH = "openai/whisper-tiny.en"
DEEP = ("new-6", "new-9")  # are given this encoder's features too
WORDS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happiness", "NEU": "neutral", "SAD": "sadness"}
TEXT = "sentence-transformers/all-MiniLM-L6-v2"
SCHEMES = {"meld-minor": "4"}  # its other emotions have too few utterances; elsewhere the corpus's own
DRAWS = 2000
FOLDS = {"few": 3, "many": 3, "meld": 3}  # each holds out a third of the speakers; elsewhere one speaker each


def setting(head: str = "mlp", *, limit: float = LIMIT, refit: bool = True, **training: Any) -> dict[str, Any]:
    options = training.pop("options", None)
    return {"head": head, "limit": limit, "refit": refit, "training": {**training, "head_options": options}}


SETTINGS = {
    "mlp": setting(),
    "linear": setting("linear"),
    "logistic": setting("sklearn:LogisticRegression"),
    "no refit": setting(refit=False),
    "last": setting(selection="last", patience=0),
    "last 10": setting(selection="last", patience=0, epochs=10),
    "last 20": setting(selection="last", patience=0, epochs=20),
    "last hidden 128": setting(selection="last", patience=0, options={"hidden": "128"}),
    "last 20 hidden 128": setting(selection="last", patience=0, epochs=20, options={"hidden": "128"}),
    "last decay 1": setting(selection="last", patience=0, weight_decay=1.0),
    "last no dropout": setting(selection="last", patience=0, options={"input_dropout": 0.0, "dropout": 0.0}),
    "last lr 3e-4": setting(selection="last", patience=0, lr=3e-4),
    "WA": setting(selection="WA"),
    "loss": setting(selection="loss"),
    "no limit": setting(limit=0.0),
    "lr 3e-4": setting(lr=3e-4),
    "lr 3e-3": setting(lr=3e-3),
    "decay 1": setting(weight_decay=1.0),
    "hidden 128": setting(options={"hidden": "128"}),
    "hidden 512": setting(options={"hidden": "512"}),
    "dropout 0.7": setting(options={"dropout": 0.7}),
    "input 0.5": setting(options={"input_dropout": 0.5}),
    "no dropout": setting(options={"input_dropout": 0.0, "dropout": 0.0}),
    "unweighted": setting(class_weights="none"),
    "no smoothing": setting(label_smoothing=0.0),
    "ema": setting(average="ema"),
    "linear last": setting("linear", selection="last", patience=0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "measure", "table"))
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--corpora", nargs="+")
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--normalize", default="train")
    parser.add_argument("--meld", type=Path)
    parser.add_argument("--weights", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    workspace = Workspace(given.workspace)
    if given.what == "make":
        make(workspace, given.corpora or [*SYNTHETIC], given.meld, given.weights)
        return
    known = (*SYNTHETIC, "meld-minor", "meld-main", *(f"{c}+whisper-tiny-en" for c in DEEP))
    corpora = given.corpora or [c for c in known if (workspace.features / c.partition("+")[0]).is_dir()]
    if given.what == "measure":
        measure(workspace, corpora, given.settings, given.runs, given.normalize)
    else:
        table(read(workspace), corpora, given.settings, given.normalize)


def measure(workspace: Workspace, corpora: list[str], names: list[str], runs: int, normalize: str) -> None:
    """Measure what has not been measured."""
    found = read(workspace)
    loaded = {}
    for corpus in corpora:
        name, _, encoder = corpus.partition("+")
        encoder, _, layer = encoder.partition(":")
        stores = f"{encoder}.layers-all" if encoder else "egemaps" if name in SYNTHETIC else None
        data = load_tensors(name, workspace, scheme=SCHEMES.get(name, "native"), stores=stores)
        loaded[corpus] = data if layer == "" else one_layer(data, int(layer))
    for name in names:
        for corpus, data in loaded.items():
            if (corpus, name, normalize) in found:
                continue
            begin = time.process_time()
            line = {"corpus": corpus, "setting": name, "normalize": normalize, "runs": runs}
            line |= score(data, SETTINGS[name], runs, normalize, FOLDS.get(corpus.split("-")[0]))
            line["seconds"] = round(time.process_time() - begin, 1)
            with lines(workspace).open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{corpus:30} {name:13} {pooled(line):.3f}  {line['seconds']} CPU s", flush=True)


def score(data: Tensors, how: dict[str, Any], runs: int, normalize: str, folds: int | None) -> dict[str, Any]:
    """Hits and counts of each run, held-out speaker and class: `(runs, speakers, classes)` and `(speakers, classes)`."""
    recipe = make_recipe(how["head"], **how["training"])
    hits, counts, epochs = [], [], list[int]()
    for fold in make_folds("speaker", data.table, data.frame, data.labels, FoldOptions(folds)):
        scaled, _ = normalise(data, normalize, fold.train, how["limit"])
        learner = learner_of(scaled, recipe)
        seeds = [streams.derive(0, k, fold.name) for k in range(runs)]
        nothing_chosen = not isinstance(recipe, Config) or recipe.selection == "last"
        rows = np.concatenate([fold.train, fold.validation])
        if nothing_chosen:
            parts = learner.train(rows if how["refit"] else fold.train, rows[:0], seeds)
        else:
            parts = learner.train(fold.train, fold.validation, seeds)
            epochs += [trained.best_epoch for trained in parts[0]]
            parts = learner.retrain(rows, seeds, best_epochs(parts)) if how["refit"] else parts
        guess = learner.predict(learner.weights(parts), fold.test).argmax(-1)
        labels, classes = data.labels[fold.test], len(data.classes)
        speakers = data.frame["speaker"].to_numpy()[fold.test]
        for who in sorted(set(speakers)):
            of = speakers == who
            hits.append([np.bincount(labels[of & (g == labels)], minlength=classes) for g in guess])
            counts.append(np.bincount(labels[of], minlength=classes).tolist())
    return {"hits": np.swapaxes(hits, 0, 1).tolist(), "counts": counts, "epochs": epochs}


def uas(hits: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float64]:
    """Pooled UA; `(..., speakers, classes)` -> `(...)`."""
    total = counts.sum(-2)
    return np.asarray((hits.sum(-2) / np.maximum(total, 1)).sum(-1) / (total > 0).sum(-1))


def pooled(line: dict[str, Any]) -> float:
    return float(uas(np.array(line["hits"]), np.array(line["counts"])).mean())


def table(found: dict[tuple[str, str, str], dict[str, Any]], corpora: list[str], names: list[str], normalize: str) -> None:
    """Print UA by corpus, the mean, and the mean difference to `mlp` with its interval over speakers."""
    print(f"| setting | {' | '.join(corpora)} | mean | against mlp (95 %) |\n| --- {'| --- ' * (len(corpora) + 2)}|")
    for name in names:
        each = [found.get((c, name, normalize)) for c in corpora]
        if not any(each):
            continue
        cells = ["" if e is None else f"{pooled(e):.3f}" for e in each]
        mean = difference = ""
        if all(each):
            mean = f"{np.mean([pooled(e) for e in each if e]):.3f}"
            pairs = [(e, found.get((c, "mlp", normalize))) for c, e in zip(corpora, each, strict=True)]
            difference = described([(a, b) for a, b in pairs if a and b]) if name != "mlp" else ""
        print(f"| {name} | {' | '.join(cells)} | {mean} | {difference} |")


def described(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """The mean difference over corpora and its interval: speakers are drawn again within each corpus."""
    rng = np.random.default_rng(0)
    draws = np.zeros(DRAWS)
    for one, other in pairs:
        counts = np.array(one["counts"])
        who = rng.integers(len(counts), size=(DRAWS, len(counts)))
        ua = [uas(np.array(e["hits"], dtype=float).mean(0)[who], counts[who]) for e in (one, other)]
        draws += (ua[0] - ua[1]) / len(pairs)
    gain = np.mean([pooled(a) - pooled(b) for a, b in pairs])
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{gain:+.3f} ({low:+.3f} to {high:+.3f})"


def lines(workspace: Workspace) -> Path:
    return workspace.root / "default_head.jsonl"


def read(workspace: Workspace) -> dict[tuple[str, str, str], dict[str, Any]]:
    path = lines(workspace)
    each = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return {(e["corpus"], e["setting"], e["normalize"]): e for e in each}


def make(workspace: Workspace, corpora: list[str], meld: Path | None, weights: Path | None) -> None:
    """Make the corpora and their features, by the encoders' own rooms."""
    from ser.extract.encoder import load
    from ser.extract.extraction import extract
    from ser.extract.options import EncoderOptions

    for name in corpora:
        made = synthetic(name, workspace)
        encoder = load("egemaps", "audio", EncoderOptions(level="utterance"))
        print(extract(made, encoder, workspace, jobs=1, quiet=True)[0].line(), flush=True)
        if name in DEEP and weights is not None:
            encoder = load(SPEECH, "audio", EncoderOptions(level="utterance", layers="all", weights=weights))
            print(extract(made, encoder, workspace, jobs=1, quiet=True)[0].line(), flush=True)
    if meld is not None:
        for made in of_meld(meld, workspace):
            encoder = load(TEXT, "text", EncoderOptions(level="utterance", weights=weights))
            print(extract(made, encoder, workspace, jobs=1, quiet=True)[0].line(), flush=True)


def synthetic(name: str, workspace: Workspace) -> Table:
    """Synthesise a corpus, as `ser.synthesis` does, with voices that are further apart."""
    import soundfile

    what, place = SYNTHETIC[name], ACCENTS[SYNTHETIC[name].accent]
    folder = workspace.root / "corpora" / name
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for actor in range(place.first_actor, place.first_actor + what.speakers):
        who = speaker(what.seed, actor, place)
        who = replace(who, habits=who.habits * what.variation, ordinary=who.ordinary * what.variation)
        for take in range(what.takes):
            for sentence in list(SENTENCES)[: what.sentences]:
                for emotion in EMOTIONS:
                    said = Utterance(actor, sentence, emotion, "XX")
                    file = f"{said.name}-{take}.wav"
                    sound = synthesise(said, what.accent, what.seed + 1000 * take, who)
                    soundfile.write(folder / file, sound, 16000, "PCM_16")
                    rows.append((file, WORDS[emotion], actor))
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "emotion", "speaker"))
        writer.writerows(rows)
    made = build(name, folder / "list.csv", "csv", quiet=True).table
    write_table(made, workspace)
    return made


def of_meld(folder: Path, workspace: Workspace) -> list[Table]:
    """Two corpora of MELD's training and development parts: minor characters of 20 to 60 utterances; 400 of each main one."""
    whole = build("meld", folder, "meld", quiet=True).table
    frame = whole.frame[whole.frame["split"] != "test"].assign(split="", session="")
    number = frame["speaker"].value_counts()
    minor = [s for s in number.index[(number >= 20) & (number <= 60)] if s not in ("All", "Woman")]
    found = []
    for name, speakers, most in (("meld-minor", minor, 60), ("meld-main", list(number.index[:6]), 400)):
        rng = np.random.default_rng(0)
        rows = [rng.permutation(np.flatnonzero(frame["speaker"] == s))[:most] for s in speakers]
        part = frame.iloc[np.sort(np.concatenate(rows))].reset_index(drop=True)
        found.append(replace(whole, frame=part, dataset=name))
        write_table(found[-1], workspace)
    return found


if __name__ == "__main__":
    main()
