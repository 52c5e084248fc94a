"""JSON files of typed objects: written whole after a check, and read in one way, with errors that name the fault.

A kind of file is a class of `Model` (a `msgspec.Struct`): its fields are the file's keys in their order, and its JSON Schema is
made from it (`json_schema`).
"""

import json
import math
import os
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta, Struct

from ser.errors import ConfigError, TrainingError, UnusableError
from ser.files import open_regular, refuse_deep, unreadable
from ser.workspace import writing

WIDTH = 110
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)  # one for all: `json.dumps` makes another for each call
LARGEST = 256 * 2**20  # bytes; a summary of a thousand runs on fifty folds has a twentieth of it
AGAIN = "Copy it again from where it came, or write it again with the command that made it."

Word = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Model(Struct, kw_only=True, forbid_unknown_fields=True):
    """An object of a JSON file. A field that may be absent has the default `msgspec.UNSET`.

    Attributes:
        FIRST: fields of a subclass that are written before those of its base.
    """

    FIRST: ClassVar[tuple[str, ...]] = ()

    def __getitem__(self, key: str) -> Any:
        """The value of a key of the JSON object.

        Raises:
            KeyError: there is none.
        """
        value = getattr(self, _fields(type(self)).get(key, ""), msgspec.UNSET)
        if value is msgspec.UNSET:
            raise KeyError(key)
        return value

    def __contains__(self, key: str) -> bool:
        """True if the JSON object has the key."""
        return getattr(self, _fields(type(self)).get(key, ""), msgspec.UNSET) is not msgspec.UNSET


def require(fits: bool, fault: str) -> None:
    """Refuse values of an object that do not go together, in its `__post_init__`.

    Raises:
        ValueError: they do not fit; `decode` and `check` add the place.
    """
    if not fits:
        raise ValueError(fault)


@cache
def _fields(model: type[Struct]) -> dict[str, str]:
    """Key of the JSON object -> field, in the order in which the keys are written."""
    keys = dict(zip(model.__struct_fields__, model.__struct_encode_fields__, strict=True))
    first = getattr(model, "FIRST", ())
    return {keys[field]: field for field in (*first, *(field for field in keys if field not in first))}


AnyModel = TypeVar("AnyModel", bound=Struct)


class Time(Model, kw_only=True):
    """The time of a computation."""

    started: Annotated[str, Meta(min_length=10, description="ISO 8601, UTC.")]
    seconds: Annotated[float, Meta(ge=0, description="Of training, also where runs were there before.")]


class TableFile(Model, kw_only=True):
    """A table of utterances: its path in the workspace, and its SHA-256."""

    path: str
    sha256: str


def json_schema(model: type[Struct]) -> dict[str, Any]:
    """Make the JSON Schema (draft 2020-12) of a kind of file."""
    made = plain(msgspec.json.schema(model))
    title = model.__doc__.strip().split("\n")[0] if model.__doc__ else model.__name__
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **made}


Content = dict[str, Any]  # of a JSON file, in JSON's own types


def plain(value: Any, where: str = "$") -> Any:
    """The same content in JSON's own types: dicts with string keys, lists, strings, finite numbers, booleans, None.

    Tuples, NumPy numbers and arrays, paths and objects of `Model` are translated.

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
    if isinstance(value, Struct):
        fields = {key: getattr(value, field) for key, field in _fields(type(value)).items()}
        return {key: plain(v, f"{where}.{key}") for key, v in fields.items() if v is not msgspec.UNSET}
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
    short = _ENCODER.encode(value)
    if not nested or len(short) + len(indent) <= WIDTH:
        return short
    if isinstance(value, list) and not isinstance(value[0], (dict, list)):
        return short  # a long row of numbers is still one row
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{_ENCODER.encode(k)}: {_lines(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _lines(item, inner) for item in value) + f"\n{indent}]"


def check(document: Any, model: type[AnyModel], name: object) -> AnyModel:
    """Check a document of JSON's own types, or an object of `Model`.

    Returns:
        The object that it describes.

    Raises:
        TrainingError: a number that is not finite.
        ConfigError: the document does not fit, with the place and the fault.
    """
    return _checked(plain(document), model, name)


def _checked(content: Any, model: type[AnyModel], name: object) -> AnyModel:
    try:
        return msgspec.convert(content, model)
    except msgspec.ValidationError as error:
        raise _misfit(name, model, error, content) from None


def write_json(path: Path, document: Any, model: type[Struct] | None = None) -> None:
    """Check a document, then write it whole: a kill leaves the old file or the new one.

    Args:
        model: its kind; None: that of the object.

    Raises:
        TrainingError, ConfigError: the document is not valid; nothing is written.
    """
    content = plain(document)
    _checked(content, model or type(document), path.name)
    with writing(path) as temporary:
        temporary.write_text(_lines(content, "") + "\n", encoding="utf-8")


def read_limited(path: Path, what: str) -> bytes:
    """Read a regular file of `LARGEST` bytes at most.

    Raises:
        ConfigError: there is no such file, it cannot be read, or it is a folder, a pipe, a device or too large.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size  # `read` makes room for as much as it may read
            content = file.read(min(size, LARGEST) + 1)
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise unreadable(f"the {what} {path}", error) from None
    if len(content) > LARGEST:
        raise UnusableError(f"cannot read the {what} {path}", expected=f"{LARGEST >> 20} MiB at most")
    return content


def decode(content: bytes, model: type[AnyModel], name: object) -> AnyModel:
    """Make an object of a file's content.

    Raises:
        ConfigError: the content is not JSON, or does not fit, with the place and the fault.
    """
    try:
        refuse_deep(content)
        try:
            return msgspec.json.decode(content, type=model)
        except msgspec.ValidationError as error:
            document = msgspec.json.decode(content)  # what follows the misfit may not be JSON
            raise _misfit(name, model, error, document, AGAIN) from None
    except (ValueError, RecursionError) as error:  # DecodeError and UnicodeDecodeError are ValueErrors
        raise _no_json(name, error) from None


def read_object(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object that has no model.

    Raises:
        ConfigError: the file cannot be read, or is not a JSON object.
    """
    content = read_limited(path, what)
    try:
        refuse_deep(content)
        found = msgspec.json.decode(content)
    except (ValueError, RecursionError) as error:
        raise _no_json(path, error) from None
    if not isinstance(found, dict):
        raise UnusableError(f"{path} is not a {what}", expected="a JSON object", found=f"a {type(found).__name__}")
    return found


def _no_json(name: object, error: Exception) -> ConfigError:
    return UnusableError(f"{name} is not JSON: it is damaged or cut short", found=error, action=AGAIN)


def _misfit(
    name: object, model: type[Struct], error: msgspec.ValidationError, document: Any, action: str | None = None
) -> ConfigError:
    fault, _, place = str(error).replace("`", "").partition(" - at ")
    if not isinstance(document, dict):
        return UnusableError(f"{name} is not a record", expected="a JSON object", found=f"a {type(document).__name__}")
    fault = fault if len(fault) <= 200 else fault[:200] + "..."
    value = _scalar_at(document, place)
    kind = re.sub(r"(?<!^)(?=[A-Z])", " ", model.__name__).lower()
    return UnusableError(f"{name} is not a valid record ({kind})", found=f"{place or '$'}: {fault}{value}", action=action)


def _scalar_at(document: Any, place: str) -> str:
    """The words for the value at a place such as `$.runs[0].seed`; none for a part, or where the place names no key."""
    for key, number in re.findall(r"\.(\w+)|\[([^\]]*)\]", place):
        try:
            document = document[key] if key else document[int(number)]
        except (KeyError, IndexError, TypeError, ValueError):
            return ""
    return "" if isinstance(document, (dict, list)) else f", got {repr(document)[:80]}"
