"""Find and read results in their folder, and what is in them. Light."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ser.errors import ConfigError
from ser.jsonfile import check, read_object
from ser.results.records.kinds import model_of, schemas
from ser.results.records.model import Opening

HEAD = ".safetensors"
_CONTAINERS = (dict, list)  # of JSON, nothing else
OF_ANOTHER = ".evaluation"  # in the name of an evaluation, which begins with that of the experiment it is of


def read_any(path: Path) -> dict[str, Any]:
    """Read and validate a record of any kind: its `schema` says which it is.

    Raises:
        ConfigError: the file is missing, is not JSON, is of another kind or version, or is not valid; says which.
    """
    found = read_object(path, "result")
    if found.get("schema") not in schemas():
        raise ConfigError(
            f"{path} is not a result",
            expected=f"schema {', '.join(schemas())}",
            found=repr(found.get("schema")),
        )
    check(found, model_of(found), path)
    return found


def verb(command: str) -> str:
    """The command's name: `ser fit --runs 5` and `ser.fit` -> `fit`."""
    words = [word.removeprefix("ser.") for word in command.split() if word != "ser"]
    return words[0] if words else command


def fact(record: Opening | Mapping[str, Any], key: str) -> Any:
    """A value by its key: the one least deep in `data`, then in `config`; None where there is none."""
    for part in _data_and_config(record):
        level: list[dict[str, Any] | list[Any]] = [part]
        while level:
            below: list[dict[str, Any] | list[Any]] = []
            for place in level:
                if isinstance(place, dict) and key in place:
                    return place[key]
                values = place.values() if isinstance(place, dict) else place
                below += [value for value in values if type(value) in _CONTAINERS]
            level = below
    return None


def _data_and_config(record: Opening | Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return (record.data, record.config) if isinstance(record, Opening) else (record["data"], record.get("config", {}))


def dataset(record: Opening | Mapping[str, Any]) -> str:
    """The dataset's name; `source -> target` where there are two."""
    for part in _data_and_config(record):
        source, target = part.get("source"), part.get("target")
        if isinstance(source, str) and isinstance(target, str):
            return f"{source} -> {target}"
    target = fact(record, "target")
    found = fact(record, "dataset") or (target if isinstance(target, str) else "")
    return str(found)


def find_head(model: str, folder: Path) -> Path:
    """The file of a saved head.

    Args:
        model: such a file; or an experiment by its name, a beginning of it that no other has or the file of its summary, for
            the first head that it saved.
        folder: the results.

    Raises:
        ConfigError: there is no such experiment, or it saved no head.
    """
    if model.endswith(HEAD) or (Path(model).is_file() and not model.endswith(".json")):
        return Path(model)
    summary = find_summary(model, folder)
    heads = sorted(summary.with_suffix("").glob(f"*{HEAD}"))
    if not heads:
        raise ConfigError(f"{summary.stem} saved no head", action="Give the command of its record again, with --save.")
    return heads[0]


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
