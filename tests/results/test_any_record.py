"""Records and configurations of anybody: each command that reads one ends in a result or in one line, soon.

`SER_FUZZ_EXAMPLES=20000 pytest tests/results/test_any_record.py` tries more of them.
"""

import copy
import gzip
import json
import os
import resource
import shutil
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ser.cli import main
from ser.errors import SerError
from ser.metadata.labels import load_scheme
from ser.results.listing import INDEX

Write = Callable[..., tuple[Path, dict[str, Any]]]
BEFORE = [
    json.loads(line)
    for line in gzip.decompress(
        Path(__file__).with_name("records").joinpath("records_before.jsonl.gz").read_bytes()
    ).splitlines()
]
PNG = b"\x89PNG\r\n\x1a\n"
SECONDS, MEGABYTES = 10, 300  # of one command on one record
EXAMPLES = int(os.environ.get("SER_FUZZ_EXAMPLES", "40"))
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
EXPLANATIONS = {
    "schema": "ser.explanations/1",
    "experiment": "fit-one",
    "dataset": "emodb",
    "heads": [{"file": "h.safetensors", "run": 0, "fold": "1", "utterances": 3}],
    "layers": {"wavlm": {"layers": [0, 1], "mean": [0.4, 0.6], "std": [0.1, 0.1], "values": [[0.4, 0.6]]}},
    "modalities": {
        "players": ["audio", "text"],
        "draws": 3,
        "UA_without_any": 0.25,
        "UA_with_only": {"audio": 0.5},
        "shapley_of_UA": {"audio": {"mean": 0.2, "std": None, "values": [0.2]}},
        "shapley_of_true_class": {"audio": {"anger": 0.1}},
    },
    "examples": [
        {
            "utterance_id": "u",
            "true": "anger",
            "predicted": "sadness",
            "probability": 0.5,
            "head": "h.safetensors",
            "arrays": "u.npz",
            "pictures": ["u.activation.png"],
            "attention": [{"layer": "a", "queries": ["q"], "keys": ["k"]}],
        }
    ],
}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -1, 2**31, 2**64, 10**400, 0.5, 1e308, -1e308, 5e-324])
    | st.text(st.characters(), max_size=6)
    | st.sampled_from(["", "/etc/passwd", "../x.csv", "a/../../b", "x\0y", "one.csv", "100%", "1 shot", "-", "é" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
STEPS = st.lists(st.tuples(st.sampled_from(["value", "delete", "key", "swap", "deep"]), st.randoms(), VALUES), max_size=3)
SHOW = [["show", "NAME"], ["show", "NAME", "--format", "json"], ["show", "NAME", "--format", "csv"]]
READS = [*SHOW, ["verify", "NAME"], ["verify", "--all"], ["list"], ["list", "--json"], ["compare", "NAME", "one"]]
REPORTS = [["report", "NAME", "--format", form] for form in ("csv", "md", "latex", "html", "docx")]
REPORTS += [["plot", "NAME", "--kind", "all"]]


@pytest.fixture(scope="module")
def seeds(write_experiment: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with records that have their runs beside them, and one of each other kind in `seeds.jsonl`."""
    space = tmp_path_factory.mktemp("seeds")
    results = space / "results"
    summary = write_experiment(results, "one")[1]
    write_experiment(results, "two")
    run = json.loads((results / "one" / "run-000.fold-01.json").read_text())
    assert main(["results", "compare", "one", "two", "--workspace", str(space), "--output", f"{space}/c.json"]) == 0
    comparison = json.loads((space / "c.json").read_text())
    lines = [summary, run, comparison, EXPLANATIONS, *BEFORE]
    (space / "seeds.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (results / "looks").mkdir()
    (results / "looks" / "explanations.json").write_text(json.dumps(EXPLANATIONS))
    (results / "looks" / "u.activation.png").write_bytes(PNG)
    return space


def mutate(record: Any, steps: list[tuple[str, Random, Any]]) -> Any:
    """A copy with some values and keys replaced, deleted, exchanged or nested deeply."""
    record = copy.deepcopy(record)
    for kind, random, value in steps:
        at = record
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = random.choice(keys)
            if isinstance(at[key], (dict, list)) and at[key] and random.random() < 0.75:
                at = at[key]
                continue
            if kind == "delete":
                del at[key]
            elif kind == "key" and isinstance(at, dict):
                at[str(value)[:20]] = at.pop(key)
            elif kind == "swap":
                other = random.choice(keys)
                at[key], at[other] = at[other], at[key]
            elif kind == "deep":
                for _ in range(random.choice([20, 70, 300, 900])):
                    value = [value] if random.random() < 0.5 else {"a": value}
                at[key] = value
            else:
                at[key] = value
            break
    return record


def attempt(arguments: list[str], space: Path) -> str:
    """Run a command; its error if there is one. It ends with a code of its own, in time, within the memory."""
    out, err = StringIO(), StringIO()
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with redirect_stdout(out), redirect_stderr(err):
        code = main([*arguments, "--workspace", str(space)])
    assert code in (0, 1, 2, 3)
    lines = [line for line in err.getvalue().split("\n") if line.startswith("ser: ")]
    assert (code == 1) <= len(lines) <= (code in (1, 2))  # wrong usage that click finds has lines of its own
    assert "Traceback" not in err.getvalue()
    assert "root:" not in out.getvalue() + err.getvalue()  # of /etc/passwd
    assert time.process_time() - begin < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024
    return lines[0] if lines else ""


def place(seeds: Path, space: Path, number: int, steps: list[tuple[str, Random, Any]], cut: int, flips: Any) -> str:
    """A mutated record in a workspace, where its kind lies; the name of the result that shows it."""
    shutil.copytree(seeds, space, dirs_exist_ok=True)
    lines = (space / "seeds.jsonl").read_text().split("\n")
    record = json.loads(lines[number % len(lines)])
    content = bytearray(json.dumps(mutate(record, steps), ensure_ascii=bool(cut % 2), indent=2).encode(errors="replace"))
    content += b"\n"
    for at, value in flips:
        content[at % len(content)] = value
    results = space / "results"
    path = {
        "ser.run/1": results / "one" / "run-000.fold-01.json",
        "ser.explanations/1": results / "looks" / "explanations.json",
    }.get(record["schema"], results / "x.json")
    if record.get("experiment") == "one" and path.name == "x.json":
        path = results / "one.json"
    path.write_bytes(content[: len(content) - max(0, cut - 150)])
    (results / INDEX).unlink(missing_ok=True)
    if record["schema"] == "ser.explanations/1":
        evaluation = next(r for r in BEFORE if r["schema"] == "ser.evaluation/1")
        (results / "x.json").write_text(json.dumps({**evaluation, "explanations": "looks/explanations.json"}))
    return path.stem if path.parent == results else "one" if record["schema"] == "ser.run/1" else "x"


@fuzzed
@given(
    number=st.integers(0),
    steps=STEPS,
    cut=st.integers(0, 200),
    flips=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=2),
    command=st.sampled_from(READS) | st.sampled_from(REPORTS),
)
def test_any_record_ends_in_a_result_or_one_error(
    number: int, steps: Any, cut: int, flips: Any, command: list[str], seeds: Path, tmp_path: Path
) -> None:
    space = tmp_path / "space"
    shutil.rmtree(space, ignore_errors=True)
    name = place(seeds, space, number, steps, cut, flips)
    attempt(["results", *(name if word == "NAME" else word for word in command)], space)


KEYS = st.sampled_from(["results", "list", "show", "sort", "limit", "format", "fit", "quiet", "workspace", "a", "", "no"])
_SIGNS = r"""a : - [ ] { } &x *x !! ! | > ' " # ? % --- << ~ no 1e9 .inf !!int"""
SIGNS = st.sampled_from([*_SIGNS.split(), "\n", "  ", ": "])
CONFIGURED = st.recursive(
    VALUES, lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(inner, max_size=2), max_leaves=6
)
YAMLS = (
    CONFIGURED.map(lambda v: json.dumps(v, ensure_ascii=False))
    | st.dictionaries(KEYS, CONFIGURED, max_size=2).map(lambda v: json.dumps({"results": v}))
    | st.dictionaries(KEYS, CONFIGURED, max_size=3).map(lambda v: json.dumps({"results": {"list": v}}))
    | st.lists(SIGNS, max_size=30).map("".join)
    | st.text(max_size=60)
)


@fuzzed
@given(text=YAMLS, command=st.sampled_from([*SHOW, ["verify", "NAME"], ["list"], ["report", "NAME"]]))
def test_any_configuration_ends_in_a_result_or_one_error(text: str, command: list[str], seeds: Path, tmp_path: Path) -> None:
    shutil.copytree(seeds, tmp_path, dirs_exist_ok=True)
    (tmp_path / "ser.yaml").write_bytes(text.encode(errors="surrogatepass"))
    format_only = ["--format", "csv"] if command[0] == "report" else []
    attempt(["results", *("one" if word == "NAME" else word for word in command), *format_only], tmp_path)


SCHEMES = (
    st.dictionaries(st.sampled_from(["anger", "sadness", "a", "no", ""]), VALUES, max_size=4).map(json.dumps)
    | st.dictionaries(
        st.text(max_size=5), st.lists(st.sampled_from(["anger", "sad", "happiness", "x", ""]), max_size=3), max_size=4
    ).map(json.dumps)
    | YAMLS
)


@fuzzed
@given(text=SCHEMES, ending=st.sampled_from([".yaml", ".json", ".yml"]))
def test_any_scheme_ends_in_classes_or_one_error(text: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"scheme{ending}"
    path.write_bytes(text.encode(errors="surrogatepass"))
    frame = pd.DataFrame({"label": ["anger", "x", ""], "emotion": ["anger", "other", ""]})
    begin, scheme = time.process_time(), None
    with suppress(SerError):
        scheme = load_scheme(str(path), frame)
    if scheme is not None:
        assert len(scheme.classes) > 1
        assert set(scheme.apply(frame)) <= {*scheme.classes, ""}
    assert time.process_time() - begin < SECONDS
