"""Benchmarks as presets: what they fix, what they lack, and published numbers beside ours."""

import csv
import io
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from ser.cli import main
from ser.errors import ConfigError
from ser.features.stores.store import FeatureStore
from ser.jsonfile import read_object
from ser.metadata.corpus import CORPORA, parse_corpus
from ser.metadata.folds.fold import Fold, leave_out
from ser.registry import names
from ser.results.benchmarks import LINEAR, MLP, by, preset, presets
from ser.results.benchmarks.emosuperb import CREMAD
from ser.results.benchmarks.maeb import few_shots
from ser.results.blocks import Notice, Table
from ser.results.records.numbers import METRICS, MORE_METRICS
from ser.results.report.benchmark import benchmark_section, leaderboard
from ser.results.result import Result
from ser.train.classical.classifier import Classical, is_classical
from ser.train.experiments.benchmark import benchmark, parts_sha256
from ser.train.experiments.fit import fit
from ser.train.heads._base import options_of
from ser.train.loop.config import Config
from ser.train.runs.options import OF_COMMANDS, option_fields, read_options


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_of_a_known_corpus_and_fixes_known_options(name: str) -> None:
    one = preset(name)
    assert one.corpus in names(CORPORA) or one.options["protocol"] == "emobox"  # of EmoBox: by import
    assert one.metric in (*METRICS, *MORE_METRICS)
    assert {"scheme", "protocol", "head", "normalize"} <= set(one.options)
    assert all(0 < value < 1 for value in one.published.values())
    options = {k: v for k, v in one.options.items() if k != "head"}
    assert read_options(fit, ".", str(one.options["head"]), options).protocol == one.options["protocol"]


NOT_FIXED = {
    "stores",
    "audio",
    "text",
    "visual",
    "modalities",
    "runs",
    "save",
    "output",
    "log",
    "jobs",
    "memory",
    "shard",
    "stack",
    "device",
    "quiet",
    "backend",
    "address",
}
OF_SKLEARN = {"balance", "probabilities", "scikit_learn"}  # worked out from the class, not given
NONE = {"views", "layer", "folds", "fold_file"}  # None: the original audio, all layers, all folds of the protocol


@pytest.mark.parametrize("name", presets())
def test_a_preset_leaves_no_option_of_training_to_a_default(name: str) -> None:
    options = preset(name).options
    classical = is_classical(str(options["head"]))
    config = {f.name for f in fields(Classical if classical else Config)} - set(OF_COMMANDS)
    lacking = (set(option_fields()) | config | {"head"}) - NOT_FIXED - NONE - OF_SKLEARN - set(options)
    assert lacking == set()
    if classical:
        return
    assert set(options["head_options"]) == set(options_of(str(options["head"]))) - {"pooling"}
    assert options_of(str(options["head"]))["pooling"] == "mean"  # as presets say; it is refused of pooled features


def test_presets_have_the_numbers_that_they_had_with_the_defaults_of_fit(maker: Any) -> None:
    maker.table("a", each=2)
    maker.store("a")
    few: dict[str, Any] = {"protocol": "official", "scheme": "native", "runs": 1, "jobs": 1}
    results = [fit("a", maker.space, **{**options, **few}) for options in ({"head": "mlp"}, MLP, {"head": "linear"}, LINEAR)]
    for before, after in (results[:2], results[2:]):
        assert before["experiment"] == after["experiment"]
        assert before["pooled"] == after["pooled"]


@pytest.fixture
def ours(maker: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A small corpus under the name of EmoDB, and a benchmark on it that takes seconds."""
    maker.table("emodb", speakers=6, corpus="emodb")
    maker.store("emodb", "toy")
    quick = {**preset("emobox-emodb").options, "protocol": "speaker", "folds": 3, "epochs": 3}
    monkeypatch.setattr("ser.train.experiments.benchmark.preset", lambda name: _with(preset(name), quick))
    return maker


def _with(one: Any, options: dict[str, Any]) -> Any:
    return replace(one, options=options, sha256="")


def test_published_values_stand_beside_ours_with_their_place_in_our_interval(ours: Any) -> None:
    summary = benchmark("emobox-emodb", ours.space, audio="toy", runs=2, jobs=1)
    record = Result.find(summary["experiment"], ours.space.results).record
    own = preset("emobox-emodb")
    section = benchmark_section("emobox-emodb", own, record)
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    assert table.rows[0][1] == "toy"
    record.stamps = ["said"]
    section = benchmark_section("emobox-emodb", own, record)
    assert [b.lines for b in section.blocks if isinstance(b, Notice) and b.heading.startswith("Stamps")] == [record.stamps]
    mean, (low, high) = summary["test"]["UA"]["mean"], summary["pooled"]["UA"]["ci_95_speakers"]
    for row in table.rows[1:]:
        value = own.published[row[1]]
        assert row[5] == f"{mean - value:+.3f}"
        assert row[6] == ("yes" if low <= value <= high else "above" if value > high else "below")
    assert "The benchmark has 535 utterances, this result 96" in str(section.blocks[-1])
    row = leaderboard("emobox-emodb", own, record)
    assert row["UA"] == round(100 * mean, 2)
    assert (row["model"], row["runs"]) == ("toy", 2)
    assert (row["utterances"], row["same_test"], row["stamps"]) == (96, False, ["said"])


def test_what_is_missing_is_named_with_its_command(maker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="there is no table of iemocap: ser metadata --dataset iemocap --root DIR"):
        benchmark("superb-er", maker.space)
    maker.table("emodb", corpus="emodb")
    workspace = ["--workspace", str(maker.space.root)]
    assert main(["benchmark", "emobox-emodb", "--dry-run", *workspace]) == 3
    assert "would run: ser fit --dataset emodb" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="the table emodb is of emodb; --dataset names one of ravdess"):
        benchmark("emobox-ravdess", maker.space, dataset="emodb")
    maker.store("emodb", "toy")
    assert main(["benchmark", "emobox-emodb", "--audio", "toy", "--dry-run", *workspace]) == 3
    assert "protocol emobox does not fit: it needs published folds, which lie in " in capsys.readouterr().out
    assert main(["benchmark", "nothing", *workspace]) == 2
    assert "unknown benchmark 'nothing'" in capsys.readouterr().err


def test_the_command_lists_runs_and_writes(ours: Any, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = ["--workspace", str(ours.space.root)]
    assert main(["benchmark", "list", *workspace]) == 0
    assert "superb-er" in capsys.readouterr().out
    run = ["benchmark", "emobox-emodb", "--audio", "toy", "--runs", "1", "--jobs", "1", "--quiet", *workspace]
    assert main(run) == 0
    assert "hubert-base" in capsys.readouterr().out
    assert main([*run, "--format", "md"]) == 0
    (file,) = Path(ours.space.results).glob("*.emobox-emodb.md")
    assert "hubert-base" in file.read_text(encoding="utf-8")
    (record,) = Path(ours.space.results).glob("*.json")
    assert read_object(record, "summary")["command"].startswith("ser benchmark emobox-emodb")


def test_folds_by_speakers_test_every_actor_once_and_validate_on_the_next_group() -> None:
    speakers = [str(actor) for actor in range(1001, 1092)]
    lines = list(CREMAD(pd.DataFrame({"utterance_id": [f"{s}_a" for s in speakers], "speaker": speakers})))
    parts = {(fold, part): {u[:4] for f, u, p in lines if (f, p) == (fold, part)} for fold, _, part in lines}
    tests = [parts[str(k), "test"] for k in range(1, 6)]
    assert [len(test) for test in tests] == [18, 18, 18, 18, 19]
    assert set().union(*tests) == set(speakers)
    for k, test in enumerate(tests):
        assert parts[str(k + 1), "validation"] == tests[(k + 1) % 5] != test


def test_a_benchmark_with_folds_of_its_own_writes_them_and_takes_them(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.read_csv(ours.space.table("emodb"), dtype=str, keep_default_na=False)
    first, second = sorted(set(frame["speaker"]))[:2]
    own = replace(
        preset("emobox-emodb"),
        options={**preset("emobox-emodb").options, "protocol": "file", "epochs": 2},
        folds=by("speaker", [((first,), (second,))]),
        sha256="",
    )
    monkeypatch.setattr("ser.train.experiments.benchmark.preset", lambda name: own)
    summary = benchmark("emobox-emodb", ours.space, audio="toy", runs=1, jobs=1)
    assert summary["data"]["protocol"] == "file"
    written = pd.read_csv(ours.space.folds("emodb.emobox-emodb"), dtype=str)
    tested = set(written.loc[written["part"] == "test", "utterance_id"])
    assert tested == set(frame.loc[frame["speaker"] == first, "utterance_id"])


def test_maeb_draws_parts_and_shots_as_its_code_does() -> None:
    emotions = np.random.default_rng(3).choice(["anger", "fear", "calm"], 103)
    frame = pd.DataFrame({"utterance_id": [f"u{k:03}" for k in range(103)], "emotion": emotions})
    unlabelled = pd.DataFrame({"utterance_id": ["a"], "emotion": [""]})
    shown = pd.concat([frame, unlabelled]).sample(frac=1, random_state=0)  # whatever order the table has
    found: dict[tuple[str, str], set[str]] = {}
    for fold, utterance, part in few_shots(8)(shown):
        found.setdefault((fold, part), set()).add(utterance)
    ids, order = frame["utterance_id"].to_numpy(), None
    for number, (train, test) in enumerate(KFold(5, shuffle=True, random_state=42).split(ids), start=1):
        order = list(range(len(train))) if order is None else order
        np.random.RandomState(42).shuffle(order)
        taken = {e: [i for i in order if emotions[train[i]] == e][:8] for e in ("anger", "fear", "calm")}
        assert found[str(number), "test"] == set(ids[test])
        assert found[str(number), "train"] == {ids[train[i]] for own in taken.values() for i in own}
        assert len(found[str(number), "unused"]) == 103 - len(test) - 24


def test_maeb_is_a_logistic_regression_on_the_shots_alone(maker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    maker.table("ravdess", speakers=6, corpus="ravdess")
    maker.store("ravdess", "toy")
    workspace = ["--workspace", str(maker.space.root)]
    assert main(["benchmark", "maeb-ravdess", "--audio", "toy", "--jobs", "1", "--quiet", *workspace]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Protocol: repository embeddings-benchmark/mteb" in shown
    assert "No published value" in shown
    (record,) = maker.space.results.glob("*.json")
    frame = pd.read_csv(maker.space.table("ravdess"), dtype=str).set_index("utterance_id")["emotion"]
    accuracies = []
    with FeatureStore(maker.space.store("ravdess", "toy")) as store:
        for _, fold in pd.read_csv(maker.space.folds("ravdess.maeb-ravdess"), dtype=str).groupby("fold"):
            train, test = (list(fold.loc[fold["part"] == part, "utterance_id"]) for part in ("train", "test"))
            assert set(frame[train].value_counts()) == {8}
            plain = LogisticRegression(max_iter=100).fit(store.read(train), frame[train])
            accuracies.append(plain.score(store.read(test), frame[test]))
    assert read_object(record, "summary")["test"]["WA"]["mean"] == pytest.approx(np.mean(accuracies))


IDS = pd.DataFrame({"utterance_id": ["a_1", "a_2", "b_1", "b_2"]})


def _folds(*tests: list[int]) -> list[Fold]:
    return [leave_out(str(k), np.isin(np.arange(4), test)) for k, test in enumerate(tests)]


def test_the_hash_of_test_parts_is_blind_to_order_names_and_emobox_ids() -> None:
    one = parts_sha256(IDS, _folds([0, 1], [2, 3]), "x")
    assert one == parts_sha256(IDS, _folds([2, 3], [0, 1]), "x")
    assert one == parts_sha256(IDS.assign(utterance_id=["x-a-1", "x-a-2", "x-b-1", "x-b-2"]), _folds([0, 1], [2, 3]), "x")
    assert one != parts_sha256(IDS, _folds([0, 2], [1, 3]), "x")
    assert one == "d691fb9ab80fa5fea80ae38269dfba5c7cccf439372b3457ec69bba65c63b8b5"  # of "a-1 a-2\nb-1 b-2"


@pytest.mark.parametrize(("corpus", "name"), [("ravdess", "emobox-ravdess"), ("cremad", "emosuperb-cremad")])
def test_the_pinned_hash_is_that_of_the_real_corpus(corpus: str, name: str, real: Path) -> None:
    folder = {"ravdess": "ravdess", "cremad": "cremad_metadata"}[corpus]
    frame = parse_corpus(corpus, real / folder).frame
    own = preset(name)
    assert own.utterances == len(frame)
    if own.folds is not None:
        tested = [(fold, utterance) for fold, utterance, part in own.folds(frame) if part == "test"]
    else:
        lines = csv.DictReader(io.StringIO((real / "ravdess_emobox_folds.csv").read_text()))
        tested = [(line["fold"], line["utterance_id"]) for line in lines]
    of = pd.DataFrame(tested, columns=["fold", "utterance_id"])
    folds = [leave_out(fold, (of["fold"] == fold).to_numpy()) for fold in sorted(set(of["fold"]))]
    assert parts_sha256(of, folds, corpus) == own.sha256


def test_the_whole_corpus_in_other_folds_is_refused(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    of = replace(_with(preset("emobox-emodb"), {**preset("emobox-emodb").options, "protocol": "speaker"}), sha256="0" * 64)
    monkeypatch.setattr("ser.train.experiments.benchmark.preset", lambda name: replace(of, utterances=96))
    with pytest.raises(ConfigError, match="the test parts of emodb are not those of the benchmark"):
        benchmark("emobox-emodb", ours.space, audio="toy", runs=1, jobs=1)


def test_a_table_that_emobox_has_the_corpus_of_is_accepted(maker: Any) -> None:
    maker.table("mine", speakers=4, corpus="emobox")
    maker.store("mine", "toy")
    sidecar = maker.space.table("mine").with_suffix(".json")
    facts = {**json.loads(sidecar.read_text()), "source_corpus": "emodb"}
    sidecar.write_text(json.dumps(facts))
    with pytest.raises(ConfigError, match=r"data/emodb/emodb\.jsonl --format emobox"):  # of the corpus, without folds
        benchmark("emobox-emodb", maker.space, dataset="mine", audio="toy")
    with pytest.raises(ConfigError, match="the table mine is of emodb; --dataset names one of ravdess"):
        benchmark("emobox-ravdess", maker.space, dataset="mine")


def test_votes_of_other_people_than_the_benchmarks_are_refused(maker: Any) -> None:
    maker.table("cremad", corpus="cremad", votes_of="face")
    with pytest.raises(ConfigError, match="the table cremad has the votes of face; expected those of voice"):
        benchmark("emosuperb-cremad", maker.space)


def test_finished_results_are_exported_as_a_leaderboard_has_them(
    ours: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = ["--workspace", str(ours.space.root)]
    export = ["benchmark", "export", "emobox-emodb", *workspace]
    assert main(export) == 2
    assert "there is no finished result of benchmark emobox-emodb" in capsys.readouterr().err
    ours.store("emodb", "other")
    for store in ("toy", "other"):
        benchmark("emobox-emodb", ours.space, audio=store, runs=1, jobs=1)
    assert main([*export, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["model"] for row in rows} == {"toy", "other"}
    assert rows[0]["UA"] >= rows[1]["UA"]  # the benchmark's metric
    assert main([*export, "--format", "csv"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(line["rank"], line["utterances"]) for line in lines] == [("", "96")] * 2  # the benchmark has 535
    small = replace(preset("emobox-emodb"), utterances=96)
    monkeypatch.setattr("ser.results.benchmarks.preset", lambda name: small)
    assert main([*export, "--format", "csv"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [line["rank"] for line in lines] == ["1", "2"]
    assert [line["UA"] for line in lines] == [f"{row['UA']:.2f}" for row in rows]
    assert [line["F1"] for line in lines] == [f"{row['Macro_F1']:.2f}" for row in rows]
    assert main([*export, "--format", "md"]) == 0
    assert capsys.readouterr().out.startswith("| rank | benchmark | model | UA | WA | F1 | head | runs | utterances | record |")
    for wrong in (
        ["benchmark", "export"],
        ["benchmark", "emobox-emodb", "superb-er"],
        ["benchmark", "list", "--format", "csv"],
    ):
        assert main([*wrong, *workspace]) == 2


def test_a_benchmark_in_parts_is_that_of_one_process(ours: Any, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["benchmark", "emobox-emodb", "--audio", "toy", "--runs", "2", "--jobs", "1", "--workspace", str(ours.space.root)]
    for number in range(2):
        assert main([*words, "--shard", f"{number}/2"]) == 0
        assert f"part {number}/2 is recorded" in capsys.readouterr().out
        assert not [*ours.space.results.glob("*.json")]
    records = {path: path.read_bytes() for path in ours.space.results.rglob("run-*.json")}
    assert len(records) == 6
    assert main([*words, "--device", "cpu"]) == 0
    assert {path: path.read_bytes() for path in ours.space.results.rglob("run-*.json")} == records
