"""A file to start a part of one's own from: a copy of the neighbour that a kind of plugin names, by another name.

The `__init__.py` of a kind has two constants, which are read without importing it: `COPY`, the plugin to copy, or a file of
`ser.starts` where none works by itself, and `TRY`, the command that uses the copy, or several with `&&` between them, in which
`./NAME.py` and `NAME` stand for the file and its name.
"""

import ast
import re
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

from ser import __version__, registry
from ser.errors import ConfigError

QUOTES = '"""'
DEMO = "--dataset demo-studio --scheme 6 --protocol speaker --folds 4"  # what `DEMO` stands for in `TRY`


def packages() -> dict[str, str]:
    """Each kind that a file can be started of, by one word, and its package, such as `"head": "ser.train.heads"`."""
    kinds = registry.kinds().values()
    return {registry.word(package): package for package in kinds if registry.constant(package, "COPY")}


def start(kind: str, name: str, folder: Path) -> tuple[Path, str]:
    """Write a file to start from.

    Args:
        kind: one of `packages()`.
        name: the part's name, and the file's without its ending.
        folder: is made where it is missing.

    Returns:
        The file, and the commands to try it, one in each line, in the folder of the file.

    Raises:
        ConfigError: the name cannot be that of a file of Python, or is taken; or the file is there already.
    """
    package, path = packages()[kind], folder / f"{name}.py"
    _refuse_name(kind, package, name, path)
    tried = commands(package, name)
    text = source(package, name, tried)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} is there already", action="Take another name, or remove the file.") from None
    return path, tried


def commands(package: str, name: str) -> str:
    """The commands that use a part of a kind, one in each line."""
    text = registry.constant(package, "TRY").replace("DEMO", DEMO).replace(" && ", "\n")
    return re.sub(r"\bNAME\b", name, text)


def source(package: str, name: str, commands: str) -> str:
    """The text of the neighbour, with the new name in place of its own and a docstring that says what to change."""
    copied, kind = registry.constant(package, "COPY"), registry.kind(package)
    file = registry.folder(package) / f"{copied}.py"
    if not file.is_file():
        file = registry.folder("ser.starts") / file.name
    text = file.read_text(encoding="utf-8")
    lines = text.encode().splitlines(keepends=True)  # columns of the tree are bytes
    texts = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    own = [node for node in texts if node.value in (copied, f"{copied}/1")]  # the latter is the schema of a record
    for node in sorted(own, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        line, new = lines[node.lineno - 1], str(node.value).replace(copied, name)
        lines[node.lineno - 1] = line[: node.col_offset] + f'"{new}"'.encode() + line[node.end_col_offset :]
    said = commands.replace("\n", "\n    ")
    return f'''"""{name}: one's own {kind}, which begins as a copy of {copied} of ser {__version__}.

Say here what it is and who published it; change below all that is of {copied}. What it consists of is in docs/extending.md.
In the workspace that `ser demo` leaves, this uses it:

    {said}

{copied} says of itself:

{b"".join(lines).decode().removeprefix(QUOTES)}'''


def _refuse_name(kind: str, package: str, name: str, path: Path) -> None:
    """Refuse a name that a file of Python cannot have, or that another part or module has."""
    if not (name.isidentifier() and name.isascii()) or iskeyword(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a part",
            expected=f"letters, digits and _, no word of Python's own, as in my_{kind}",
        )
    if kind == "target" and name != name.lower():
        raise ConfigError(f"{name!r} cannot be the name of a target, which is a column of a table", expected="small letters")
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
