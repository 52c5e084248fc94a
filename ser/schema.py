"""The shipped JSON Schemas, and JSON that is checked against them: written whole, read with named errors.

Light: nothing but the standard library is imported until a record is validated.
"""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

from ser.errors import ConfigError, TrainingError
from ser.workspace import writing

SUMMARY, RUN, ABLATION, SEARCH, TRANSFER, MATRIX = "summary", "run", "ablation", "search", "transfer", "matrix"
FEWSHOT, EXPLANATIONS, EVALUATION, COMPARISON = "fewshot", "explanations", "evaluation", "comparison"
WIDTH = 110


@cache
def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a kind of record: `summary`, `run`, or a study: `ablation`, `search`, ...

    What several have in common is in `shared.schema.json`: its definitions are added where a kind has none of that name.
    """
    content, shared = (
        json.loads(Path(__file__).parent.joinpath("schemas", f"{name}.schema.json").read_text(encoding="utf-8"))
        for name in (kind, "shared")
    )
    definitions = shared["$defs"] | content.get("$defs", {})
    found: dict[str, Any] = shared | content | {"$defs": definitions}
    return found


@cache
def _validator(kind: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema(kind))


def violation(document: Any, kind: str) -> str | None:
    """What is wrong with a document by the schema of its kind, and where; None for a valid one."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator(kind).iter_errors(document))
    if error is None:
        return None
    message = error.message if len(error.message) <= 200 else error.message[:200] + "..."
    return f"{error.json_path}: {message}"


def validate(document: Any, kind: str, name: object) -> None:
    """Refuse a document that is not valid.

    Raises:
        ConfigError: with the place and the fault.
    """
    fault = violation(document, kind)
    if fault is not None:
        raise ConfigError(f"{name} is no valid {kind} record", found=fault)


def plain(value: Any, where: str = "$") -> Any:
    """The same content in JSON's own types: dicts with string keys, lists, strings, finite numbers, booleans, None.

    Tuples, NumPy numbers and arrays, and paths are translated.

    Raises:
        TrainingError: a number that is not finite, or a value that JSON cannot hold; named by its place.
    """
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TrainingError(f"the record holds a number that is not finite at {where}", found=value)
        return float(value)
    if isinstance(value, dict):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy numbers and arrays
        return plain(value.tolist(), where)
    raise TrainingError(f"the record holds something that JSON cannot at {where}", found=type(value).__name__)


def dumps(value: Any) -> str:
    """JSON with short lists and dicts on one line each: small, and readable by eye. `value` is made `plain` first.

    >>> dumps({"counts": (1, 2)})
    '{"counts": [1, 2]}'
    """
    return _lines(plain(value), "")


def _lines(value: Any, indent: str) -> str:
    nested = isinstance(value, (dict, list)) and bool(value)
    # The dump of a large value is cheap beside its parts' dumps: the depth of a record is small.
    short = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not nested or len(short) + len(indent) <= WIDTH:
        return short
    if isinstance(value, list) and not isinstance(value[0], (dict, list)):
        return short  # a long row of numbers is still one row
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(k, ensure_ascii=False)}: {_lines(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _lines(item, inner) for item in value) + f"\n{indent}]"


def write_json(path: Path, document: dict[str, Any], kind: str) -> None:
    """Validate, then write whole: a kill leaves the old file or the new one.

    Raises:
        TrainingError, ConfigError: the document is not valid; nothing is written.
    """
    document = plain(document)
    validate(document, kind, path.name)
    with writing(path) as temporary:
        temporary.write_text(_lines(document, "") + "\n", encoding="utf-8")


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ConfigError: the file is not there, cannot be read, or is no JSON object.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read the {what} {path}", found=error.strerror) from None
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise ConfigError(f"{path} is no JSON: it is damaged or cut short", found=error) from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is no {what}", expected="a JSON object", found=f"a {type(content).__name__}")
    return content
