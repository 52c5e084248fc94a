"""Find results in their folder, files that they name, and facts in them. Light."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ser.errors import ConfigError, NoResult, UnusableError
from ser.files import kind_of, open_regular, why
from ser.jsonfile import plain, read_object
from ser.results.records.names import ALL_ROWS, CONFIG, HEAD, ONNX

_CONTAINERS = (dict, list)  # of JSON, nothing else
FLAGS = ("--quiet", "--verbose")  # before the command, without a value
OF_ANOTHER = ".evaluation"  # in the name of an evaluation, which begins with that of the experiment it is of
MODELS = "an experiment of ser fit --save, the file of a head or of ser export onnx, or a folder of ser export folder"
_HUB = re.compile(r"\w[\w.-]*/\w[\w.-]*")  # OWNER/NAME
PNG = b"\x89PNG\r\n\x1a\n"


def verb(command: str) -> str:
    """The command's name: `ser fit --runs 5` and `ser.fit` -> `fit`; `ser results import FILE` -> `import`."""
    words = [word.removeprefix("ser.") for word in command.split() if word not in ("ser", "results")]
    while words and words[0].startswith("-"):  # `--workspace DIR` before the command
        words = words[1 if "=" in words[0] or words[0] in FLAGS else 2 :]
    return words[0] if words else command


def fact_of(record: Any, key: str) -> Any:
    """A value of a record by its key: the one least deep in `data`, then in `config`; None where there is none."""
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


def is_system(record: Any) -> bool:
    """True for a record of a system that was not trained here: its predictions were imported, or asked of a classifier."""
    config = getattr(record, "config", {})
    return "import" in config or "classify" in config


def word_of(record: Any, key: str) -> str:
    """A fact of a record as a text; "" where there is none."""
    return str(fact_of(record, key) or "")


def names_of(record: Any, key: str) -> list[str]:
    """A fact of a record that is a list of names, or has names as its keys; [] where there is none."""
    found = fact_of(record, key)
    return list(map(str, found)) if type(found) in _CONTAINERS else []


def stores_of(record: Any) -> list[str]:
    """The stores of a record by name, with the layer where one of several is used."""
    found = fact_of(record, "stores")
    if not isinstance(found, dict):
        return names_of(record, "stores")
    layers = {name: facts.get("layer") if isinstance(facts, dict) else None for name, facts in found.items()}
    return [str(name) if layer is None else f"{name} layer {layer}" for name, layer in layers.items()]


def _data_and_config(record: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both parts as plain content; {} for `config` of records without one."""
    return record.data if isinstance(record.data, dict) else plain(record.data), getattr(record, "config", {})


def dataset_of(record: Any) -> str:
    """The name of a record's dataset; `source -> target` where there are two."""
    for part in _data_and_config(record):
        source, target = part.get("source"), part.get("target")
        if isinstance(source, str) and isinstance(target, str):
            return f"{source} -> {target}"
    target = fact_of(record, "target")
    found = fact_of(record, "dataset") or (target if isinstance(target, str) else "")
    return str(found)


def find_heads(model: str, folder: Path) -> list[Path]:
    """The files of saved heads.

    Args:
        model: such a file; or an experiment by its name, a beginning of it that no other has or the file of its summary, for
            all heads that it saved, its final ones alone where there are any; or a folder with a model that was handed on (`ser
            export folder`), which is given itself.
        folder: the results.

    Raises:
        ConfigError: there is no such experiment, or it saved no head.
    """
    if kind_of(f"{model}/{CONFIG}") == "a file":
        return [Path(model)]
    if Path(model).name == CONFIG and kind_of(model) == "a file":
        return [Path(model).parent]
    other = kind_of(model) not in ("nothing", "a folder") and not model.endswith(".json")
    if model.endswith((HEAD, ONNX)) or other:
        return [Path(model)]
    try:
        of = find_summary(model, folder).with_suffix("")
    except ConfigError as error:
        of = Path(model)
        if not of.is_dir():
            raise no_model(model, error, MODELS) from None
        if not any(of.glob(f"*{HEAD}")):
            raise ConfigError(
                f"the folder {model} holds no model",
                expected=f"{CONFIG}, as ser export folder writes it, or heads of ser fit --save, or an experiment's name",
            ) from None
    heads = sorted(of.glob(f"*{HEAD}"))
    heads = [file for file in heads if is_final(file)] or heads
    if not heads:
        raise _no_head(of)
    return heads


def _no_head(of: Path) -> ConfigError:
    """The error for a result without heads of its own: a study names those of its experiments that saved some.

    Args:
        of: the folder that its heads would be in, beside its file.

    Raises:
        ConfigError: the file is damaged.
    """
    parts = experiments_of(read_object(of.with_name(f"{of.name}.json"), "result"))
    saved = [name for name in parts if any(of.with_name(name).glob(f"*{HEAD}"))]
    if saved:
        return ConfigError(
            f"{of.name} is a study, whose experiments have the heads", expected=f"one of them: {', '.join(saved)}"
        )
    if parts:
        return ConfigError(
            f"{of.name} is a study of {len(parts)} experiments, none of which saved a head",
            action="Give the command of one of them again with --save, or that of the study where it has this option.",
        )
    return ConfigError(f"{of.name} saved no head", action="Give the command of its record again, with --save.")


def experiments_of(study: Mapping[str, Any]) -> list[str]:
    """The names of the experiments that a study is made of, by the content of its record."""
    parts_of = [part if isinstance(part, list) else [part] for part in study.values()]  # one alone: a head on all layers
    rows = [row for part in parts_of for row in part if isinstance(row, dict)]
    return list(dict.fromkeys(str(row["experiment"]) for row in rows if row.get("experiment")))


def no_model(model: str, error: ConfigError, expected: str) -> ConfigError:
    """The error for a name that neither a result nor a file has; where it is like one of the hub, with the way to fetch it."""
    if not isinstance(error, NoResult):
        return error
    on_hub = _HUB.fullmatch(model) and not Path(model).parent.exists()
    return NoResult(
        f"there is no model {model}",
        expected=expected,
        action=f"If it is on the Hugging Face Hub, fetch it first: ser pull {model}" if on_hub else error.action,
    )


def is_final(head: Path) -> bool:
    """True for the file of a head that was trained on all utterances."""
    return head.name.endswith(f".fold-{ALL_ROWS}{HEAD}")


def find_summary(name: str, folder: Path) -> Path:
    """The file of a summary, by its path, its name in the results folder, or a beginning that only one name has.

    Raises:
        ConfigError: no such summary, with the nearest; or several, listing them.
    """
    if not isinstance(name, str):
        raise ConfigError("the name of a result", expected="a text", found=repr(name)[:80])
    if name.endswith(".json") and os.path.lexists(name) and not Path(name).is_dir():
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


def _no_result(name: str, names: list[str], folder: Path) -> NoResult:
    if "/" in name or os.sep in name:
        return NoResult(f"there is no {name}", expected="a file or a folder that is there, or the name of a result")
    if not names:
        return NoResult(f"there are no results in {folder}", action="Train something first: ser fit --help")
    near = get_close_matches(name, names, n=3)
    return NoResult(
        f"unknown result {name!r}",
        action=f"Did you mean {' or '.join(near)}?" if near else "See them all with: ser results list",
    )


def beside(record: Path, name: str) -> Path:
    """The file that a record names: below the folder of the record, so that one from elsewhere shows nothing else.

    Args:
        record: the file of the record.
        name: a path from its folder, with `/` between folders.

    Raises:
        ConfigError: the path is absolute or leads out of the folder (by `..` or by a link), or the file is not a regular one.
    """
    folder = record.parent.resolve()
    try:
        outside = Path(name).is_absolute() or ".." in Path(name).parts
        file = (folder / name).resolve()
        if outside or "\\" in name or not file.is_relative_to(folder):
            raise UnusableError(f"{record.name} names a file outside its folder: {name}")
        open_regular(file).close()
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a NUL in the name, RuntimeError: a loop of links
        raise UnusableError(f"{record.name} names {name}, which cannot be read", found=why(error)) from None
    return folder / name


def picture_beside(record: Path, name: str) -> Path:
    """The PNG picture that a record names.

    Raises:
        ConfigError: as `beside`; or the file is not a PNG.
    """
    file = beside(record, name)
    with open_regular(file) as opened:
        if opened.read(len(PNG)) != PNG:
            raise UnusableError(f"{record.name} names {name}, which is not a PNG picture")
    return file
