"""Text for the terminal: numbers of the summary, under the right names."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from ser.cli import cli
from ser.errors import ConfigError
from ser.results.blocks import Table
from ser.results.listing import list_results
from ser.results.records.find import find_summary
from ser.results.records.kinds import read_record
from ser.results.report.compose import text_of
from ser.results.report.formats import terminal
from ser.results.report.score_rows import scores_csv

Write = Callable[..., tuple[Path, dict[str, Any]]]


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory, write_experiment: Write, simulate_fewshot: Callable[..., pd.DataFrame]
) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    folder = root / "results"
    write_experiment(folder, "emodb-mlp", started="2026-01-03T00:00:00+00:00")
    config = {"head": "linear", "scheme": "native", "protocol": "session"}
    changes = {"config": config, "data": {"dataset": "ravdess"}, "started": "2026-01-01T00:00:00+00:00"}
    write_experiment(folder, "ravdess-linear", **changes)
    write_experiment(folder, "ravdess-emodb", frame=simulate_fewshot(), started="2026-01-02T00:00:00+00:00")
    return root


@pytest.fixture
def space(tmp_path: Path, written: Path) -> Path:
    """A workspace of three results, to be changed at will."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    return tmp_path


def ser(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def text(summary: dict[str, Any], file: object = "f.json") -> str:
    return text_of(summary, Path(str(file)))


def _facts(shown: str) -> dict[str, str]:
    """The facts at a glance, whose values may go over several lines."""
    _, _, rest = shown.partition("experiment  ")
    lines = ("experiment  " + rest).split("\n\n")[0].splitlines()
    indent = len(lines[0]) - len(lines[0].removeprefix("experiment").lstrip())
    found: dict[str, str] = {}
    last = ""
    for line in lines:
        name = line[:indent].strip()
        last = name or last
        found[last] = f"{found[last]} {line[indent:]}" if last in found else line[indent:]
    return found


def _rows(output: str) -> list[str]:
    return [line.split()[0] for line in output.splitlines()[2:] if not line.startswith("stamps:")]


def test_list_is_by_date_newest_last(space: Path) -> None:
    result = ser("results", "list", "--workspace", space)
    assert result.exit_code == 0
    assert _rows(result.output) == ["ravdess-linear", "ravdess-emodb", "emodb-mlp"]
    line = result.output.splitlines()[2]
    for word in ("fit", "ravdess", "linear", "native", "session", "3", "pooled", "2026-01-01"):
        assert word in line
    summary = json.loads((space / "results" / "ravdess-linear.json").read_text())
    assert f"{summary['pooled']['UA']['mean']:.3f}" in line
    assert "50%" in result.output.splitlines()[3]


def test_list_has_features_and_a_mark_for_stamps(tmp_path: Path, write_experiment: Write) -> None:
    folder = tmp_path / "results"
    stores: dict[str, Any] = {"stores": {"egemaps": {}, "bert": {}}}
    few: dict[str, Any] = {
        "source": "a",
        "target": "b",
        "datasets": {"b": {"stores": {"mfcc": {}}}, "a": {"stores": {"other": {}}}},
    }
    write_experiment(folder, "one", data={"dataset": "emodb", **stores}, stamps=[])
    write_experiment(folder, "two", data=few, stamps=[])
    listed = ser("results", "list", "--workspace", tmp_path).output
    assert " egemaps+bert " in listed.splitlines()[2]
    assert " mfcc " in listed.splitlines()[3]
    assert "*" not in listed
    assert "see ser results show" not in listed
    write_experiment(folder, "two", data=few, stamps=["x", "y"])
    lines = ser("results", "list", "--workspace", tmp_path).output.splitlines()
    assert not lines[2].endswith("*")
    assert lines[3].endswith(" 2*")
    assert lines[4] == "stamps: see ser results show NAME"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--dataset", "ravdess"], ["ravdess-linear", "ravdess-emodb"]),
        (["--dataset", "emodb"], ["ravdess-emodb", "emodb-mlp"]),
        (["--head", "linear"], ["ravdess-linear"]),
        (["--head", "linear", "--dataset", "emodb"], []),
    ],
)
def test_list_filters(space: Path, options: list[str], expected: list[str]) -> None:
    result = ser("results", "list", "--workspace", space, *options)
    assert result.exit_code == 0
    if expected:
        assert _rows(result.stdout) == expected
    else:
        assert "No such results" in result.stderr


@pytest.mark.parametrize("metric", ["UA", "WA", "wf1", "Macro_F1"])
def test_list_sorts_best_last(space: Path, metric: str) -> None:
    headlines, _ = list_results(space / "results")
    name = next(m for m in headlines[0].scores if m.lower() == metric.lower())
    expected = [h.experiment for h in sorted(headlines, key=lambda h: h.scores[name])]
    assert _rows(ser("results", "list", "--workspace", space, "--sort", metric).output) == expected


def test_damaged_files_are_named_and_the_others_listed(space: Path) -> None:
    (space / "results" / "broken.json").write_text('{"schema": "ser.summary/1", "exper')
    (space / "results" / "half.json").write_text('{"schema": "ser.summary/1", "experiment": "half"}')
    (space / "results" / "mine.json").write_text('{"notes": "not a summary"}')
    result = ser("results", "list", "--workspace", space)
    assert result.exit_code == 3
    assert len(_rows(result.stdout)) == 3
    assert "broken.json" in result.stderr
    assert "half.json" in result.stderr
    assert "mine.json" not in result.stderr


def test_an_empty_workspace_says_so(tmp_path: Path) -> None:
    result = ser("results", "list", "--workspace", tmp_path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No results in" in result.stderr
    with pytest.raises(ConfigError, match="there are no results in"):
        find_summary("x", tmp_path)
    with pytest.raises(ConfigError, match=r"there is no models/x\.onnx; expected a file or a folder that is there"):
        find_summary("models/x.onnx", tmp_path)


def test_names_may_be_shortened(space: Path) -> None:
    folder = space / "results"
    assert find_summary("emo", folder) == folder / "emodb-mlp.json"
    assert find_summary("emodb-mlp", folder) == folder / "emodb-mlp.json"
    assert find_summary(str(folder / "emodb-mlp.json"), Path("elsewhere")) == folder / "emodb-mlp.json"
    with pytest.raises(ConfigError, match="begins 2 results; expected one of ravdess-emodb, ravdess-linear"):
        find_summary("rav", folder)
    with pytest.raises(ConfigError, match=r"unknown result 'emodb-mpl'.*Did you mean emodb-mlp"):
        find_summary("emodb-mpl", folder)


def test_text_has_every_number(space: Path) -> None:
    summary = json.loads((space / "results" / "emodb-mlp.json").read_text())
    shown = text(summary, "FILE.json")
    facts = _facts(shown)
    for part in ("validation", "test", "pooled"):
        for metric in summary[part].values():
            assert f"{metric['mean']:.3f} ± {metric['std']:.3f}" in shown
            assert f"{metric['ci_95'][0]:.3f} to {metric['ci_95'][1]:.3f}" in shown
    for label, row in zip(summary["confusion_matrix"]["labels"], summary["confusion_matrix"]["counts"], strict=True):
        line = next(x for x in shown.splitlines() if x.startswith(label) and len(x.split()) == 6)
        assert line.split()[1:5] == [str(count) for count in row]
        assert line.split()[5] == f"{row[summary['confusion_matrix']['labels'].index(label)] / sum(row):.3f}"
    assert summary["stamps"][0] in shown
    assert facts["runs"].startswith("3 runs of 2 folds")
    assert "72 test utterances per run" in facts["data"]
    assert summary["config_hash"] in facts["configuration"]
    assert facts["command"] == summary["command"]
    assert facts["record"] == "FILE.json"


def test_text_of_fewshot(space: Path) -> None:
    summary = json.loads((space / "results" / "ravdess-emodb.json").read_text())
    lines = text(summary, "f").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("target")) + 1
    while not lines[start].startswith("---"):
        start += 1
    assert [line.split()[0] for line in lines[start + 1 : start + 5]] == ["none", "10%", "20%", "50%"]
    assert f"{summary['source']['zero_shot']['pooled']['UA']['mean']:.3f}" in lines[start + 1]
    assert f"{summary['percentages']['20%']['pooled']['WF1']['mean']:.3f}" in lines[start + 3]
    assert "Scores at 50%" in lines


def test_text_of_one_run_without_validation(
    tmp_path: Path, write_experiment: Write, simulate: Callable[..., pd.DataFrame]
) -> None:
    frame = simulate(runs=1, folds=1, splits=("test",)).assign(speaker="", gender="")
    _, summary = write_experiment(tmp_path, frame=frame)
    shown = text(summary, "f")
    assert "±" not in shown.replace("mean ± std", "")
    assert not any(line.startswith("validation") for line in shown.splitlines())
    assert "1 run of 1 fold" in shown


def test_text_says_what_was_left_out(tmp_path: Path, write_experiment: Write) -> None:
    _, summary = write_experiment(tmp_path)
    assert "left out" not in _facts(text(summary, "f"))
    summary["data"]["dropped"] = {"not in scheme 4: fear": 43, "not in scheme 4: several labels": 1, "no mfcc features": 2}
    expected = "not in scheme 4: 44 (fear 43, several labels 1), no mfcc features: 2"
    assert _facts(text(summary))["left out"] == expected
    datasets = {"a": {"dropped": {"no mfcc features": 1}}, "b": {"dropped": {}}, "c": {"dropped": {"x": 3}}}
    summary["data"] = {"source": "a", "target": "c", "datasets": datasets}
    assert _facts(text(summary))["left out"] == "a: no mfcc features: 1; c: x: 3"


def test_no_interval_over_two_runs(tmp_path: Path, write_experiment: Write, simulate: Callable[..., pd.DataFrame]) -> None:
    _, summary = write_experiment(tmp_path, frame=simulate(runs=2))
    low, high = summary["pooled"]["UA"]["ci_95"]  # the record keeps it
    shown = text(summary, "f")
    assert f"{low:.3f} to {high:.3f}" not in shown
    low, high = summary["pooled"]["UA"]["ci_95_speakers"]
    assert f"{low:.3f} to {high:.3f}" in shown


def test_speakers_with_few_utterances_are_not_compared(tmp_path: Path, write_experiment: Write) -> None:
    _, summary = write_experiment(tmp_path)
    speakers = {"a": {"UA": 0.0, "WA": 0.0, "n": 9}, "b": {"UA": 0.4, "WA": 0.4, "n": 10}}
    summary["groups"]["speaker"] = {**speakers, "c": {"UA": 0.7, "WA": 0.7, "n": 12}}
    expected = "2 speakers: UA from 0.400 (b, n 10) to 0.700 (c, n 12); 1 with fewer than 10 utterances left out."
    assert expected in " ".join(text(summary, "f").split())
    summary["groups"]["speaker"] = speakers
    assert "speakers: UA from" not in text(summary, "f")


def test_show_as_json_and_csv(space: Path) -> None:
    path = space / "results" / "emodb-mlp.json"
    summary = json.loads(path.read_text())
    assert json.loads(ser("results", "show", path, "--format", "json").output) == summary
    rows = list(csv.DictReader(io.StringIO(ser("results", "show", path, "--format", "csv").output)))
    assert len(rows) == 3 * 4
    ua = next(r for r in rows if (r["part"], r["metric"]) == ("pooled", "UA"))
    assert float(ua["mean"]) == summary["pooled"]["UA"]["mean"]
    assert [float(v) for v in ua["values"].split()] == summary["pooled"]["UA"]["values"]
    rows = list(csv.DictReader(io.StringIO(scores_csv(read_record(path.with_name("ravdess-emodb.json"))))))
    assert {r["percentage"] for r in rows} == {"0", "10", "20", "50"}


def test_show_refuses_what_is_no_summary(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    result = ser("results", "show", tmp_path / "x.json")
    assert isinstance(result.exception, ConfigError)


def test_a_table_fits_into_the_width_or_keeps_one_line_per_row() -> None:
    head = ["a name", "another", "a long heading of a number", "n"]
    rows = [["speaker-independent-1", "x y z", "0.612 to 0.655", "1"], ["b", "深い", "-", "22"]]
    wide = terminal.table(Table("", head, rows, left=2), None).splitlines()
    assert (
        wide
        == [
            "a name                 another    a long heading of a number   n",
            "---------------------  ---------  --------------------------  --",
            "speaker-independent-1  x y z                  0.612 to 0.655   1",
            "b                      深い                                -  22",
        ]
        or len(wide) == 4
    )
    narrow = terminal.table(Table("", head, rows, left=2, note="a note " * 9), 48).splitlines()
    assert max(map(len, narrow)) <= 48
    assert " ".join(" ".join(narrow).split()).count("0.612 to 0.655") == 1  # numbers are never broken
    assert "speaker-" in narrow[3]


def test_a_long_closed_table_is_shown_by_its_ends() -> None:
    rows = [[f"s{k:02d}", str(k)] for k in range(40)]
    lines = terminal.table(Table("Speakers", ["speaker", "n"], rows, closed=True), 80).splitlines()
    assert [line.split()[0] for line in lines[3:]] == [
        *(f"s{k:02d}" for k in (*range(8),)),
        "...",
        *(f"s{k}" for k in range(32, 40)),
    ]


def test_notes_are_told(tmp_path: Path, write_experiment: Write) -> None:
    note = "run 1, fold 03: collapsed: every test utterance is predicted anger"
    path, summary = write_experiment(tmp_path, "noted", notes=[note, "run 2, fold 03: another"])
    told = text(summary, path)
    assert f"  - {note}" in told
    assert "run 2, fold 03: another" in told
