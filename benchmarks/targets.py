"""Targets that are not one class: the bias of CCC in small batches, and heads on ratings beside ridge regression and SVR.

    python benchmarks/targets.py bias
    python benchmarks/targets.py epoch FOLDER        1 - CCC of the batch and of an epoch, on the corpus that ratings made there
    python benchmarks/targets.py ratings FOLDER      synthetic speech whose pitch, loudness and voice follow two dimensions
    python benchmarks/targets.py votes WORKSPACE DATASET STORES [PROTOCOL FOLDS BATCH]      votes against hard labels
    python benchmarks/targets.py faces WORKSPACE ROOT      features of CREMA-D from its own table of votes, without audio
    python benchmarks/targets.py heads WORKSPACE DATASET STORE TARGET PROTOCOL      heads, ridge and SVR on ratings by people

The ratings are of six simulated raters each, on a scale of 1 to 7, with noise of their own: a head cannot reach a CCC of 1.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

import ser
from ser.cli import main
from ser.features.normalise import LIMIT
from ser.metadata.corpora import cremad
from ser.metadata.table import load_table, make_table, write_table
from ser.results.comparison.compare import compare_results
from ser.synthesis.phones import SENTENCES, tracks
from ser.synthesis.sound import record, speak
from ser.synthesis.voices import ACCENTS, CHANCE, Style, speaker
from ser.workspace import Workspace

SPEAKERS, EACH, RATERS, RUNS = 12, 50, 6, 5
ON_RATINGS: dict[str, Any] = {"target": "arousal,valence", "protocol": "speaker", "folds": 6, "runs": RUNS, "limit": LIMIT}
#                   pitch span tempo level tension breath rough tremor rise smile
AROUSAL = np.array([3.0, 0.4, -0.12, 4.0, 0.6, -1.0, 0.2, 0.0, 0.0, 0.0])
VALENCE = np.array([0.8, 0.2, 0.0, 0.0, -0.3, 0.0, -0.4, 0.0, 1.2, 0.06])


def bias() -> None:
    """The mean CCC of samples of n pairs of normal numbers whose true CCC is known."""
    random = np.random.default_rng(0)
    print("| true CCC | " + " | ".join(f"n = {n}" for n in (4, 8, 16, 32, 64, 128, 256)) + " |")
    print("| --- |" + " --- |" * 7)
    for truth in (0.3, 0.6, 0.9):
        cells = []
        for n in (4, 8, 16, 32, 64, 128, 256):
            x = random.normal(size=(20_000, n))
            y = truth * x + np.sqrt(1 - truth**2) * random.normal(size=(20_000, n))  # equal means and variances: CCC is rho
            cov = ((x - x.mean(1, keepdims=True)) * (y - y.mean(1, keepdims=True))).mean(1)
            ccc = 2 * cov / (x.var(1) + y.var(1) + (x.mean(1) - y.mean(1)) ** 2)
            cells.append(f"{ccc.mean():.3f}")
        print(f"| {truth} | " + " | ".join(cells) + " |")


def corpus(folder: Path) -> Workspace:
    """Synthetic speech with two dimensions, and its table."""
    space, random = Workspace(folder), np.random.default_rng(1)
    place = ACCENTS["studio"]
    rows: list[Any] = []
    root = folder / "audio"
    root.mkdir(parents=True, exist_ok=True)
    for number in range(SPEAKERS):
        who = speaker(5, place.first_actor + number, place)
        for k in range(EACH):
            own = np.random.default_rng([5, number, k])
            arousal, valence = own.uniform(-1, 1, 2)
            values = who.ordinary + (arousal * AROUSAL + valence * VALENCE) * who.expressive + own.normal(0, CHANCE)
            manner = Style(*map(float, values))
            sentence = list(SENTENCES)[k % len(SENTENCES)]
            moves = tracks(sentence, float(np.exp(np.clip(manner.tempo, -0.6, 0.6))), own)
            name = f"{who.actor}_{k:02d}"
            soundfile.write(root / f"{name}.wav", record(speak(who, manner, moves, own), place, 5, own), 16000)
            rated = np.clip(np.rint(4 + 2.5 * np.array([arousal, valence])[:, None] + random.normal(0, 1, (2, RATERS))), 1, 7)
            rows.append(
                {
                    "utterance_id": name,
                    "path": f"{name}.wav",
                    "speaker": str(who.actor),
                    "gender": who.sex.lower(),
                    "arousal": float(rated[0].mean()),
                    "valence": float(rated[1].mean()),
                }
            )
    scale: Any = {"low": 1, "high": 7}
    facts: Any = {"corpus": "csv", "root": str(root), "language": "en", "dimensions": {"arousal": scale, "valence": scale}}
    write_table(make_table(rows, "rated", facts), space)
    return space


def ratings(folder: Path) -> None:
    """Heads, ridge regression and SVR on the same eGeMAPS features, speakers kept apart."""
    space = corpus(folder)
    if main(
        ["extract", "--dataset", "rated", "--root", str(folder / "audio"), "--audio", "egemaps", "--workspace", str(folder)]
    ):
        sys.exit(1)
    heads(space, "rated", **ON_RATINGS)


def heads(space: Workspace, dataset: str, **options: Any) -> None:
    """Heads, ridge regression and SVR on the same features, and each against the first, paired."""
    found = {}
    for head, more in (
        ("mlp", {}),
        ("mlp", {"loss": "mse"}),
        ("linear", {}),
        ("sklearn:Ridge", {"head_options": {"alpha": 10.0}}),
        ("sklearn:SVR", {}),
    ):
        name = head + (f", {more['loss']}" if "loss" in more else "")
        found[name] = ser.fit(dataset, space, head=head, **options, **more)
    names = list(found["mlp"]["outputs"])
    print(f"| head | CCC | PCC | RMSE |{''.join(f' CCC {n} |' for n in names)} minus mlp (95 %, p) |")
    print("| --- |" * 1 + " --- |" * (4 + len(names)))
    for name, record_ in found.items():
        p, each = record_["pooled"], record_["outputs"]
        against = "" if name == "mlp" else _paired(record_, found["mlp"], space)
        scores = " | ".join(f"{p[m]['mean']:.3f} ± {p[m]['std']:.3f}" for m in ("CCC", "PCC", "RMSE"))
        ccc = "".join(f" {each[n]['CCC']:.3f} |" for n in names)
        print(f"| {name} | {scores} |{ccc} {against} |")


def epoch(folder: Path) -> None:
    """The losses `ccc` and `ccc_epoch` in batches of three sizes, on the corpus of `ratings`."""
    space = Workspace(folder)
    for size in (4, 8, 32):
        batch, whole = (ser.fit("rated", space, loss=loss, batch_size=size, **ON_RATINGS) for loss in ("ccc", "ccc_epoch"))
        scores = " | ".join(
            f"{found['pooled'][m]['mean']:.3f} ± {found['pooled'][m]['std']:.3f}"
            for found in (batch, whole)
            for m in ("CCC", "RMSE")
        )
        print(f"| {size} | {scores} | {_paired(whole, batch, space, digits=2)} |")


def _paired(a: Any, b: Any, space: Workspace, digits: int = 3, metric: str | None = None) -> str:
    """The difference of two results with its interval and p, as a cell."""
    pair = compare_results([a["experiment"], b["experiment"]], space.results, metric=metric).pairs[0]
    low, high = pair.ci_95 or (float("nan"), float("nan"))
    return f"{pair.difference:+.3f} ({low:+.3f} to {high:+.3f}, {pair.p:.{digits}f})"


def votes(workspace: str, dataset: str, stores: str, rule: str = "speaker", folds: str = "", batch: str = "") -> None:
    """Training on votes against training on the label, paired over seeds, folds and speakers.

    Of the votes, `cross_entropy` learns the label, weighted as `soft_cross_entropy` is or not at all, as `kl` and `emd`.
    """
    space = Workspace(Path(workspace))
    options: dict[str, Any] = {"stores": stores.split(","), "protocol": rule, "scheme": "native", "runs": RUNS}
    options |= {"folds": int(folds) if folds else None, "batch_size": int(batch) if batch else None}
    hard = ser.fit(dataset, space, **options)
    plain = {"class_weights": "none", "label_smoothing": 0.0}  # as `kl` and `emd` are
    found, label = {}, {}
    for name, loss, more, beside in (
        ("cross_entropy", "cross_entropy", {}, ""),
        ("soft_cross_entropy", "soft_cross_entropy", {}, "cross_entropy"),
        ("cross_entropy, no weights", "cross_entropy", plain, ""),
        ("kl", "kl", {}, "cross_entropy, no weights"),
        ("emd", "emd", {}, "cross_entropy, no weights"),
    ):
        found[name], label[name] = ser.fit(dataset, space, target="votes", loss=loss, **options, **more), beside
    versus = "UA minus that of emotion (95 %, p) | KL minus that of the label (95 %, p)"
    print(f"| target, loss | UA | WA | KL | JS | cosine | {versus} |\n| --- |" + " --- |" * 7)
    print(f"| emotion | {hard['pooled']['UA']['mean']:.3f} | {hard['pooled']['WA']['mean']:.3f} | | | | | |")
    for name, soft in found.items():
        scores = " | ".join(f"{soft['pooled'][m]['mean']:.3f}" for m in ("UA", "WA", "KL", "JS", "cosine"))
        by_kl = _paired(soft, found[label[name]], space, metric="KL") if label[name] else ""
        print(f"| votes, {name} | {scores} | {_paired(soft, hard, space)} | {by_kl} |")


def faces(workspace: str, root: str) -> None:
    """Features of CREMA-D without its audio: how those voted who saw the face alone, and how strong they found each emotion.

    Also a table `cremad-heard`, whose label is the emotion that most listeners gave; none where two have equally many.
    """
    space, letters = Workspace(Path(workspace)), list(cremad.VOTES)
    strengths = ["meanAngerResp", "meanDisgustResp", "meanFearResp", "meanHappyResp", "meanNeutralResp", "meanSadResp"]
    tabulated = pd.read_csv(Path(root) / "processedResults" / "tabulatedVotes.csv", index_col=0)
    seen = tabulated[tabulated.index.astype(str).str.startswith(cremad.VOTES_OF["face"])].set_index("fileName")
    shares = seen[letters].div(seen[letters].sum(axis=1), axis=0).set_axis([f"share_{c}" for c in letters], axis=1)
    file = Path(workspace) / "faces.csv"
    shares.join(seen[strengths].clip(lower=0)).rename_axis("utterance_id").to_csv(file)  # -1: nobody named it
    table = load_table("cremad", space)
    rows: list[Any] = table.frame.to_dict("records")
    for row in rows:
        shared = json.loads(row["votes"])
        most = [emotion for emotion, share in shared.items() if share == max(shared.values())]
        row["emotion"] = row["label"] = most[0] if len(most) == 1 else ""
    write_table(make_table(rows, "cremad-heard", table.facts), space)
    for dataset in ("cremad", "cremad-heard"):
        given = ["--dataset", dataset, "--features", f"visual:faces={file}", "--workspace", workspace]
        if main(["store", "import", *given]):
            sys.exit(1)


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    if what == "bias":
        bias()
    elif what in ("ratings", "epoch"):
        {"ratings": ratings, "epoch": epoch}[what](Path(given[0]))
    elif what == "heads":
        place, corpus_, store, target_, rule = given
        heads(Workspace(Path(place)), corpus_, stores=store.split(","), target=target_, protocol=rule, runs=RUNS)
    elif what == "faces":
        faces(*given)
    else:
        votes(*given)
