"""Optional packages, which extras of this program bring: one message where one is not installed."""

from importlib.metadata import PackageNotFoundError, distributions, version
from importlib.util import find_spec

from ser.errors import ConfigError, SerError


def installed(package: str) -> str | None:
    """The version of a package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def modules_of_packages() -> dict[str, list[str]]:
    """The modules of each installed package, by the package's name.

    `importlib.metadata.packages_distributions` finds them from Python 3.11 on; that of 3.10 reads only `top_level.txt`, which
    few packages have.
    """
    found: dict[str, list[str]] = {}
    for package in distributions():
        said = (package.read_text("top_level.txt") or "").split()
        files = [file for file in package.files or () if file.suffix == ".py"] if not said else []
        names = said or {file.parts[0] if len(file.parts) > 1 else file.stem for file in files}
        found.setdefault(package.metadata["Name"] or "", sorted(name for name in names if name.isidentifier()))
    return found


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
