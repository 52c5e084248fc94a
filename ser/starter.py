"""A file to start a part of one's own from: a copy of the neighbour that a kind of plugin names, by another name.

The `__init__.py` of a kind has two constants, which are read without importing it: `COPY`, the plugin to copy, and `TRY`, the
command that uses the copy, in which `./NAME.py` and `NAME` stand for the file and its name.
"""

import ast
import re
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

from ser import __version__, registry
from ser.errors import ConfigError

QUOTES = '"""'


def packages() -> dict[str, str]:
    """Each kind that a file can be started of, by one word, and its package, such as `"head": "ser.train.heads"`."""
    return {
        kind.split()[0]: package for kind, package in registry.kinds().items() if registry.constant(package, "COPY")
    }


def start(kind: str, name: str, folder: Path) -> tuple[Path, str]:
    """Write a file to start from.

    Args:
        kind: one of `packages()`.
        name: the part's name, and the file's without its ending.
        folder: is made where it is missing.

    Returns:
        The file, and the command to try it, in the folder of the file.

    Raises:
        ConfigError: the name cannot be that of a file of Python, or is taken; or the file is there already.
    """
    package, path = packages()[kind], folder / f"{name}.py"
    _refuse_name(kind, package, name, path)
    command = re.sub(r"\bNAME\b", name, registry.constant(package, "TRY"))
    text = source(package, name, command)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} is there already", action="Take another name, or remove the file.") from None
    return path, command


def source(package: str, name: str, command: str) -> str:
    """The text of the neighbour, with the new name in the place of its own and a docstring that says what to change."""
    copied, kind = registry.constant(package, "COPY"), registry.kind(package)
    text = (registry.folder(package) / f"{copied}.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    lines = text.encode().splitlines(keepends=True)  # columns of the tree are bytes
    own = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value == copied]
    for node in sorted(own, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        line = lines[node.lineno - 1]
        lines[node.lineno - 1] = line[: node.col_offset] + f'"{name}"'.encode() + line[node.end_col_offset :]
    return f'''"""{name}: one's own {kind}, which begins as a copy of {copied} of ser {__version__}.

Say here what it is and who published it, and change below all that is of {copied}. What it consists of is in docs/extending.md.
In the workspace that `ser demo` leaves, this uses it:

    {command}

{copied} says of itself:

{b"".join(lines).decode().removeprefix(QUOTES)}'''


def _refuse_name(kind: str, package: str, name: str, path: Path) -> None:
    """Refuse a name that a file of Python cannot have, or that another part or module has."""
    if not (name.isidentifier() and name.isascii()) or iskeyword(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a part",
            expected=f"letters, digits and _, no word of Python's own, as in my_{kind}",
        )
    if path.exists() or path.is_symlink():
        raise ConfigError(f"{path} is there already", action="Take another name, or remove the file.")
    if name in registry.names(package):
        raise ConfigError(
            f"the name {name} is taken: there is a {registry.kind(package)} of this name",
            action=f"Take another, such as my_{name}.",
        )
    if find_spec(name) is not None:
        raise ConfigError(
            f"the name {name} is taken: there is a module of this name, which the file would hide",
            action=f"Take another, such as my_{name}.",
        )
