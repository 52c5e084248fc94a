"""Packages that a part of extraction needs, and their versions for the identity of what it makes."""

from importlib.metadata import version
from importlib.util import find_spec

from ser.errors import EncoderError


def versions(*packages: str) -> dict[str, str]:
    """Versions of the packages that compute."""
    return {package: version(package) for package in packages}


def require(package: str, extra: str) -> None:
    """Refuse to go on without an optional package.

    Raises:
        EncoderError: naming the command that installs it.
    """
    if find_spec(package) is None:
        raise EncoderError(f"the package {package} is not installed", action=f"Install it: pip install 'ser[{extra}]'")
