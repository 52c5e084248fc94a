"""Files that a record names: always below the folder of the record, so that a record from elsewhere shows nothing else."""

from pathlib import Path

from ser.errors import ConfigError
from ser.files import open_regular

PNG = b"\x89PNG\r\n\x1a\n"


def beside(record: Path, name: str) -> Path:
    """The file that a record names.

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
            raise ConfigError(f"{record.name} names a file outside its folder: {name}")
        open_regular(file).close()
    except (
        OSError,
        ValueError,
        RuntimeError,
    ) as error:  # a NUL in the name is a ValueError, a loop of links a RuntimeError
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigError(f"{record.name} names {name}, which cannot be read", found=reason) from None
    return folder / name


def picture_beside(record: Path, name: str) -> Path:
    """The PNG picture that a record names.

    Raises:
        ConfigError: as `beside`; or the file is not a PNG.
    """
    file = beside(record, name)
    with open_regular(file) as opened:
        if opened.read(len(PNG)) != PNG:
            raise ConfigError(f"{record.name} names {name}, which is not a PNG picture")
    return file
