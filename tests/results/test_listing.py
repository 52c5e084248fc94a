"""The list of results: every record and study, filtered and sorted, and an index that is never believed over the files."""

import csv
import io
import json
import os
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner

from ser.cli import cli, main
from ser.errors import ConfigError
from ser.results import headlines, listing
from ser.results.listing import INDEX, list_csv, list_results, list_table, ordered, select, why_none
from ser.results.records.names import METRICS
from ser.results.studies import ablation, studies

Write = Callable[..., tuple[Path, dict[str, Any]]]


def metric(mean: float) -> dict[str, Any]:
    return {"mean": mean, "std": 0.0, "ci_95": [mean, mean], "n": 3, "values": [mean] * 3}


MEAN = {m: metric(0.25 * k) for k, m in enumerate(METRICS, 1)}
OTHER = {m: metric(0.1) for m in METRICS}
SPACE = {"classes": ["x", "y"], "corpora": []}


def study(schema: str, **body: Any) -> dict[str, Any]:
    data = {"source": "a", "target": "b", "scheme": "4", "protocol": "speaker", "stores": {"toy.frame": {}}}
    return {
        "schema": schema,
        "experiment": schema.split("/")[0].removeprefix("ser."),
        "command": f"ser {schema.split('/')[0].removeprefix('ser.')} --runs 3",
        "config": {"head": "mlp"},
        "config_hash": "0" * 12,
        "data": {**data, "label_space": SPACE},
        "stamps": ["cross-language"],
        "environment": {"python": "3", "ser": "0", "packages": {}, "device": "cpu"},
        "time": {"started": "2026-02-02T00:00:00+00:00", "seconds": 1.0},
        "notes": [],
        **body,
    }


def part(name: str, pooled: dict[str, Any], **facts: Any) -> dict[str, Any]:
    scores = {"validation": None, "test": pooled, "pooled": pooled}
    return {"name": name, "experiment": name, "record": f"{name}.json", **scores, **facts}


def cell(source: str, target: str) -> dict[str, Any]:
    own = {k: v for k, v in part(source, OTHER).items() if k not in ("name", "test")}
    facts = {"within": source == target, "cross_language": None, "utterances": 1, "fold": None, "suspects": []}
    return {"source": source, "target": target, **facts, **own}


def curve(name: str) -> dict[str, Any]:
    points = [{"amount": a, "n_samples": 1, "test": m, "pooled": m} for a, m in (("20%", MEAN), ("10%", OTHER))]
    return {"name": name, "experiment": name, "record": f"{name}.json", "curve": points}


KINDS = {"modalities": ["audio"], "stores": ["toy"], "head": "mlp"}
STUDIES = {
    "ablation": study(
        "ser.ablation/1", full="full", variants=[part("audio", OTHER, **KINDS), part("full", MEAN, **KINDS)], comparisons=[]
    ),
    "layers": study(
        "ser.layers/1",
        over="layers",
        positions=[
            part("layer 0", OTHER, layer=0) | {"validation": OTHER},
            part("layer 1", MEAN, layer=1) | {"validation": MEAN},
        ],
        chosen_by="validation UA",
        chosen="layer 1",
        comparisons=[],
    ),
    "search": study(
        "ser.search/1",
        chosen_by="validation UA",
        tried=1,
        failed=0,
        settings=[{"setting": {}, "experiment": "x", "record": "x.json", "validation": OTHER, "error": None}],
        chosen={k: v for k, v in part("x", MEAN, setting={}).items() if k != "name"} | {"validation": MEAN},
    ),
    "transfer": study(
        "ser.transfer/1",
        task="adapt",
        variants=[
            part("source only", OTHER, method="none", stamps=[]),
            part("dann 1", MEAN, method="dann", stamps=[]),
            part("target only", OTHER, method="oracle", stamps=[]),
        ],
        comparisons=[],
        suspects=[],
    ),
    "matrix": study(
        "ser.matrix/1",
        datasets=["a", "b"],
        cells=[cell(s, t) for s in "ab" for t in "ab"],
        sources={"a": MEAN, "b": MEAN},
        targets={"a": MEAN, "b": MEAN},
    ),
    "fewshot": study(
        "ser.fewshot/1",
        reference="finetune",
        methods=[curve("finetune"), curve("linear")],
        source=None,
        comparisons=[],
        saved_labels=[],
    ),
}


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all files had been there for long."""
    monkeypatch.setattr(listing, "SETTLED", -(10**20))


@pytest.fixture
def folder(tmp_path: Path, write_experiment: Write) -> Path:
    place = tmp_path / "results"
    write_experiment(place, "first")
    write_experiment(place, "second", data={"dataset": "ravdess", "stores": {"wavlm.frame": {}}}, stamps=[])
    write_experiment(place, "third", command="ser adapt --runs 2", started="2026-03-04T05:06:07+00:00")
    return place


def test_studies_are_listed_with_what_their_scores_are_of(tmp_path: Path) -> None:
    assert {content["schema"] for content in STUDIES.values()} == set(studies()), "give each kind of study a record in STUDIES"
    for name, content in STUDIES.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    lines, damaged = list_results(tmp_path)
    assert damaged == []
    found = {line.experiment: line for line in lines}
    assert {name: line.at for name, line in found.items()} == {
        "ablation": "full",
        "layers": "layer 1",
        "search": "chosen",
        "transfer": "dann 1",
        "matrix": "across corpora",
        "fewshot": "finetune, 20%",
    }
    for line in lines:
        assert line.scores == {m: pytest.approx(0.25 * k) for k, m in enumerate(METRICS, 1)}
        chosen_by = line.scores if "chosen" in STUDIES[line.experiment] else {}
        assert line.validation == chosen_by  # of the others there are none here
        assert (line.kind, line.runs, line.dataset, line.head) == ("study", 3, "a -> b", "mlp")
        assert (line.features, line.stamps) == ("toy.frame", 1)


def test_the_list_sorts_by_validation_and_shows_it(folder: Path, write_experiment: Write) -> None:
    path, content = write_experiment(folder, "fourth")
    for metric in content["validation"].values():
        metric["mean"] = 0.999
    path.write_text(json.dumps(content))
    (folder / "matrix.json").write_text(json.dumps(STUDIES["matrix"]))
    lines = listing.ordered(list_results(folder)[0], "validation")
    assert [line.experiment for line in (lines[0], lines[-1])] == ["matrix", "fourth"]
    facts = lines[-1].facts()
    assert (facts["validation_UA"], facts["UA"]) == (0.999, content["pooled"]["UA"]["mean"])
    table = list_table(lines)
    column = table.head.index("validation")
    assert [table.rows[k][column] for k in (0, -1)] == ["-", "0.999"]
    names, *rows = csv.reader(list_csv(lines).splitlines())
    assert rows[-1][names.index("validation_WA")] == "0.999"


def test_of_several_methods_the_baseline_is_shown(tmp_path: Path) -> None:
    content = json.loads(json.dumps(STUDIES["transfer"]))
    content["variants"].append(part("mmd 1", MEAN, method="mmd", stamps=[]))
    (tmp_path / "x.json").write_text(json.dumps(content))
    assert list_results(tmp_path)[0][0].at == "source only"
    content["variants"][-1]["chosen"] = True
    (tmp_path / "x.json").write_text(json.dumps(content))
    assert list_results(tmp_path)[0][0].at == "mmd 1"


@pytest.mark.usefixtures("settled")
def test_the_index_gives_the_same_lines_without_reading_a_record(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cold = list_results(folder)
    assert (folder / INDEX).exists()
    monkeypatch.setattr(listing, "read_headline", None)
    assert list_results(folder) == cold
    assert [line.experiment for line in cold[0]] == ["first", "second", "third"]


@pytest.mark.usefixtures("settled")
def test_a_study_is_listed_once_its_part_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mine.json").write_text(json.dumps({**STUDIES["ablation"], "schema": "mine/1"}))
    assert len(list_results(folder)[0]) == 3

    class Mine(ablation.Study, kw_only=True):
        schema: Literal["mine/1"] = "mine/1"

    monkeypatch.setattr(headlines, "studies", lambda: {"mine/1": Mine})
    assert "ablation" in [line.experiment for line in list_results(folder)[0]]


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("how", ["in place", "renamed", "old times"])
def test_a_changed_record_is_never_shown_as_it_was(folder: Path, how: str) -> None:
    list_results(folder)
    path = folder / "second.json"
    before = path.stat()
    content = json.loads(path.read_text())
    old = content["pooled"]["UA"]["mean"]
    text = path.read_text().replace(repr(old), repr(old)[:-1] + str((int(repr(old)[-1]) + 1) % 10))
    assert len(text) == before.st_size  # nothing but the content tells
    if how == "renamed":
        (folder / "new").write_text(text)
        os.utime(folder / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
        (folder / "new").replace(path)
    else:
        path.write_text(text)
        if how == "old times":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    new = next(line for line in list_results(folder)[0] if line.experiment == "second").scores["UA"]
    assert new == json.loads(text)["pooled"]["UA"]["mean"] != old


def test_what_has_just_changed_is_not_kept(folder: Path) -> None:
    for path in folder.glob("*.json"):
        os.utime(path)
    list_results(folder)
    assert json.loads((folder / INDEX).read_text())["files"] == {}


@pytest.mark.usefixtures("settled")
def test_gone_and_damaged_files(folder: Path) -> None:
    list_results(folder)
    (folder / "first.json").unlink()
    (folder / "third.json").write_text('{"schema": "ser.summary/1"')
    (folder / "notes.json").write_text('{"no": "schema"}')
    for _ in range(2):
        lines, damaged = list_results(folder)
        assert [line.experiment for line in lines] == ["second"]
        assert len(damaged) == 1
        assert "third.json is not JSON" in damaged[0]
    assert set(json.loads((folder / INDEX).read_text())["files"]) == {"second.json", "notes.json"}


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"code": "another", "files": {"first.json": [[1], null]}}'])
def test_a_damaged_or_older_index_is_made_again(folder: Path, content: str) -> None:
    (folder / INDEX).write_text(content)
    assert len(list_results(folder)[0]) == 3
    assert len(json.loads((folder / INDEX).read_text())["files"]) == 3


@pytest.mark.usefixtures("settled")
def test_a_folder_that_may_only_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def refused(path: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(path))
        yield

    monkeypatch.setattr(listing, "writing", refused)
    assert len(list_results(folder)[0]) == 3
    assert not (folder / INDEX).exists()


def test_no_folder_is_an_empty_list(tmp_path: Path) -> None:
    assert list_results(tmp_path / "results") == ([], [])


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"dataset": "ravdess"}, ["second"]),
        ({"head": "mlp"}, ["first", "second", "third"]),
        ({"head": "linear"}, []),
        ({"command": "adapt"}, ["third"]),
        ({"protocol": "speaker", "scheme": "4"}, ["first", "second", "third"]),
        ({"protocol": "session"}, []),
        ({"features": "wavlm"}, ["second"]),
        ({"features": "wavlm.frame"}, ["second"]),
        ({"since": "2026-03-04"}, ["third"]),
        ({"since": "2026-03-04T05:06:08"}, []),
        ({"stamps": True}, ["first", "third"]),
        ({"stamps": False}, ["second"]),
        ({"kind": "study"}, []),
        ({"kind": "experiment", "dataset": None}, ["first", "second", "third"]),
    ],
)
def test_filters(folder: Path, asked: dict[str, Any], names: list[str]) -> None:
    assert [line.experiment for line in select(list_results(folder)[0], **asked)] == names


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"features": "hubert"}, "none has the features 'hubert'; there are "),
        ({"kind": "study"}, "none has the kind 'study'; there are experiment."),
        ({"command": "fi"}, "none has the command 'fi'; there are adapt, fit. Did you mean 'fit'?"),
        ({"since": "2027-01-01"}, "the newest is of 2026-03-04 05:06 (UTC)."),
        ({"dataset": "ravdess", "stamps": True}, "none has the dataset ravdess and stamps."),
    ],
)
def test_where_nothing_is_found_the_list_says_what_there_is(folder: Path, asked: dict[str, Any], why: str) -> None:
    lines = list_results(folder)[0]
    assert select(lines, **asked) == []
    assert why_none(lines, **asked).startswith(why)


def test_the_best_and_the_newest_are_last(tmp_path: Path, write_experiment: Write, simulate: Callable[..., Any]) -> None:
    for k, skill in enumerate((2.0, 0.2, 1.0)):
        write_experiment(tmp_path, f"e{k}", frame=simulate(skill=skill), started=f"2026-01-0{k + 1}T00:00:00+00:00")
    lines = list_results(tmp_path)[0]
    assert [line.experiment for line in ordered(lines, "UA")] == ["e1", "e2", "e0"]
    assert [line.experiment for line in ordered(lines, "WF1", 1)] == ["e0"]
    assert [line.experiment for line in ordered(lines, limit=2)] == ["e1", "e2"]
    assert len(ordered(lines, limit=9)) == 3


def test_the_command(folder: Path) -> None:
    space = ["--workspace", str(folder.parent)]
    found = CliRunner().invoke(cli, ["results", "list", "--json", "--sort", "UA", *space])
    rows = json.loads(found.stdout)
    assert [set(row) >= {"experiment", "path", "UA", "kind"} for row in rows] == [True] * 3
    assert rows[0]["path"] == f"{rows[0]['experiment']}.json"
    found = CliRunner().invoke(cli, ["results", "list", "--csv", "--dataset", "ravdess", *space])
    assert [row["experiment"] for row in csv.DictReader(io.StringIO(found.stdout))] == ["second"]
    found = CliRunner().invoke(cli, ["results", "list", "--no-stamps", "--since", "2026-01-01", *space])
    assert [line.split()[0] for line in found.stdout.splitlines()[::2]] == ["experiment", "second"]
    found = CliRunner().invoke(cli, ["results", "list", "--head", "linear", *space])
    assert found.stdout == ""
    assert found.stderr == f"No such results in {folder}: none has the head 'linear'; there are mlp.\n"
    found = CliRunner().invoke(cli, ["results", "list", "--json", "--dataset", "ravdes", *space])
    assert (found.stdout, found.exit_code) == ("[]\n", 0)
    assert "none has the dataset 'ravdes'; there are emodb, ravdess. Did you mean 'ravdess'?" in found.stderr
    assert main(["results", "list", "--since", "yesterday", *space]) == 2
    assert main(["results", "list", "--sort", "beauty", *space]) == 2


def test_the_layout_of_a_file_does_not_matter(folder: Path, tmp_path: Path) -> None:
    written = sorted(folder.glob("*.json"))
    for path in written:
        line = headlines.read_headline(path)
        other = tmp_path / "otherwise" / path.name
        other.parent.mkdir(exist_ok=True)
        other.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
        again = headlines.read_headline(other)
        assert line is not None
        assert again is not None
        assert line.facts() == again.facts()
    cut = written[0].read_bytes()[:-200]
    written[0].write_bytes(cut)
    with pytest.raises(ConfigError, match="damaged or cut short"):
        headlines.read_headline(written[0])
