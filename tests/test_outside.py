"""Parts from outside: files and modules that the user names, and entry points; nothing that a file from elsewhere names."""

import hashlib
import importlib.util
import json
import os
import pickle
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import soundfile

import ser
from ser import demo, outside, registry, starter
from ser.cli import main
from ser.errors import ConfigError, SerError
from ser.extract.encoder import load as load_encoder
from ser.extract.encoding import work
from ser.extract.options import EncoderOptions
from ser.extract.pipeline import _workers
from ser.extract.utterances import Item
from ser.metadata.targets import parse_target
from ser.results.listing import list_results
from ser.results.verification.verify import verify
from ser.train.head_file import OutsidePart, need_parts
from ser.workers.processes import in_order
from ser.workspace import Workspace
from tests.conftest import Maker, forget_parts

HEADS, LOSSES, METHODS = "ser.train.heads", "ser.train.losses", "ser.train.adapt"
HEAD = '''"""A head of one layer, for a test."""
import torch
from torch import nn


class Mine(nn.Module):
    """One layer on pooled features."""

    stackable = False
    DEFAULTS = {"epochs": 2}

    def __init__(self, inputs, classes, factor: float = 1.0):
        super().__init__()
        self.names, self.factor = [i.name for i in inputs], factor
        self.layer = nn.Linear(sum(i.dim for i in inputs), classes)

    def forward(self, batch):
        return self.layer(torch.cat([batch[n].values for n in self.names], -1)) * self.factor
'''
LOSS = '''"""The negative log likelihood, for a test."""
import torch.nn.functional as F
from ser.train.losses._base import Term


class Mine(Term):
    def forward(self, batch):
        return -F.log_softmax(batch.logits, -1).gather(2, batch.labels[..., None])[..., 0].mean(1)
'''
ENCODER = '''"""The level of the sound, for a test."""
import numpy as np
from ser.extract.encoder import Encoder


class Level(Encoder):
    MODALITY, SOURCE, LICENCE, LEVELS, CHECKPOINTS, DIM = "audio", "a test", "none", ("utterance",), {}, "1"
    name, modality, level, dim, sample_rate = "level", "audio", "utterance", 1, 16000

    def __init__(self, name, options):
        self.identity, self.assets = {"plugin": "level", "level": "utterance"}, {}

    def encode(self, inputs):
        return [np.array([np.abs(x).mean()], dtype=np.float32) for x in inputs]
'''
CORPUS = '''"""One file for each word, for a test."""
TITLE, CITATION, LICENCE, URL, LANGUAGE, TREE = "Words", "none", "none", "", "en", "angry-anna.wav"
LABELS, UTTERANCES, SENTENCES = {"angry": "anger", "sad": "sadness"}, None, None


def parse(root):
    for file in sorted(root.glob("*.wav")):
        label, speaker = file.stem.split("-")
        yield {"utterance_id": file.stem, "path": file.name, "label": label, "emotion": LABELS[label], "speaker": speaker}
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a file of each kind, and nothing trusted before or after."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(outside.VARIABLE, "")
    for name, text in {"my_head": HEAD, "my_loss": LOSS, "my_encoder": ENCODER, "my_corpus": CORPUS}.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    forget_parts()
    yield tmp_path
    forget_parts()


def test_a_head_and_a_loss_in_files_are_trained_and_their_sources_are_recorded(maker: Maker, here: Path) -> None:
    maker.table("toy")
    maker.store("toy", "a")
    options = {"workspace": maker.space, "runs": 2, "epochs": 1, "jobs": 1}
    first = ser.fit("toy", head="./my_head.py:Mine", loss="./my_loss.py:Mine:0.5,cross_entropy", **options)
    assert first["config"]["head"] == "my_head:Mine"
    assert first["config"]["loss"] == "my_loss:Mine:0.5,cross_entropy"
    assert first["config"]["outside"] == [
        {
            "kind": kind,
            "name": f"my_{kind}:Mine",
            "module": f"my_{kind}.py",
            "package": None,
            "version": None,
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        for kind, text in (("head", HEAD), ("loss", LOSS))
    ]
    assert str(here) not in json.dumps(first["config"])
    assert "outside" not in ser.fit("toy", head="linear", **options)["config"]  # names of experiments are as before
    (here / "my_head.py").write_text(HEAD.replace("* self.factor", "* -self.factor"), encoding="utf-8")
    forget_parts()
    with pytest.raises(ConfigError, match="has changed while it was in use"):
        ser.fit("toy", head="./my_head.py:Mine", **options)
    os.environ[outside.VARIABLE] = ""
    second = ser.fit("toy", head="./my_head.py:Mine", loss="./my_loss.py:Mine:0.5,cross_entropy", **options)
    assert second["config_hash"] != first["config_hash"]
    assert second["pooled"] != first["pooled"]  # nothing of the first was taken for its own


def test_worker_processes_know_the_parts_that_were_named_after_their_start(here: Path) -> None:
    corpora = "ser.metadata.corpora"
    before = list(in_order(registry.names, [(corpora,), (corpora,)], 2, "names"))
    assert before == [registry.names(corpora)] * 2
    units = [(corpora, registry.resolve(corpora, "my_corpus.py"))]
    (found,) = in_order(registry.facts_of_parts, units, 2, "parts")
    assert found == registry.facts_of_parts(*units[0])
    assert found[0]["sha256"] == hashlib.sha256(CORPUS.encode()).hexdigest()
    with pytest.raises(ConfigError, match="has changed while it was in use"):  # in a worker that has another source
        outside.call(f"{here / 'my_corpus.py'}#{'0' * 64}", registry.load, corpora, "my_corpus")


def test_worker_processes_of_an_extraction_have_the_file_of_an_encoder(here: Path) -> None:
    (here / "my_sums.py").write_text(ENCODER + "    processes = True\n", encoding="utf-8")
    encoder = load_encoder(registry.resolve("ser.extract.encoders", "./my_sums.py:Level"), "audio", EncoderOptions())
    assert encoder.processes
    inputs = [(Item("u"), np.full(8, -0.5, np.float32))]
    with _workers(1) as workers:
        (record,) = workers.submit(work, pickle.dumps(encoder), inputs, {"u": b"0" * 32}).result().records
    assert (record.id, record.values) == ("u", pytest.approx([0.5]))


def test_a_saved_head_never_imports_what_it_names(maker: Maker, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker.table("toy")
    maker.store("toy", "a")
    space = ["--workspace", str(maker.space.root), "--quiet"]
    fit = ["fit", "--dataset", "toy", "--head", "my_head.py:Mine", "--runs", "1", "--epochs", "1"]
    assert main([*fit, "--jobs", "1", "--save", "--output", str(here / "mine.json"), *space]) == 0
    head = next((here / "mine").glob("*.safetensors"))
    (here / "my_head.py").write_text(HEAD + "\nopen('was-run', 'w').close()\n", encoding="utf-8")
    evaluate = ["evaluate", "--model", str(head), "--dataset", "toy", *space]
    os.environ[outside.VARIABLE] = ""
    forget_parts()
    capsys.readouterr()
    assert main(evaluate) == 2
    said = capsys.readouterr().err
    assert "needs head my_head:Mine, which is from outside of ser; expected my_head.py, SHA-256" in said
    assert "--part FOLDER/my_head.py:Mine" in said
    assert not (here / "was-run").exists()
    with pytest.raises(ConfigError, match="is from outside of ser, and has not been named here"):
        registry.load(HEADS, "my_head:Mine")
    assert not (here / "was-run").exists()
    saved = __import__("ser.train.checkpoint", fromlist=["load_head"]).load_head
    ser.trust("my_head.py:Mine")
    assert "is not that of the training" in " ".join(saved(head).notes)
    assert (here / "was-run").exists()


@pytest.fixture
def of_parts(here: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A saved head, trained with a head, a loss and an encoder in files, none of which is trusted any more."""
    for k, speaker in enumerate(("anna", "bert", "carl", "dora", "emil", "fred")):
        for label, level in (("angry", 0.5), ("sad", 0.05)):
            sound = level * np.random.default_rng(k).uniform(-1, 1, 8000)
            soundfile.write(here / f"{label}-{speaker}.wav", sound, 16000)
    of_table = ["--dataset", "words", "--quiet", "--workspace", str(here)]
    assert main(["metadata", "--root", ".", "--format", "./my_corpus.py", *of_table]) == 0
    assert main(["extract", "--audio", "./my_encoder.py:Level", *of_table]) == 0
    fit = ["fit", "--head", "./my_head.py:Mine", "--loss", "./my_loss.py:Mine", "--scheme", "native", "--runs", "1"]
    assert main([*fit, "--folds", "3", "--epochs", "1", "--save", "--output", str(here / "mine.json"), *of_table]) == 0
    os.environ[outside.VARIABLE] = ""
    forget_parts()
    capsys.readouterr()
    return next((here / "mine").glob("*.safetensors"))


def test_all_parts_that_are_missing_are_said_at_once_with_what_brings_them(
    of_parts: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict = ["predict", "angry-anna.wav", "--model", str(of_parts), "--format", "jsonl"]
    assert main(predict) == 2
    said = capsys.readouterr().err
    assert "needs head my_head:Mine, loss my_loss:Mine, encoder my_encoder:Level, which are from outside of ser" in said
    for kind, text in (("head", HEAD), ("loss", LOSS), ("encoder", ENCODER)):
        assert f"my_{kind}.py, SHA-256 {hashlib.sha256(text.encode()).hexdigest()[:12]}" in said
    given = re.findall(r"--part FOLDER/(\S+)", said)
    assert given == ["my_head.py:Mine", "my_loss.py:Mine", "my_encoder.py:Level"]
    assert main([*predict, *(word for part in given for word in ("--part", str(here / part)))]) == 0
    assert set(json.loads(capsys.readouterr().out)) > {"predicted", "p_anger", "p_sadness"}


def test_a_graph_of_features_needs_the_encoder_alone(of_parts: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    for kind in ("head:Mine", "loss:Mine", "encoder:Level"):
        ser.trust("./my_{}.py:{}".format(*kind.split(":")))
    assert main(["export", "onnx", str(of_parts), "--output", "m.onnx"]) == 0
    os.environ[outside.VARIABLE] = ""
    forget_parts()
    capsys.readouterr()
    assert main(["predict", "angry-anna.wav", "--model", "m.onnx"]) == 2
    assert "m.onnx needs encoder my_encoder:Level, which is from outside of ser" in capsys.readouterr().err
    assert main(["predict", "angry-anna.wav", "--model", "m.onnx", "--part", "./my_encoder.py:Level"]) == 0


def test_missing_packages_are_named_with_their_versions(tmp_path: Path) -> None:
    facts = {"package": "zz-parts", "version": "1.2", "sha256": "0" * 64}
    points = [OutsidePart(kind, f"zz_{kind}", "zz_parts", **facts) for kind in ("head", "loss")]
    with pytest.raises(ConfigError) as raised:
        need_parts(tmp_path / "head.safetensors", points)
    assert "needs head zz_head, loss zz_loss, which are from outside of ser" in str(raised.value)
    assert raised.value.expected == f"zz_parts of zz-parts 1.2, SHA-256 {'0' * 12}"
    assert raised.value.action == "If you trust them, install zz-parts 1.2"
    named = OutsidePart("head", "zz_parts.heads:Mine", "zz_parts.heads", **facts)  # no entry point brings it
    with pytest.raises(ConfigError, match=r"If you trust it, install zz-parts 1\.2 and name it: --part zz_parts\.heads:Mine"):
        need_parts(tmp_path / "head.safetensors", [named])
    folder = OutsidePart("head", "mine.heads:Mine", "mine.heads", None, None, "0" * 64)  # of the folder that it was run in
    with pytest.raises(ConfigError, match=r"name it: --part mine\.heads:Mine"):
        need_parts(tmp_path / "head.safetensors", [folder])
    need_parts(tmp_path / "head.safetensors", [])


def test_an_encoder_in_a_file_is_a_part_of_the_store_s_identity() -> None:
    name = registry.resolve("ser.extract.encoders", "./my_encoder.py:Level")
    encoder = load_encoder(name, "audio", EncoderOptions())
    assert encoder.identity["outside"]["name"] == name == "my_encoder:Level"
    assert encoder.identity["outside"]["sha256"] == hashlib.sha256(ENCODER.encode()).hexdigest()
    with pytest.raises(ConfigError, match="--text my_encoder:Level: this is an encoder of audio"):
        load_encoder(name, "text", EncoderOptions())


def test_a_part_may_have_the_name_of_a_plugin_of_another_kind(
    maker: Maker, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maker.table("toy")
    maker.store("toy", "a")
    (here / "transfer.py").write_text(HEAD.replace("Mine", "Head"), encoding="utf-8")  # a head; ser has a study of this name
    (here / "mlp.py").write_text(CORPUS, encoding="utf-8")
    workspace = ["--workspace", str(maker.space.root)]
    words = ["fit", "--dataset", "toy", "--runs", "1", "--epochs", "1", "--jobs", "1", *workspace, "--head"]
    assert main([*words, "./transfer.py"]) == 0
    (record,) = maker.space.results.glob("*.json")
    assert main(["results", "verify", record.stem, *workspace]) == 0
    assert main([*words, "mlp", "--part", "./mlp.py"]) == 0
    capsys.readouterr()
    assert main([*words, "./mlp.py"]) == 2  # and not ser's own
    assert "the name mlp is taken: ser has a head of this name" in capsys.readouterr().err
    (here / "fit.py").write_text("command = 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="the name fit is taken: ser has a command of this name"):
        registry.resolve("ser.commands", "./fit.py")


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("heads: list[str]", 'the class Study of my_study has no schema; expected a field schema: Literal["my_study/1"]'),
        ('schema: str = "ser.transfer/1"', "the schema ser.transfer/1 of the study my_study is that of another kind of record"),
    ],
)
def test_a_study_has_a_schema_of_its_own(
    field: str, words: str, maker: Maker, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maker.table("toy")
    maker.store("toy", "a")
    found = ser.fit("toy", workspace=maker.space, runs=1, epochs=1, jobs=1)
    source = f"from ser.results.studies import StudyRecord\n\nclass Study(StudyRecord, kw_only=True):\n    {field}\n"
    (here / "my_study.py").write_text(source, encoding="utf-8")
    show = ["results", "show", found["experiment"], "--part", "./my_study.py", "--workspace", str(maker.space.root)]
    assert main(show) == 2
    assert words in capsys.readouterr().err
    (here / "my_study.py").unlink()
    forget_parts()
    assert main(show) == 2
    assert "part my_study: cannot read" in capsys.readouterr().err


def test_a_corpus_in_a_file_becomes_a_table(here: Path) -> None:
    for name in ("angry-anna", "sad-bert"):
        soundfile.write(here / f"{name}.wav", [0.0, 0.1] * 4000, 8000)
    words = ["metadata", "--dataset", "words", "--root", ".", "--format", "./my_corpus.py", "--quiet"]
    assert main([*words, "--workspace", str(here)]) == 0
    assert list(ser.load_table("words", here).frame["emotion"]) == ["anger", "sadness"]


KINDS_TO_START = {
    *("head", "loss", "encoder", "corpus", "adaptation", "fewshot"),
    *("target", "study", "picture", "format", "command"),
}


def test_a_file_to_start_from_works_at_once_and_is_the_neighbour_that_contributing_names(
    maker: Maker, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(starter.packages()) == KINDS_TO_START
    rows = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for kind, package in starter.packages().items():
        copied = registry.constant(package, "COPY")
        if not registry.has(package, copied):
            assert importlib.util.find_spec(f"ser.starts.{copied}") is not None
            continue
        row = next(r for r in rows.splitlines() if r.startswith(f"| {registry.kind(package)} |"))
        assert f"/` | `{copied}.py`" in row
        assert main(["new", kind, f"my_new_{kind}", "--output", "parts"]) == 0
        tried = capsys.readouterr().out.splitlines()[-1].strip()
        file = here / "parts" / f"my_new_{kind}.py"
        assert tried.endswith(f" ./parts/{file.name}")
        assert f"    {tried.replace('parts/', '')}\n" in file.read_text(encoding="utf-8")
        plugin, original = (registry.load(package, registry.resolve(package, n)) for n in (str(file), copied))
        own = {name for name in vars(original) if not name.startswith("_")}
        assert own <= set(vars(plugin))
    assert load_encoder("my_new_encoder", "audio", EncoderOptions()).name.startswith("my_new_encoder")
    corpora = [registry.load("ser.metadata.corpora", name) for name in ("my_new_corpus", "emovo")]
    tree = corpora[0].example(here / "tree")
    rows_of = [list(corpus.parse(tree)) for corpus in corpora]
    assert rows_of[0] == rows_of[1]
    assert len(rows_of[0]) == 3
    maker.table("toy")
    maker.store("toy", "a")
    options = {"workspace": maker.space, "runs": 1, "epochs": 2, "jobs": 1}
    mine = ser.fit("toy", head="parts/my_new_head.py", loss="parts/my_new_loss.py", **options)
    assert [part["name"] for part in mine["config"]["outside"]] == ["my_new_head", "my_new_loss"]
    theirs = ser.fit("toy", head="linear", loss="cross_entropy", **options, lr=mine["config"]["lr"])
    assert mine["pooled"] == theirs["pooled"]


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the corpora and stores of `ser demo`, but smaller, and settings that are quick."""
    root = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fit", "fewshot", "_shown"):
            patch.setattr(demo, name, lambda *_, **__: None)
        demo.run(Workspace(root), speakers=6, sentences=1, quiet=True, say=lambda _: None)
    quick = {name: {"runs": 1, "epochs": 2, "jobs": 1} for name in ("fit", "fewshot", "adapt")}
    quick["extract"] = {"jobs": 1}
    (root / "ser.yaml").write_text(json.dumps(quick), encoding="utf-8")
    return root


@pytest.mark.parametrize("kind", sorted(KINDS_TO_START))
def test_what_ser_new_prints_works_at_once(
    kind: str, demonstrated: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    space = here / "a space"
    shutil.copytree(demonstrated, space)
    monkeypatch.chdir(space)
    name = f"my_new_{kind}"
    assert main(["new", kind, name, "--output", "my parts"]) == 0
    typed = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("    ser ")]
    text = (space / "my parts" / f"{name}.py").read_text(encoding="utf-8")
    for line in typed:
        plain = line.replace(f"'./my parts/{name}.py'", f"./{name}.py")
        assert line.startswith("ser check ") or f"    {plain}\n" in text
        words = shlex.split(line)[1:]
        if "DIR" in words:
            words[words.index("DIR")] = str(registry.load("ser.metadata.corpora", "emovo").example(space / "tree"))
        if words[0].endswith("my_new_study.py"):
            words += ["--runs", "1", "--jobs", "1"]
        assert main(words) == 0, line
    said = capsys.readouterr().out
    if kind == "target":
        assert ser.load_table("demo-studio").ratings == [name]
        assert '"my_new_target"' in next((space / "results").glob("fit-demo-studio-*my_new_target*.json")).read_text()
    if kind == "study":
        assert f"{name}-demo-studio" in said
        (study,) = (space / "results").glob(f"{name}-*.json")
        part = ["--part", f"my parts/{name}.py"]
        assert main(["results", "verify", study.stem, *part]) == 0
        assert main(["results", "report", study.stem, *part]) == 0
        outside.distrust(name)
        assert main(["results", "show", study.stem]) == 1
        assert "is not a result of a known kind; expected schema" in capsys.readouterr().err
    if kind in ("picture", "format"):
        assert [file.name for file in (space / "results").glob(f"{name}.*") if file.suffix in (".png", ".md")]
    assert len(typed) == {"command": 1, "format": 3}.get(kind, 2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("linear", "there is a head of this name. Take another, such as my_linear"),
        ("torch", "there is a module of this name"),
        ("my_head", "my_head.py is there already"),
        ("my-head", "cannot be the name of a part"),
        ("class", "cannot be the name of a part"),
        ("../up", "cannot be the name of a part"),
        ("MyTarget", "expected small letters"),
    ],
)
def test_a_file_to_start_from_has_a_name_of_its_own(
    name: str, words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file: file.read_bytes() for file in here.iterdir()}
    assert main(["new", "target" if name == "MyTarget" else "head", name]) == 2
    assert words in capsys.readouterr().err
    assert {file: file.read_bytes() for file in here.iterdir()} == before


def test_packages_offer_parts_by_entry_points(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = here / "site" / "zz_parts-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zz-parts\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[ser.heads]\nzz_head = zz_parts:Mine\nmlp = zz_parts:Mine\nzz_broken = zz_gone:Mine\n"
        "[ser.losses]\nzz_loss = zz_parts:Mine\n[ser.adaptations]\nzz_method = zz_parts:Method\n"
    )
    method = "from ser.train.adapt.coral import Method as Coral\nclass Method(Coral): pass\n"
    (here / "site" / "zz_parts.py").write_text(HEAD + method)
    monkeypatch.syspath_prepend(here / "site")
    forget_parts()
    assert "zz_head" in registry.names(HEADS)
    assert registry.has(HEADS, "zz_head")
    assert registry.load(HEADS, "zz_head").Head.__name__ == "Mine"
    (facts,) = registry.facts_of_parts(HEADS, "zz_head", "linear")
    assert (facts["package"], facts["version"], facts["module"]) == ("zz-parts", "1.2", "zz_parts")
    assert registry.load(METHODS, "zz_method").Method.__name__ == "Method"
    with pytest.raises(ConfigError, match="the name mlp is taken: ser has a head of this name"):
        registry.load(HEADS, "mlp")
    with pytest.raises(ConfigError, match="head zz_broken of the package zz-parts: there is no module zz_gone"):
        registry.load(HEADS, "zz_broken")
    with pytest.raises(ConfigError, match=r"loss zz_loss .* is of another kind; expected a class derived from .*Term"):
        registry.load(LOSSES, "zz_loss")


def test_every_kind_has_a_group_of_entry_points() -> None:
    groups = {registry.group(package): kind for kind, package in registry.kinds().items()}
    assert len(groups) == len(registry.kinds())
    expected = {"heads", "losses", "encoders", "corpora", "adaptations", "studies", "targets", "fewshot", "pictures"}
    assert {f"ser.{name}" for name in expected} <= set(groups)


@pytest.mark.parametrize(
    ("package", "reference", "words"),
    [
        (HEADS, "./gone.py:Mine", "cannot read .*gone.py; found No such file"),
        (HEADS, "zz_gone:Mine", "there is no module zz_gone; expected one of an installed package, or of the current folder"),
        (HEADS, "my_head.py:Mien", "no Mien in my_head.py; expected one of Mine. Did you mean 'Mine'"),
        (HEADS, "my_head.py", "head my_head lacks Head; expected what a head has: Head"),
        (HEADS, "my_loss.py:Mine", "of another kind; expected a class derived from torch.nn.Module, and not from Term or"),
        (LOSSES, "my_head.py:Mine", "of another kind; expected a class derived from ser.train.losses._base.Term"),
        ("ser.metadata.corpora", "my_head.py:Mine", "cannot be made without arguments; found TypeError"),
        ("ser.metadata.corpora", "my_loss.py", "lacks TITLE, CITATION, .*parse; expected what a corpus has"),
        (HEADS, "bad.py:Mine", r"bad.py cannot be imported; found ZeroDivisionError: .*, line 2"),
        (HEADS, "linear.py", "the name linear is taken: ser has a head of this name"),
        (HEADS, "two words.py:Mine", "results are named after the file; expected a file name of letters"),
    ],
)
def test_what_is_wrong_with_a_part_is_said(package: str, reference: str, words: str, here: Path) -> None:
    (here / "bad.py").write_text("\n1 / 0\n")
    (here / "linear.py").write_text(HEAD)
    with pytest.raises(SerError, match=words):
        registry.resolve(package, reference)


def test_a_part_that_could_not_be_loaded_is_not_trusted_and_may_be_mended(here: Path) -> None:
    (here / "bad").mkdir()
    (here / "bad" / "my_head.py").write_text("1 / 0\n")
    with pytest.raises(ConfigError, match="cannot be imported"):
        registry.resolve(HEADS, "bad/my_head.py:Mine")
    assert not registry.has(HEADS, "my_head:Mine")
    assert registry.resolve(HEADS, "my_head.py:Mine") == "my_head:Mine"  # of another file, under the same name
    ser.trust("my_loss.py:Mine")
    with pytest.raises(ConfigError, match="of another kind"):
        registry.resolve(HEADS, "my_loss.py:Mine")
    assert registry.has(LOSSES, "my_loss:Mine")  # the user named it before


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import zz_not_there", "zz_half.heads cannot be imported; found ModuleNotFoundError: No module named 'zz_not_there'"),
        ("from zz_half import nothing", "zz_half.heads cannot be imported; found ImportError: cannot import name 'nothing'"),
        ("1 / 0", "zz_half.heads cannot be imported; found ZeroDivisionError"),
        ("", "there is no module zz_half.heads; expected one of an installed package"),
    ],
)
def test_a_package_that_cannot_be_imported_is_not_called_missing(
    source: str, words: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(here)
    (here / "zz_half").mkdir()
    (here / "zz_half" / "__init__.py").write_text(source)
    with pytest.raises(ConfigError, match=words):
        registry.resolve(HEADS, "zz_half.heads:Mine")


def test_two_files_of_one_name_are_told_apart(here: Path) -> None:
    (here / "other").mkdir()
    (here / "other" / "my_head.py").write_text(HEAD)
    ser.trust("my_head.py:Mine")
    with pytest.raises(ConfigError, match="two parts are called my_head:Mine"):
        ser.trust("other/my_head.py:Mine")


def test_the_example_is_installed_and_its_parts_are_used(
    maker: Maker, with_example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        maker.table(name)
        maker.store(name)
    options = {"workspace": maker.space, "head": "two_layers", "loss": "plain_nll", "runs": 1, "epochs": 1, "jobs": 1}
    found = ser.adapt("a", "b", methods="mean_shift", **options)
    adapted = next(p for p in maker.space.results.glob("a-b-mean_shift*.json"))
    parts = json.loads(adapted.read_text(encoding="utf-8"))["config"]["outside"]
    assert [part["name"] for part in parts] == ["two_layers", "mean_shift", "plain_nll"]
    assert {(part["package"], part["version"]) for part in parts} == {("ser-example-parts", "0.1.0")}
    assert "mean_shift 1" in [variant["name"] for variant in found["variants"]]
    encoder = load_encoder("loudness", "audio", EncoderOptions())
    assert encoder.encode([np.full(16000, 0.5, dtype=np.float32)])[0] == pytest.approx([np.log(0.50001), 0], abs=1e-4)
    monkeypatch.syspath_prepend(with_example / "plugin")
    own = import_module("test_ser_example_parts")  # the package's own tests
    for kind, name in own.PARTS.items():
        own.test_promises(kind, name)
    own.test_loudness_is_the_logarithm_of_the_level()
    own.test_two_layers_read_all_stores()
    few = ser.fewshot("b", workspace=maker.space, methods="root_means", shots=2, runs=1, jobs=1)
    assert few["config"]["outside"][0]["name"] == "root_means"
    both = import_module("side_by_side").make("b", ["linear", "two_layers"], maker.space, runs=1, epochs=1, jobs=1)
    assert [name for name, _ in both.record.members()] == ["linear", "two_layers"]
    assert set(both.to_frame()["of"]) >= {"linear", "two_layers"}
    lines, damaged = list_results(maker.space.results)
    assert damaged == []
    assert [line.scores for line in lines if line.path == both.path] == [both.record.standing().scores]
    verdict = verify(both.path, maker.space)
    assert (verdict.differences, verdict.missing) == ([], [])
    assert verdict.numbers > 20
    again = ["--dataset", "b", "--head", "linear", "--runs", "1", "--jobs", "1", "--workspace", str(maker.space.root)]
    assert main(["side_by_side", *again]) == 0  # the command of the package
    written = (with_example / "plugin" / "side_by_side.py").read_text(encoding="utf-8")
    commands = starter.commands("ser.results.studies", "side_by_side")
    assert written == starter.source("ser.results.studies", "side_by_side", commands)  # by `ser new`, again after a change


def test_a_file_is_one_part_however_its_path_is_written_and_runs_once_for_all_its_kinds(here: Path) -> None:
    (here / "my_both.py").write_text(f"{HEAD}\n{LOSS.replace('class Mine', 'class Other')}", encoding="utf-8")
    os.environ[outside.VARIABLE] = "my_both.py:Mine"  # as a user may set it
    assert registry.resolve(HEADS, "./my_both.py:Mine") == "my_both:Mine"
    head = registry.load(HEADS, "my_both:Mine").Head
    loss = registry.load("ser.train.losses", registry.resolve("ser.train.losses", "my_both.py:Other")).Loss
    assert head.__module__ == loss.__module__
    assert sys.modules[head.__module__].Mine is head


def test_targets_are_not_read_from_files() -> None:
    for text in ("./my_target.py:Mine", "my_package.targets:Mine", "arousal,./my_target.py"):
        with pytest.raises(ConfigError, match="targets are not read from files or modules"):
            parse_target(text, ["arousal"])


@pytest.mark.parametrize(("kind", "near"), [("heads", "head"), ("losses", "loss"), ("corpora", "corpus"), ("Head", "head")])
def test_a_kind_that_there_is_not_is_said_with_the_nearest(
    kind: str, near: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", kind, "my_part", "--output", str(tmp_path)]) == 2
    assert f"unknown kind of part '{kind}'; expected one of" in capsys.readouterr().err
    assert main(["new", near, "my_part", "--output", str(tmp_path)]) == 0
