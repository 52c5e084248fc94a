"""Optional packages, which extras of this program bring: one message where one is not installed."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from ser.errors import ConfigError, SerError


def installed(package: str) -> str | None:
    """The version of a package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def absent(package: str, extra: str = "", by: str = "", *, kind: type[SerError] = ConfigError, note: str = "") -> SerError:
    """The error of a package that is not installed.

    Args:
        package: as pip names it.
        extra: of this program, which brings it; "": the package is installed by itself.
        by: the option, the format or the command that needs it.
        note: a remark after the command that installs it.
    """
    problem = f"{by} needs the package {package}, which" if by else f"the package {package}"
    wanted = f"'ser[{extra}]'" if extra else package
    return kind(f"{problem} is not installed", action=f"Install it: pip install {wanted}{note}")


def need(
    package: str, extra: str = "", by: str = "", *, module: str = "", kind: type[SerError] = ConfigError, note: str = ""
) -> None:
    """Refuse to go on without an optional package; arguments as of `absent`.

    Args:
        module: as Python imports it, where the name is another.

    Raises:
        SerError: of `kind`, with the command that installs it.
    """
    if find_spec(module or package) is None:
        raise absent(package, extra, by, kind=kind, note=note)
