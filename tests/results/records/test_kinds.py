"""Kinds of record: what was written before still reads as the same JSON, and the JSON Schemas accept what is read.

`records_before.jsonl.gz` has a record a line of (nearly) every kind, as they were written when the schemas were kept by hand.
"""

import gzip
import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from jsonschema import Draft202012Validator

from ser.cli import main
from ser.errors import ConfigError
from ser.jsonfile import Model, json_schema, plain
from ser.results.records.find import experiments_of
from ser.results.records.kinds import kinds, model_of, read_record, schema_of
from ser.results.records.model import FewshotSummary, Summary
from ser.results.studies import studies

BEFORE = [
    json.loads(line) for line in gzip.decompress(Path(__file__).with_name("records_before.jsonl.gz").read_bytes()).splitlines()
]


@pytest.mark.parametrize("record", BEFORE, ids=lambda r: f"{r['schema']}-{r.get('experiment', r.get('dataset'))}")
def test_a_record_of_before_is_read_as_the_same_json(tmp_path: Path, record: dict[str, Any]) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    found = read_record(path)
    assert plain(found) == record
    if record["schema"] not in ("ser.run/1", "ser.search/1"):  # of these, keys have another place than before
        assert json.dumps(plain(found)) == json.dumps(record)
    Draft202012Validator(json_schema(type(found))).validate(record)


def test_a_summary_over_amounts_is_of_another_kind() -> None:
    some = {"percentages" in r: model_of(r) for r in BEFORE if r["schema"] == "ser.summary/1"}
    assert some == {True: FewshotSummary, False: Summary}


@pytest.mark.parametrize("name", sorted(kinds()))
def test_every_kind_has_a_schema_and_says_what_it_is(name: str) -> None:
    model = kinds()[name]
    assert schema_of(model).startswith("ser.")
    assert json_schema(model)["title"].endswith((".", ";")) or model.__doc__
    Draft202012Validator.check_schema(json_schema(model))


def _named_inside(annotation: Any) -> bool:
    """True for a type in quotes inside of another, as `dict[str, "X"]`, which Python 3.10 does not look up."""
    inner = () if get_origin(annotation) is Literal else get_args(annotation)
    return any(isinstance(part, str) or _named_inside(part) for part in inner)


def test_no_field_quotes_a_type_inside_of_another() -> None:
    kinds()
    models = [*Model.__subclasses__()]
    for model in models:
        models += model.__subclasses__()
    assert len(models) > 100
    assert [f"{m.__name__}.{k}" for m in models for k, kind in m.__annotations__.items() if _named_inside(kind)] == []


def test_studies_are_the_plugins_of_their_folder() -> None:
    assert {"ser.ablation/1", "ser.search/1", "ser.transfer/1", "ser.matrix/1", "ser.fewshot/1"} <= set(studies())


@pytest.mark.parametrize("content", ['{"schema": "ser.novel/1"}', '{"schema": 3}', "{}", "[]", "3", '{"schema":', ""])
def test_a_record_of_no_kind_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"x\.json is not"):
        read_record(path)


def test_the_command_prints_schemas(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", "schema"]) == 0
    assert capsys.readouterr().out.split() == list(kinds())
    assert main(["results", "schema", "audit"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(json_schema(kinds()["audit"])))
    assert main(["results", "schema", "summery"]) == 2
    assert "Did you mean 'summary'?" in capsys.readouterr().err


def test_a_study_names_all_its_experiments_whatever_their_place() -> None:
    """A layers study has them at its positions and the head on all layers outside of a list."""
    layers = {"positions": [{"experiment": "a"}, {"experiment": "b"}], "all_layers": {"experiment": "c"}, "dataset": "x"}
    assert experiments_of(layers) == ["a", "b", "c"]
