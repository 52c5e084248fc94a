"""Commands and Python of README and docs are run in their order, on small corpora of tones.

README begins in an empty workspace. Each other page begins with the tables and stores that README leaves, so with several
stores of a corpus; `BEFORE` has what a page takes for granted beyond that.
"""

import gzip
import importlib.util
import json
import pickle
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import pytest
import soundfile

import ser
from ser import demo, registry
from ser.cli import cli, main
from ser.extract.encoder import ENCODERS
from ser.metadata.corpus import corpus
from ser.metadata.table import write_table
from ser.results.benchmarks import preset
from ser.train.experiments import fewshot
from ser.train.heads._base import HEADS, plugin
from ser.workspace import Workspace


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


documents = _load("ser_test_documents", Path(__file__).with_name("documents.py"))

# What is not run, by how it begins, and why.
NOT_RUN = {
    "make ": "makes an environment",
    "source .venv": "an environment",
    "mkdir ": "makes the folder in which the page is followed",
    "python3 -m venv": "makes an environment",
    ".venv/bin/pip": "installs",
    "pip install": "installs",
    "pipx run": "installs",
    'eval "$(_SER_COMPLETE': "for the start of a shell; tests/test_installation.py has completion",
    "PIP_EXTRA_INDEX_URL": "installs",
    "git clone": "needs a network",
    "ser push": "needs a network; tests/export/test_hub.py has it",
    "ser pull": "the same",
    "ser predict new/*.wav --model theirs": "the same",
    "arecord": "needs a microphone",
    "ser serve": "a server; tests/service has it",
    "curl": "the same",
    "docker": "needs a daemon",
    "tensorboard --logdir": "a server",
    "ser doctor": "it imports all that is installed; tests/extract/doctor does that once",
    "ser fit --dataset msppodcast": "the corpus is licensed; tests/train/experiments/test_targets.py has the target",
    "ser fit --dataset iemocap --audio wavlm-large --target emotion": "the same",
    "ser fit --dataset mosei": "the same",
    "ser transfer --source msppodcast": "the same",
    "ser adapt --source emozionalmente": "the same",
    "ser combine --datasets msppodcast": "the same",
    "mlflow ui": "a server",
    "ser adapt --source ravdess --target emodb --audio egemaps --log mlflow": "mlflow is not in the extra `all`",
    "metadata/NAME.csv, NAME.json": "names of files",
    "results/EXPERIMENT.json ": "names of files",
    "ser fit --dataset emodb --head ./my": "a reader's own file; tests/test_outside.py has them",
    "ser fit --dataset emodb --loss ./my": "the same",
    "ser extract --dataset emodb --audio ./my": "the same",
    "ser metadata --dataset mine --root DIR --format ./my": "the same",
    "ser adapt --source ravdess --target emodb --method ./my": "the same",
    "ser predict --model EXPERIMENT --part ./my": "the same",
    "[project.entry-points": "a part of a file",
    "errors (1)": "what is printed",
    "problem  h5py": "what is printed",
    '{"schema": "ser.summary/1"': "an outline of a file",
    '"percentages": {"10%"': "an outline of a file",
}
FINDS = ("audit", "doctor")  # exit code 3 says that they have found something

# Settings of a configuration, so that the commands are those of the page and yet quick.
TRAINING = [
    name
    for name in registry.names("ser.commands")
    if {"epochs", "runs"} <= {option.name for option in registry.load("ser.commands", name).command.params}
]
CHEAP: dict[str, dict[str, Any]] = {name: {"epochs": 1, "runs": 2, "folds": 3, "jobs": 1, "device": "cpu"} for name in TRAINING}
for name in ("ablate", "adapt", "combine", "fewshot", "finetune", "transfer"):
    CHEAP[name]["head_option"] = {"hidden": 32}
CHEAP["fit"]["head_option"] = {"channels": "4,8,8,8"}  # a grid has sizes of its own
CHEAP["results"] = {"import": {"folds": 3}}
CHEAP |= {
    "extract": {"jobs": 1, "device": "cpu"},
    "classify": {"jobs": 1, "device": "cpu", "folds": 3},
    "audit": {"jobs": 1},
    "transcribe": {"jobs": 1, "device": "cpu"},
}
WEIGHTS = ("classify", "extract", "predict", "transcribe")


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """One epoch also where no configuration is read: in Python, in the demonstration, in benchmarks. Pictures are coarse."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ser.results.plotting.style.DPI", 40)
        for name in registry.names(HEADS):
            if "epochs" in plugin(name).DEFAULTS:
                patch.setitem(plugin(name).DEFAULTS, "epochs", 1)
        patch.setattr(fewshot, "TUNE_EPOCHS", 1)
        patch.setitem(preset("emobox-ravdess").options, "epochs", 1)
        yield


# What a page takes for granted beside the tables and stores that README leaves.
BEFORE = {
    "docs/results.md": [
        "ser fit --dataset ravdess --audio egemaps --scheme native --head mlp",
        "ser fit --dataset ravdess --audio egemaps --scheme native --head linear",
        "ser fit --dataset ravdess --audio egemaps --scheme native --head sklearn:GaussianNB",
        "ser fewshot --source emodb --target ravdess --audio egemaps --percentages 10",
        "ser fewshot --source emodb --target ravdess --audio egemaps --percentages 10 --head linear",
    ],
    "docs/transfer.md": ["ser extract --dataset cremad --root DIR --audio egemaps"],
}
EXAMPLE = "examples/plugin/README.md"  # a page whose package is installed meanwhile
# Pages that begin in an empty workspace.
FROM_NOTHING = ("docs/tutorial.md", "docs/howto/own-corpus.md")
# What words in capitals stand for, beside EXPERIMENT, the newest one.
NAMES = {
    "docs/audit.md": {"FOLDS": "emodb"},
    "docs/evaluation.md": {"FOLDER": "noises"},
    "docs/imports.md": {"NAME": "emodb", "MODALITY": "visual", "FILE": "faces.csv"},
    "docs/results.md": {
        "NAME": "fit-ravdess-mlp",
        "OTHER": "fit-ravdess-linear",
        "A": "fit-ravdess-mlp",
        "B": "fit-ravdess-linear",
        "C": "fit-ravdess-sklearn",
    },
}


def tone(path: Path, voice: int, emotion: int, seconds: float = 0.3) -> None:
    """Write a voice of sorts, its pitch by the emotion."""
    rng = np.random.default_rng([voice, emotion])
    time = np.arange(round(seconds * 16000)) / 16000
    pitch = 100 + 30 * emotion + 6 * voice
    sound = sum(np.sin(2 * np.pi * pitch * k * time + rng.uniform(0, 6)) / k for k in range(1, 12))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.05 * sound + rng.normal(0, 0.002, len(time)), 16000)


def ravdess(root: Path) -> Path:
    for actor in (1, 4, 8, 3, 2, 6):  # one of each of EmoBox's folds
        for emotion in range(1, 9):
            name = f"03-01-{emotion:02d}-01-{1 + (actor + emotion) % 2:02d}-01-{actor:02d}"
            tone(root / f"Actor_{actor:02d}" / f"{name}.wav", actor, emotion)
    return root


def emodb(root: Path) -> Path:
    texts = ("a01", "a02", "a04", "a05", "a07")
    lines = ["Nr.\tSatz\terkannt\tnatuerlich"]
    for voice, speaker in enumerate(("03", "08", "09", "10", "11")):
        for number, letter in enumerate("WLEAFTN"):
            name = f"{speaker}{texts[(voice + number) % 5]}{letter}a"
            tone(root / "wav" / f"{name}.wav", 20 + voice, number)
            lines.append(f"{len(lines)}\u00a0\t{name}.wav\t{70 + 3 * voice},00\t50,00")
    (root / "erkennung.txt").write_text("\n".join(lines) + "\n", encoding="latin-1")
    return root


def cremad(root: Path) -> Path:
    for actor in range(1001, 1005):
        for number, emotion in enumerate(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")):
            tone(root / "AudioWAV" / f"{actor}_DFA_{emotion}_XX.wav", 40 + actor % 10, number)
    return root


def meld(root: Path) -> Path:
    """Dialogues of seven turns, each emotion once; their recordings too."""
    head = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
    emotions = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
    for split, dialogues in {"train": 3, "dev": 1, "test": 1}.items():
        lines = ""
        for d in range(dialogues):
            for t, emotion in enumerate(emotions):
                times = f'"00:00:{t:02d},000","00:00:{t:02d},500"'
                lines += f"1,so much {emotion} in {d},{'Joey' if t % 2 else 'Monica'},{emotion},x,{d},{t},1,{d},{times}\n"
                tone(root / f"{split}_splits" / f"dia{d}_utt{t}.wav", 60 + d, t, seconds=0.5)
        root.mkdir(parents=True, exist_ok=True)
        (root / f"{split}_sent_emo.csv").write_text(head + lines)
    return root


def emobox(root: Path) -> Path:
    """EMOVO as in EmoBox: each speaker in turn is tested."""
    below, lines, said = root / "data" / "emovo", {}, ""
    for voice, speaker in enumerate(("f1", "f2", "m1")):
        for number, emotion in enumerate(("gio", "tri", "neu", "rab")):
            key, wav = f"emovo-{emotion}-{speaker}-b1", f"downloads/emovo/EMOVO/{speaker}/{emotion}-{speaker}-b1.wav"
            tone(root / wav, voice, number, seconds=0.5)
            facts = {"key": key, "dataset": "emovo", "wav": wav, "type": "raw", "sample_rate": 16000, "num_frame": 8000.0}
            facts |= {"task": "category", "length": 0.5, "emo": emotion, "channel": 1}
            lines[key] = json.dumps(facts) + "\n"
            said += f"{key} 1 {speaker} 0 0.5 <id={key},lang=it,spk={speaker},emotion=x> x\n"
    below.mkdir(parents=True)
    (below / "emovo.jsonl").write_text("".join(lines.values()))
    (below / "data.seg.wrd.stm").write_text(said)
    (below / "label_map.json").write_text('{"gio": "Happy", "tri": "Sad", "neu": "Neutral", "rab": "Angry"}')
    for fold, speaker in enumerate(("f1", "f2", "m1"), start=1):
        folder = below / f"fold_{fold}"
        folder.mkdir()
        for part, is_test in {"train": False, "test": True}.items():
            chosen = "".join(line for key, line in lines.items() if (f"-{speaker}-" in key) == is_test)
            (folder / f"emovo_{part}_fold_{fold}.jsonl").write_text(chosen)
    return root


def named_files(root: Path) -> Path:
    """The corpus of examples/plugin."""
    for voice, speaker in enumerate(("anna", "bert", "cleo", "dora", "emil", "finn")):
        for number, emotion in enumerate(("anger", "happiness", "neutral", "sadness")):
            tone(root / f"{emotion}-{speaker}-1.wav", 100 + voice, number)
    return root


def mosi(folder: Path) -> None:
    """Features of three modalities, aligned by row, the label last."""
    for part, count in {"train": 120, "test": 40}.items():
        labels = np.arange(count) * 7 % 5 < 2
        for modality, dim in {"text": 4, "audio": 3, "visual": 5}.items():
            values = np.random.default_rng([count, dim]).normal(size=(count, dim)) + 2 * labels[:, None]
            rows = np.column_stack([values.round(4), labels.astype(int)])
            name = "video" if modality == "visual" else modality
            with gzip.open(folder / f"{name}_{part}0.csv.gz", "wt") as file:
                file.writelines(",".join(f"{cell:g}" for cell in row) + "\n" for row in rows)


def dialogues(file: Path) -> None:
    """A pickle in the arrangement of IEMOCAP's published features."""
    rng = np.random.default_rng(1)
    names = [f"Ses0{s}{g}_impro0{k}" for s in (1, 2, 3, 5) for g in "FM" for k in (1, 2)]
    ids = {d: [f"{d}_{'FM'[t % 2]}{t:03d}" for t in range(6)] for d in names}
    labels = {d: list(rng.permutation(6)) for d in names}
    vectors = [{d: [rng.normal(size=dim) for _ in range(6)] for d in names} for dim in (4, 3, 5)]
    who = {d: ["FM"[t % 2] for t in range(6)] for d in names}
    said = {d: [f"turn {t}" for t in range(6)] for d in names}
    test = {d for d in names if d.startswith("Ses05")}
    labels = {d: [int(k) for k in of] for d, of in labels.items()}
    file.write_bytes(pickle.dumps((ids, who, labels, *vectors, said, set(names) - test, test), 2))


def recordings(root: Path) -> Path:
    for number, label in enumerate(("angry", "happy", "neutral", "sad")):
        for voice, speaker in enumerate(("anna", "bert", "cleo", "dora", "emil")):
            tone(root / label / speaker / "1.wav", 80 + voice, number)
    return root


def variables() -> dict[str, Any]:
    """Variables that snippets take for granted."""
    return {
        "samples": np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32),
        "content": Path("a.wav").read_bytes() if Path("a.wav").is_file() else b"",
        "files": ["a.wav", "new/1.wav"],
        "texts": None,
        "dialogues": ["d", "d"],
        "turns": [1, 2],
        "speakers": ["x", "y"],
    }


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of tiny models under the names of published ones, whose facts are those of the tiny ones meanwhile."""
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        for short, family in {
            "wav2vec2-base": "speech",
            "emotion2vec": "emotion2vec",
            "emotion2vec-plus-base": "emotion2vec",
            "bert": "text",
            "sensevoice-small": "sensevoice",
            "campplus": "speaker",
            "campplus-zh-en": "speaker",
        }.items():
            plugin = registry.load(ENCODERS, family)
            plugin.example(folder / short)
            dim = 16 if family == "speaker" else 32
            patch.setitem(plugin.CHECKPOINTS, short, replace(plugin.CHECKPOINTS[short], dim=dim))
        models = _load("ser_test_models", Path(__file__).parent / "extract" / "models.py")
        models.whisper_speaking(folder / "whisper-small")
        yield folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of each dataset's files."""
    root = tmp_path_factory.mktemp("corpora")
    made = {make.__name__: make(root / make.__name__) for make in (ravdess, emodb, cremad, meld, named_files)}
    return made | {
        name: corpus(plugin).example(root / name) for name, plugin in {"subesco": "subesco", "mine": "audformat"}.items()
    }


class Desk:
    """A workspace where a page is followed: files of one's own, a cheap configuration, and what words in capitals stand for."""

    def __init__(self, root: Path, folders: dict[str, Path], weights: Path, document: str) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        files = {name: {"weights": str(weights)} for name in WEIGHTS}
        settings = {name: {**CHEAP.get(name, {}), **files.get(name, {})} for name in {**CHEAP, **files}}
        text = "".join([*BEFORE.get(document, []), *(step.text for step in documents.steps(document))])
        named = {name: given for name, given in settings.items() if f"ser {name} " in text}  # each command reads all
        (root / "ser.yaml").write_text(json.dumps(named))
        self.reader = documents.Reader(folders, {"EXPERIMENT": lambda: self.newest()[0], "FOLD": self.fold})

    def newest(self) -> list[str]:
        """Names of the experiments, the newest first."""
        files = [path for path in (self.root / "results").glob("*.json") if path.with_suffix("").is_dir()]
        return [path.stem for path in sorted(files, key=lambda path: -path.stat().st_mtime_ns)]

    def fold(self) -> str:
        """The name of a fold of which the newest experiment has a head."""
        heads = (self.root / "results" / self.newest()[0]).glob("run-000.fold-*.safetensors")
        return min(heads).stem.partition(".fold-")[2]

    def follow(self, document: str) -> None:
        """Run all of a document that can be run."""
        for word, meaning in NAMES.get(document, {}).items():
            self.reader.names[word] = lambda meaning=meaning: meaning
        for text in BEFORE.get(document, []):
            self.step(documents.Step(f"{document} (before)", "ser", text))
        for step in documents.steps(document):
            if not any(step.text.startswith(begin) for begin in NOT_RUN):
                self.step(step)

    def step(self, step: Any) -> None:
        """Run a step, which must do what it says; of the runs and the drawn settings that a page names it does two."""
        assert step.kind != "other", f"{step.place} is neither run nor in NOT_RUN: {step.text}"
        code = self.reader.run(replace(step, text=re.sub(r"(--runs |--random |\bruns=)\d+", r"\g<1>2", step.text)))
        words = step.text.split()
        allowed = (0, 3) if step.kind == "ser" and words[1] in FINDS else (0,)
        assert code in allowed, f"{step.place} ended with {code}: {step.text}"


@pytest.fixture(scope="module")
def readme(tmp_path_factory: pytest.TempPathFactory, folders: dict[str, Path], weights: Path) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("readme"), folders, weights, "README.md")
    recordings(desk.root / "recordings")
    tone(desk.root / "new" / "1.wav", 90, 1)
    tone(desk.root / "new.wav", 90, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk.root)
        desk.follow("README.md")
    return desk


def test_readme_is_followed_in_its_order(readme: Desk) -> None:
    assert {name.split("-")[0] for name in readme.newest()} >= {"fit", "fewshot"}


def test_recorded_commands_name_their_stores_and_find_their_records(readme: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores that were extracted later change nothing."""
    monkeypatch.chdir(readme.root)
    written = {path.name: json.loads(path.read_text()) for path in Path("results").glob("*.json")}
    commands = {name: shlex.split(record.get("command", "")) for name, record in written.items()}
    trained = {name: words for name, words in commands.items() if len(words) > 1 and words[0] == "ser" and words[1] in TRAINING}
    assert {words[1] for words in trained.values()} >= {"fit", "fewshot", "ablate", "adapt", "finetune"}
    for words in trained.values():
        assert {"--audio", "--text"} & set(words), words
    kinds = {words[1]: words for words in trained.values()}  # one of each; of the studies the finetune's is enough
    for kind in ("fit", "fewshot", "finetune"):
        assert main(kinds[kind][1:]) == 0
    assert {path.name for path in Path("results").glob("*.json")} == set(written)


PAGES = [name for name in documents.DOCUMENTS if any(step.kind == "ser" for step in documents.steps(name))]


@pytest.mark.parametrize("document", [name for name in PAGES if name != "README.md"])
def test_a_page_is_followed_in_its_order(
    document: str,
    readme: Desk,
    folders: dict[str, Path],
    weights: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if document == EXAMPLE:
        request.getfixturevalue("with_example")
    desk = Desk(tmp_path, folders, weights, document)
    for room in ("metadata", "features") if document not in FROM_NOTHING else ():
        shutil.copytree(readme.root / room, tmp_path / room)
    files_of_ones_own(tmp_path, document)
    monkeypatch.chdir(tmp_path)
    desk.reader.variables |= variables()
    # The figures of a report are made, and not written as SVG, which takes half a second each: tests/results/report has that.
    monkeypatch.setattr("ser.results.report.formats.html.inline", lambda *_: "<svg></svg>")
    desk.follow(document)


def few(folder: Path, dataset: str, kept: Callable[[Any], Any]) -> None:
    """Keep some rows of a table: a page needs no more."""
    table = ser.load_table(dataset, folder)
    write_table(replace(table, frame=table.frame[kept(table.frame)]), Workspace(folder))


def files_of_ones_own(folder: Path, document: str) -> None:
    """Write what a page calls by a name of the reader's."""
    if document == "docs/audit.md":
        table = ser.load_table("emodb", folder).frame
        rows = [f"{fold},{i}\n" for i, fold in zip(table["utterance_id"], table["speaker"], strict=True)]
        (folder / "emodb.csv").write_text("fold,utterance_id\n" + "".join(rows))
    if document == "docs/corpora.md":
        emobox(folder / "EmoBox")
        rows = ["I am here.,happy,a,3,5\n", "It is late.,sad,b,2,1\n"]
        (folder / "table.csv").write_text("text,emotion,speaker,engagement,valence\n" + "".join(rows))
        (folder / "recordings").mkdir()
    if document == "docs/evaluation.md":
        speakers = sorted(set(ser.load_table("emodb", folder).frame["speaker"]))[:3]
        kept = ["anger", "boredom", "neutral", "sadness"]  # the page asks for the novelty of one of them
        few(folder, "emodb", lambda frame: frame["speaker"].isin(speakers) & frame["emotion"].isin(kept))
        for number in range(4):
            tone(folder / "noises" / "noise" / f"{number}.wav", 90, number)
    if document == "docs/explanations.md":
        few(folder, "ravdess", lambda frame: frame["emotion"].isin(sorted(set(frame["emotion"]))[:4]))
    if document == "docs/tutorial.md":
        demo.run(Workspace(folder / "demo"), runs=2, speakers=6, sentences=1, quiet=True, say=lambda _: None)
        shutil.copy(folder / "ser.yaml", folder / "demo" / "ser.yaml")
        tone(folder / "demo/corpora/demo-room/AudioWAV/1051_IEO_ANG_HI.wav", 90, 1)  # the demonstration has more speakers
    if document == "docs/howto/own-corpus.md":
        files = sorted(recordings(folder / "recordings").rglob("*.wav"))
        rows = [f"{path.relative_to(folder)},{path.parts[-3]},{path.parts[-2]}\n" for path in files]
        (folder / "table.csv").write_text("path,emotion,speaker\n" + "".join(rows))
        tone(folder / "new.wav", 90, 2)
    if document == "docs/imports.md":
        mosi(folder)
        dialogues(folder / "IEMOCAP_features.pkl")
        ids = ser.load_table("emodb", folder).ids
        (folder / "faces.csv").write_text("utterance_id,f1,f2\n" + "".join(f"{i},{k},{-k}\n" for k, i in enumerate(ids)))
    if document == "docs/results.md":
        table = ser.load_table("ravdess", folder).frame
        rows = [f"{i},{emotion}\n" for i, emotion in zip(table["utterance_id"], table["emotion"], strict=True)]
        (folder / "answers.csv").write_text("utterance_id,predicted\n" + "".join(rows))
        lines = [
            {"key": i, "labels": ["happy", "calmness", "unknown"], "scores": [0.5, 0.3, 0.2]} for i in table["utterance_id"]
        ]
        (folder / "plus.jsonl").write_text("\n".join(map(json.dumps, lines)))
    if document == "docs/text.md":
        few(folder, "ravdess", lambda frame: np.arange(len(frame)) % 4 == 0)
    if document in (EXAMPLE, "docs/howto/calls.md", "docs/prediction.md", "docs/sharing.md", "docs/training.md"):
        for file in (
            "new/1.wav",
            "a.wav",
            "b.mp3",
            "call.wav",
            "calls/monday/u1.wav",
            "calls/monday/u2.wav",
            "calls/tuesday/u1.wav",
        ):
            tone(folder / file, 90, 1)
        (folder / "turns.csv").write_text("file,dialogue,turn,speaker\na.wav,d,1,x\nnew/1.wav,d,2,y\n")


@pytest.mark.parametrize("document", documents.DOCUMENTS)
def test_every_command_within_a_sentence_exists(document: str, request: pytest.FixtureRequest) -> None:
    if document == EXAMPLE:
        request.getfixturevalue("with_example")
    for words in documents.mentioned(document):
        command: click.Command = cli
        context = click.Context(cli)
        for word in words[1:]:
            if word.startswith("./"):  # a command of the reader's own
                break
            if isinstance(command, click.Group):
                found = command.get_command(context, word)
                assert found is not None, f"{document}: {' '.join(words)}"
                command = found
            elif word.startswith("--"):
                options = {name for parameter in command.params for name in parameter.opts}
                assert word.partition("=")[0] in options, f"{document}: {' '.join(words)}"


def test_what_is_not_run_is_there() -> None:
    """No entry of the list outlives what it is for."""
    texts = [step.text for document in documents.DOCUMENTS for step in documents.steps(document)]
    for begin in NOT_RUN:
        assert any(text.startswith(begin) for text in texts), begin
    for document in (*BEFORE, *NAMES):
        assert document in PAGES


@pytest.mark.parametrize("document", documents.DOCUMENTS)
def test_a_score_is_quoted_from_a_page_of_measurements(document: str) -> None:
    """Numbers of three decimals, but for what is printed, are also in a page below benchmarks/, with their commands."""
    text = (documents.ROOT / document).read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)  # what is printed
    text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    measured = "".join(page.read_text(encoding="utf-8") for page in (documents.ROOT / "benchmarks").glob("*.md"))
    number = r"(?<![\d.])0\.\d{3}(?!\d|\.\d)"
    assert set(re.findall(number, text)) - set(re.findall(number, measured)) == set()


def test_the_commands_with_parts_are_those_that_the_page_on_clusters_names() -> None:
    page = (documents.ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    sentence = page.partition("All commands that train have the option:")[2].partition(". ")[0]
    train = {name for name in registry.names("ser.commands") if "shard" in _options(name)} - {"extract"}
    assert set(re.findall(r"`(\w+)`", sentence)) == train
    with_backend = {name for name in registry.names("ser.commands") if "backend" in _options(name)}
    assert train <= with_backend


def _options(name: str) -> set[str]:
    command = cli.get_command(click.Context(cli), name)
    return {str(option.name) for option in command.params} if command else set()
