"""Finding a model's files: a local folder, `--weights DIR`, the local cache, the network, in that order; hashing them.

Models are always loaded from a folder found here, never by name, so that no library goes to the network by itself:
a missing file is known at once and reported in one line.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ser.errors import ConfigError, EncoderError
from ser.extract.encoder import Checkpoint
from ser.extract.hubs import HUBS, TENSORS, Fetch, ModelFiles, Unreachable, hugging_face_cache, hugging_face_hub
from ser.extract.options import EncoderOptions, refuse_other_paths
from ser.files import LFS_POINTER, sha256_of

Needs = Sequence[Sequence[str]]  # of each group of file names, one must be there


@dataclass(frozen=True)
class ModelName:
    """A user's name for a model, understood.

    Attributes:
        short: the name that stores are named after.
        model: hub id, or the local folder as given.
        folder: the local folder, where it is one.
        checkpoint: the published checkpoint, where it is a known one.
    """

    short: str
    model: str
    folder: Path | None
    checkpoint: Checkpoint | None


def is_hub_id(name: str) -> bool:
    """True for a name of the form `organisation/model`."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None


def parse_model_name(name: str, family: str, checkpoints: Mapping[str, Checkpoint]) -> ModelName:
    """Tell apart short names, hub ids and folders.

    Args:
        name: as the user gave it.
        family: the plugin's name.
        checkpoints: the plugin's.

    Raises:
        ConfigError: the name of a family that has no default checkpoint.
    """
    for short, checkpoint in checkpoints.items():
        if name in (short, checkpoint.hub, checkpoint.hub.split("/")[-1]):
            return ModelName(short, checkpoint.hub, None, checkpoint)
    if name == family:
        expected = f"one of {', '.join(checkpoints)}, a hub id, or a folder"
        raise ConfigError(f"{name!r} is a family of encoders", expected=expected)
    folder = Path(name).expanduser()
    refuse_other_paths(name)
    short = plain_name(folder.resolve().name if folder.is_dir() else name.split("/")[-1])
    return ModelName(short, name, folder if folder.is_dir() else None, None)


def plain_name(name: str) -> str:
    """A name that fits into a store's: lower-case letters, digits, `-` and `_`.

    >>> plain_name("wav2vec2-large-xlsr-53.v2")
    'wav2vec2-large-xlsr-53-v2'
    """
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-") or "model"


def locate_model(name: ModelName, options: EncoderOptions, needs: Needs, fetch: Sequence[Fetch] | None = None) -> ModelFiles:
    """The folder of a model's files.

    Args:
        needs: the files that must be there.
        fetch: the places to look in after `--weights`, in order; each gives a folder or None. Default: the Hugging Face
            cache, then its hub.

    Raises:
        ConfigError: a revision of a local folder.
        EncoderError: there is no such model, neither on the disk nor in the network, or a file of it is a Git LFS pointer.
    """
    if name.folder is not None:
        if options.revision is not None:
            raise ConfigError(
                f"{name.folder} is a folder, whose files do not say that they are revision {options.revision}",
                expected="a hub id with a revision, or a folder without",
            )
        lacking = missing(name.folder, needs)
        if lacking:
            raise EncoderError(f"{name.folder} lacks a file of the model", expected=lacking, found=_listing(name.folder))
        return _whole(ModelFiles(name.folder, name.folder.resolve().name), needs)
    reasons: list[str] = []
    for below in dict.fromkeys((name.model, name.model.split("/")[-1], name.short)):
        folder = None if options.weights is None else options.weights / below
        if folder is None or not folder.is_dir():
            continue
        lacking = missing(folder, needs)
        if lacking is None and options.revision is None:
            return _whole(ModelFiles(folder, name.model), needs)
        reasons.append(f"{folder} lacks {lacking}" if lacking else f"{folder} does not say of which revision it is")
    announced = options.announce is None
    for source in (hugging_face_cache, hugging_face_hub) if fetch is None else fetch:
        if options.announce is not None and source in HUBS and not announced:
            options.announce(f"the files of {name.model} are not here, and are fetched from the network")
            announced = True
        try:
            found = source(name.model, options)
        except Unreachable as error:
            reasons.append(str(error))
            continue
        lacking = missing(found.folder, needs) if found is not None else None
        if found is not None and lacking is None:
            return _whole(found, needs)
        reasons += [f"{found.folder} lacks {lacking}"] if found is not None else []
    looked = f"{options.weights} or the cache" if options.weights is not None else "the cache"
    raise EncoderError(
        f"the files of {name.model} are not in {looked}, and the network does not give them",
        found="; ".join(reasons) or None,
        action=f"Where there is a network: {fetch_command(name.model, options.revision)}, or copy the folder "
        f"{name.model.split('/')[-1]} into a folder DIR and give --weights DIR.",
    )


def _whole(found: ModelFiles, needs: Needs) -> ModelFiles:
    """The files, none of which is a pointer that a clone without Git LFS leaves in place of a large one.

    Files that are not read may be pointers: `git lfs pull --include` fetches one format of the weights.

    Raises:
        EncoderError: one that is read is a pointer, or a part of the weights is not there.
    """
    read = [found.folder / file for group in needs if tuple(group) != TENSORS for file in group]
    if TENSORS in needs:
        read += tensor_files(found.folder)
    elif any("config.yaml" in group for group in needs):
        read += sorted(found.folder.glob("*.pt"))  # of funasr's layout
    for file in read:
        if file.is_file() and _is_pointer(file):
            download = f" Or download the model: {fetch_command(found.model)}" if is_hub_id(found.model) else ""
            raise EncoderError(
                f"{file} is a Git LFS pointer, not the file itself", action=f"In {found.folder}: git lfs pull.{download}"
            )
    return found


def _is_pointer(file: Path) -> bool:
    with file.open("rb") as handle:
        return handle.read(len(LFS_POINTER)) == LFS_POINTER


def missing(folder: Path, needs: Needs) -> str | None:
    """The first group of which the folder has no file, in words; None where nothing is missing."""
    for group in needs:
        if not any((folder / file).is_file() for file in group):
            return " or ".join(group)
    return None


def fetch_command(model: str, revision: str | None = None) -> str:
    """The shell command that downloads a model into the cache."""
    if model.startswith("iic/"):
        return f"modelscope download --model {model}" + (f" --revision {revision}" if revision else "")
    return f"hf download {model}" + (f" --revision {revision}" if revision else "")


def tensor_files(folder: Path) -> list[Path]:
    """The files that hold the weights that transformers reads from a folder: safetensors before pickles.

    Raises:
        EncoderError: the weights are in several files, and their index is damaged or names one that is not there.
    """
    for kind in TENSORS:
        if (folder / kind).is_file():
            return [folder / name for name in _parts(folder / kind)] if ".index." in kind else [folder / kind]
    return []


def _parts(index: Path) -> list[str]:
    """The names of the files that an index of weights names."""
    try:
        names = sorted({str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise EncoderError(f"{index} is not an index of weights", expected="a weight_map", found=error) from None
    lacking = [name for name in names if not (index.parent / name).is_file()]
    if lacking:
        raise EncoderError(
            f"{index.parent} lacks {len(lacking)} of the {len(names)} files of its weights",
            expected=", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else ""),
            action="Download it again, or what is missing.",
        )
    return names


def sha256(files: Sequence[Path]) -> str:
    """SHA-256 of one file; of several, that of their names and hashes."""
    digests = [sha256_of(file).hexdigest() for file in files]
    if len(files) == 1:
        return digests[0]
    lines = "".join(f"{digest}  {file.name}\n" for digest, file in zip(digests, files, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def _listing(folder: Path) -> str:
    files = sorted(p.name for p in folder.iterdir())
    return ", ".join(files[:6]) + (", ..." if len(files) > 6 else "") if files else "nothing"
