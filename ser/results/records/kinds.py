"""All kinds of record, by the `schema` that each record states; records are read from their files as objects of their kinds."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType, ValidationError, json

from ser import outside, registry
from ser.audit.record import AuditRecord
from ser.errors import ConfigError, UnusableError
from ser.jsonfile import AnyModel, Model, decode, read_limited
from ser.results.records.comparison import ResultComparison
from ser.results.records.data_facts import stated_facts
from ser.results.records.evaluation import Evaluation, OutputEvaluation
from ser.results.records.explanations import Explanations
from ser.results.records.model import FewshotSummary, Opening, RunRecord, Summary
from ser.results.records.names import SUMMARY_SCHEMA

STUDIES = "ser.results.studies"


class Beginning(Struct):
    """The fields that state the kind of a record."""

    schema: Any = UNSET
    percentages: Raw | UnsetType = UNSET


def kinds() -> dict[str, type[Model]]:
    """Kinds of record by the name that `ser results schema` gives them; those of studies are plugins of `STUDIES`."""
    return _kinds(os.environ.get(outside.VARIABLE, ""))


@cache
def _kinds(named: str) -> dict[str, type[Model]]:
    """The kinds where the user has named these parts."""
    names = (*registry.names(STUDIES), *registry.named(STUDIES))
    studies = {name: registry.load(STUDIES, name).Study for name in names}
    return {
        "summary": Summary,
        "fewshot_summary": FewshotSummary,
        "run": RunRecord,
        "evaluation": Evaluation,
        "output_evaluation": OutputEvaluation,
        "explanations": Explanations,
        "comparison": ResultComparison,
        "audit": AuditRecord,
        **studies,
    }


def schema_of(model: type[Model]) -> str:
    """The `schema` of a kind of record, such as `ser.summary/1`."""
    defaults = dict(zip(reversed(model.__struct_fields__), reversed(model.__struct_defaults__), strict=False))
    return str(defaults.get("schema", ""))


def schemas() -> dict[str, type[Model]]:
    """Kinds of record by their `schema`; that of a summary is `Summary`, of a few-shot one too (see `model_of`)."""
    return _schemas(os.environ.get(outside.VARIABLE, ""))


@cache
def _schemas(named: str) -> dict[str, type[Model]]:
    found: dict[str, type[Model]] = {}
    for name, model in _kinds(named).items():
        schema = schema_of(model)
        if not schema:
            raise ConfigError(
                f"the class Study of {name} has no schema", expected=f'a field schema: Literal["{name}/1"] = "{name}/1"'
            )
        if model is not FewshotSummary and found.setdefault(schema, model) is not model:
            raise ConfigError(
                f"the schema {schema} of the study {name} is that of another kind of record",
                action=f'Give it another, such as "{name}/1".',
            )
    return found


def model_of(document: Mapping[str, Any]) -> type[Model]:
    """The kind of a record that is a plain JSON object.

    Raises:
        ConfigError: its `schema` is not one of the known ones.
    """
    model = schemas().get(str(document.get("schema")))
    if model is None:
        raise ConfigError(
            "the record is of no known kind", expected=f"schema {', '.join(schemas())}", found=repr(document.get("schema"))
        )
    return FewshotSummary if model is Summary and "percentages" in document else model


def read_summary(path: Path) -> Summary | FewshotSummary:
    """Read the summary of an experiment.

    Raises:
        ConfigError: as `read_record`; or it is another kind of record.
    """
    content = read_limited(path, "summary")
    beginning = beginning_of(content, "summary", path)
    if beginning.schema != SUMMARY_SCHEMA:
        found = "none" if beginning.schema is UNSET else repr(beginning.schema)
        raise UnusableError(f"{path} is not a summary", expected="the record of an experiment", found=found)
    model: type[Summary | FewshotSummary] = Summary if beginning.percentages is UNSET else FewshotSummary
    return _opened(decode(content, model, path), path)


def read_run_record(path: Path) -> RunRecord:
    """Read the record of a run.

    Raises:
        ConfigError: as `read_record`; or it is another kind of record.
    """
    return decode(read_limited(path, "record"), RunRecord, path)


def beginning_of(content: bytes, what: str, path: Path) -> Beginning:
    """Read the kind of a record.

    Raises:
        ConfigError: the content is not JSON, or not an object.
    """
    try:
        return json.decode(content, type=Beginning)
    except ValidationError:
        raise UnusableError(f"{path} is not a {what}", expected="a JSON object") from None
    except (ValueError, RecursionError):
        return decode(content, Beginning, path)


def read_schema(path: Path, what: str = "result") -> str:
    """The `schema` that a JSON file states, known or not; "" where it states none.

    Raises:
        ConfigError: the file cannot be read, or is not a JSON object.
    """
    found = beginning_of(read_limited(path, what), what, path).schema
    return found if isinstance(found, str) else ""


def refuse_to_replace(output: Path, *replaced: type[Model]) -> None:
    """Refuse a file for a record where something lies already that is not a record of these kinds, and would be lost.

    Raises:
        ConfigError: there is something else, or the name does not end in `.json`.
    """
    if output.suffix != ".json":
        raise ConfigError(f"--output {output}", expected="a file that ends in .json")
    if not output.exists():
        return
    expected = [schema_of(model) for model in replaced]
    try:
        found = read_schema(output)
    except ConfigError:
        found = ""
    if found not in expected:
        raise ConfigError(
            f"{output} is there already, and would be lost",
            expected=f"a new file, or one of {' or '.join(expected)}",
            found=found or "something else",
            action="Choose another --output.",
        )


def read_record(path: Path, what: str = "result") -> Model:
    """Read a record as the object of its kind.

    Raises:
        ConfigError: the file cannot be read, is not JSON, of no known kind, or does not fit its kind.
    """
    content = read_limited(path, what)
    beginning = beginning_of(content, what, path)
    model = schemas().get(str(beginning.schema))
    if model is None:
        raise UnusableError(
            f"{path} is not a {what} of a known kind",
            expected=f"schema {', '.join(schemas())}",
            found="none" if beginning.schema is UNSET else repr(beginning.schema),
        )
    if model is Summary and beginning.percentages is not UNSET:
        model = FewshotSummary
    return _opened(decode(content, model, path), path)


def _opened(record: AnyModel, path: Path) -> AnyModel:
    """The record, whose free parts have the types that they are read with.

    Raises:
        ConfigError: they have not, with the place and the fault.
    """
    if isinstance(record, Opening) and isinstance(record.data, dict):
        stated_facts(record, path)
    return record
