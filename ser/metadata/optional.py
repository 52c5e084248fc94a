"""Packages that only some imports of corpora need."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from ser.errors import CorpusError


def optional(package: str) -> ModuleType:
    """An optional package, whose extra is called as it is.

    Raises:
        CorpusError: it is not installed; the message has the command that installs it.
    """
    if find_spec(package) is None:
        raise CorpusError(f"the package {package} is not installed", action=f"Install it: pip install 'ser[{package}]'")
    return import_module(package)
