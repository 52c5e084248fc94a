"""Find and read summaries in a results folder. Light: `ser results list` reads thousands with nothing but `json`."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ser.errors import ConfigError
from ser.results.names import (
    ABLATION_SCHEMA,
    AUDIT_SCHEMA,
    EVALUATION_SCHEMA,
    FEWSHOT_SCHEMA,
    MATRIX_SCHEMA,
    METRICS,
    SEARCH_SCHEMA,
    SUMMARY_SCHEMA,
    TRANSFER_SCHEMA,
    amount_value,
)
from ser.results.schema import ABLATION, EVALUATION, FEWSHOT, MATRIX, SEARCH, SUMMARY, TRANSFER, read_json, validate

STUDIES = {
    ABLATION_SCHEMA: ABLATION,
    SEARCH_SCHEMA: SEARCH,
    TRANSFER_SCHEMA: TRANSFER,
    MATRIX_SCHEMA: MATRIX,
    FEWSHOT_SCHEMA: FEWSHOT,
}  # made of several experiments, each with its summary

OF_ANOTHER = ".evaluation"  # in the name of an evaluation, which begins with that of the experiment it is of


@dataclass(frozen=True)
class Headline:
    """One line of the list of results.

    Attributes:
        path: the summary's file.
        command: the command's name.
        at: what the scores are of: `pooled`, or for few-shot the largest amount.
        scores: metric -> mean over runs.
        started: ISO 8601, UTC.
        features: names of the stores, joined by `+`.
        stamps: how many there are.
    """

    path: Path
    experiment: str
    command: str
    dataset: str
    head: str
    scheme: str
    protocol: str
    runs: int
    at: str
    scores: dict[str, float]
    started: str
    features: str
    stamps: int


def read_summary(path: Path) -> dict[str, Any]:
    """Read and validate a summary.

    Raises:
        ConfigError: the file is missing, no JSON, of another kind or version, or not valid; says which.
    """
    summary = read_json(path, "summary")
    _refuse_other(path, summary)
    validate(summary, SUMMARY, path)
    return summary


def read_any(path: Path) -> dict[str, Any]:
    """Read and validate a summary or a study: its `schema` says which it is.

    Raises:
        ConfigError: as `read_summary`.
    """
    found = read_json(path, "result")
    kind = {**STUDIES, AUDIT_SCHEMA: "audit", EVALUATION_SCHEMA: EVALUATION}.get(str(found.get("schema")))
    if kind is None:
        return read_summary(path)
    validate(found, kind, path)
    return found


def _refuse_other(path: Path, summary: dict[str, Any]) -> None:
    if summary.get("schema") != SUMMARY_SCHEMA:
        raise ConfigError(
            f"{path} is no summary", expected=f"schema {SUMMARY_SCHEMA}", found=repr(summary.get("schema"))
        )


def read_summaries(paths: Iterable[Path]) -> tuple[list[Headline], list[str]]:
    """Headlines of summaries, oldest first, and a line for each file that is damaged.

    JSON files of another kind are passed over. Nothing is validated against the schema: that would take ten times as long.
    """
    found: list[Headline] = []
    damaged: list[str] = []
    for path in paths:
        try:
            summary = read_json(path, "summary")
            if summary.get("schema") == SUMMARY_SCHEMA:
                found.append(headline(path, summary))
        except ConfigError as error:
            damaged.append(error.line())
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            damaged.append(f"{path} is a damaged summary: {type(error).__name__} {error}")
    return sorted(found, key=lambda line: (line.started, line.experiment)), damaged


def list_summaries(folder: Path) -> tuple[list[Headline], list[str]]:
    """`read_summaries` of a results folder."""
    return read_summaries(sorted(folder.glob("*.json")))


def headline(path: Path, summary: dict[str, Any]) -> Headline:
    """What the list shows of a summary."""
    if "percentages" in summary:
        at = max(summary["percentages"], key=amount_value)
        metrics = summary["percentages"][at]["pooled"]
    else:
        at, metrics = "pooled", summary["pooled"]
    return Headline(
        path=path,
        experiment=summary["experiment"],
        command=verb(summary["command"]),
        dataset=dataset(summary),
        head=str(fact(summary, "head") or ""),
        scheme=str(fact(summary, "scheme") or ""),
        protocol=str(fact(summary, "protocol") or ""),
        runs=len({run["run"] for run in summary["runs"]}),
        at=at,
        scores={name: float(metrics[name]["mean"]) for name in METRICS},
        started=summary["time"]["started"],
        features="+".join(fact(summary, "stores") or ()),
        stamps=len(summary["stamps"]),
    )


def verb(command: str) -> str:
    """The command's name: `ser fit --runs 5` and `ser.fit` -> `fit`."""
    words = [word.removeprefix("ser.") for word in command.split() if word != "ser"]
    return words[0] if words else command


def fact(summary: dict[str, Any], key: str) -> Any:
    """A value by its key: the one least deep in `data`, then in `config`; None where there is none."""
    for part in (summary["data"], summary["config"]):
        level: list[Any] = [part]
        while level:
            found = [place[key] for place in level if isinstance(place, dict) and key in place]
            if found:
                return found[0]
            level = [item for place in level if isinstance(place, (dict, list)) for item in _items(place)]
    return None


def _items(place: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return place.values() if isinstance(place, dict) else place


def dataset(summary: dict[str, Any]) -> str:
    """The dataset's name; `source -> target` where there are two."""
    for part in (summary["data"], summary["config"]):
        source, target = part.get("source"), part.get("target")
        if isinstance(source, str) and isinstance(target, str):
            return f"{source} -> {target}"
    target = fact(summary, "target")
    found = fact(summary, "dataset") or (target if isinstance(target, str) else "")
    return str(found)


def find_summary(name: str, folder: Path) -> Path:
    """The file of a summary, by its path, its name in the results folder, or a beginning that only one name has.

    Raises:
        ConfigError: no such summary, with the nearest; or several, listing them.
    """
    if name.endswith(".json") and Path(name).is_file():
        return Path(name)
    names = sorted(path.name.removesuffix(".json") for path in folder.glob("*.json"))
    wanted = name.removesuffix(".json")
    if wanted in names:
        return folder / f"{wanted}.json"
    fitting = [n for n in names if n.startswith(wanted) and (OF_ANOTHER not in n or OF_ANOTHER in wanted)]
    if len(fitting) > 1:
        raise ConfigError(f"{name!r} begins {len(fitting)} results", expected=f"one of {', '.join(fitting)}")
    if not fitting:
        raise _no_result(name, names, folder)
    return folder / f"{fitting[0]}.json"


def _no_result(name: str, names: list[str], folder: Path) -> ConfigError:
    if not names:
        return ConfigError(f"there are no results in {folder}", action="Train something first: ser fit --help")
    near = get_close_matches(name, names, n=3)
    return ConfigError(
        f"unknown result {name!r}",
        action=f"Did you mean {' or '.join(near)}?" if near else "See them all with: ser results list",
    )
