"""Finding a model's files: a local folder, `--weights DIR`, the local cache, the network, in that order; hashing them.

Models are always loaded from a folder found here, never by name, so that no library goes to the network by itself:
a missing file is known at once and reported in one line.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ser.audio.files import LFS_POINTER
from ser.errors import ConfigError, EncoderError
from ser.extract.encoder import Checkpoint
from ser.extract.hubs import HUBS, TENSORS, Fetch, ModelFiles, Unreachable, hugging_face_cache, hugging_face_hub
from ser.extract.options import EncoderOptions, refuse_other_paths
from ser.files import sha256_of

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


def locate_model(
    name: ModelName, options: EncoderOptions, needs: Needs, fetch: Sequence[Fetch] | None = None
) -> ModelFiles:
    """The folder of a model's files.

    Args:
        needs: the files that must be there.
        fetch: the places to look in after `--weights`, in order; each gives a folder or None. Default: the Hugging Face
            cache, then its hub.

    Raises:
        EncoderError: there is no such model, neither on the disk nor in the network, or its weights are Git LFS pointers.
    """
    if name.folder is not None:
        lacking = missing(name.folder, needs)
        if lacking:
            raise EncoderError(
                f"{name.folder} lacks a file of the model", expected=lacking, found=_listing(name.folder)
            )
        return _whole(ModelFiles(name.folder, name.folder.resolve().name))
    reasons: list[str] = []
    for below in dict.fromkeys((name.model, name.model.split("/")[-1], name.short)):
        folder = None if options.weights is None else options.weights / below
        lacking = missing(folder, needs) if folder is not None else None
        if folder is not None and lacking is None:
            return _whole(ModelFiles(folder, name.model))
        if folder is not None and folder.is_dir():
            reasons.append(f"{folder} lacks {lacking}")
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
            return _whole(found)
        reasons += [f"{found.folder} lacks {lacking}"] if found is not None else []
    looked = f"{options.weights} or the cache" if options.weights is not None else "the cache"
    raise EncoderError(
        f"the files of {name.model} are not in {looked}, and the network does not give them",
        found="; ".join(reasons) or None,
        action=f"Where there is a network: {fetch_command(name.model, options.revision)}, or copy the folder "
        f"{name.model.split('/')[-1]} into a folder DIR and give --weights DIR.",
    )


def _whole(found: ModelFiles) -> ModelFiles:
    """The files, none of which is a pointer that a clone without Git LFS leaves in the place of weights.

    Raises:
        EncoderError: one is.
    """
    for file in [
        *tensor_files(found.folder),
        *(file for kind in ("pt", "ckpt", "bin") for file in found.folder.glob(f"*.{kind}")),
    ]:
        with file.open("rb") as handle:
            if handle.read(len(LFS_POINTER)) == LFS_POINTER:
                raise EncoderError(
                    f"{file} is a Git LFS pointer, not the weights themselves",
                    action=f"In {found.folder}: git lfs pull. Or download the model: {fetch_command(found.model)}",
                )
    return found


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
    """The files that hold the weights that transformers reads from a folder: safetensors before pickles."""
    for kind in TENSORS:
        if (folder / kind).is_file():
            if ".index." not in kind:
                return [folder / kind]
            stem, suffix = kind.removesuffix(".index.json").split(".")
            return sorted(folder.glob(f"{stem}-*.{suffix}"))
    return []


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
