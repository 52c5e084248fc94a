"""Sources of models: the caches on this machine, and the hubs of Hugging Face and ModelScope."""

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ser.errors import EncoderError
from ser.extract.options import EncoderOptions
from ser.optional import absent

TENSORS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
TIMEOUT = 10.0  # s until a network that does not answer is called missing
MIRROR = "emotion2vec"  # the organisation on Hugging Face's hub that has ModelScope's emotion2vec models

Fetch = Callable[[str, EncoderOptions], "ModelFiles | None"]


@dataclass(frozen=True)
class ModelFiles:
    """A model's files.

    Attributes:
        folder: where they are.
        model: hub id; the folder's name for a local folder.
        revision: the commit, where it is known.
    """

    folder: Path
    model: str
    revision: str | None = None


def hugging_face_cache(model: str, options: EncoderOptions) -> ModelFiles | None:
    """Look into the Hugging Face cache, without a network. Old ids without an organisation are the same models."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for repo in (model, model.split("/")[-1]):
        try:
            folder = Path(snapshot_download(repo, revision=options.revision, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError, FileNotFoundError):
            continue
        return ModelFiles(folder, model, folder.name)
    return None


def hugging_face_hub(model: str, options: EncoderOptions) -> ModelFiles | None:
    """Download from the Hugging Face hub into its cache.

    Raises:
        Unreachable: the network does not answer.
        EncoderError: the hub answers that there is no such model or revision, or that it needs a log-in.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().model_info(model, revision=options.revision, timeout=TIMEOUT)
        files = [sibling.rfilename for sibling in info.siblings or []]
        folder = snapshot_download(model, revision=info.sha, allow_patterns=wanted(files))
    except GatedRepoError:
        raise EncoderError(f"{model} asks for a log-in", action="Accept its terms on the hub, then: hf auth login") from None
    except (RepositoryNotFoundError, HFValidationError):
        raise EncoderError(f"the hub has no model {model}", expected="a short name, a hub id or a folder") from None
    except RevisionNotFoundError:
        raise EncoderError(f"{model} has no revision {options.revision}", expected="a commit, branch or tag") from None
    except Exception as error:  # of the HTTP library that huggingface_hub is built on, which changes
        raise unreachable(error) from None
    return ModelFiles(Path(folder), model, info.sha)


class Unreachable(Exception):
    """The network did not give a model; the text says why."""


def unreachable(error: Exception) -> Exception:
    """The exception to raise for an error of the network: a full disk is an error of another kind."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return error
    root: BaseException = error
    while root.__cause__ or root.__context__:
        root = root.__cause__ or root.__context__ or root
    return Unreachable(" ".join(str(root).split())[:200] or type(root).__name__)


def wanted(files: Sequence[str]) -> list[str]:
    """The files of a hub's that an encoder needs: settings, tokenizers, and one format of the weights."""
    top = [file for file in files if "/" not in file]
    pooling = [file for file in files if file.endswith("_Pooling/config.json")]  # of sentence-transformers
    settings = [file for file in top if file.endswith((".json", ".txt", ".model", ".yaml", ".mvn")) and ".index." not in file]
    for kind in TENSORS:
        if kind in top:
            stem, suffix = kind.removesuffix(".index.json").split(".")
            shards = [f for f in top if f.startswith(f"{stem}-") and f.endswith(f".{suffix}")] if ".index." in kind else []
            return sorted([*settings, *pooling, kind, *shards])
    of_others = [file for file in top if file.endswith((".pt", ".bin", ".ckpt"))]  # funasr, 3D-Speaker
    return sorted([*settings, *of_others])


def modelscope_cache(model: str, options: EncoderOptions) -> ModelFiles | None:
    """Look into ModelScope's cache, without a network."""
    try:
        download = import_module("modelscope.hub.snapshot_download").snapshot_download
        folder = download(model, revision=options.revision, local_files_only=True)
    except Exception:  # not there, or another version's idea of a cache
        return None
    return ModelFiles(Path(folder), model, options.revision)


def modelscope_hub(model: str, options: EncoderOptions) -> ModelFiles | None:
    """Download from ModelScope into its cache; its own retries take 20 s and more, so ask for a sign of life first.

    Raises:
        Unreachable: the network does not answer, or there is no such model.
    """
    if not model.startswith("iic/"):
        return None
    try:
        api = import_module("modelscope.hub.api")
    except ImportError:
        raise Unreachable(absent("modelscope", "modelscope", "ModelScope").line()) from None
    try:
        endpoint = api.HubApi().endpoint
        import_module("requests").head(endpoint, timeout=TIMEOUT)
        download = import_module("modelscope.hub.snapshot_download").snapshot_download
        folder = download(model, revision=options.revision)
    except Exception as error:
        raise unreachable(error) from None
    return ModelFiles(Path(folder), model, options.revision)


def mirror_cache(model: str, options: EncoderOptions) -> ModelFiles | None:
    """Look for the same model in the Hugging Face cache."""
    return hugging_face_cache(f"{MIRROR}/{model.split('/')[-1]}", options)


def mirror_hub(model: str, options: EncoderOptions) -> ModelFiles | None:
    """Download the same model from the Hugging Face hub."""
    return hugging_face_hub(f"{MIRROR}/{model.split('/')[-1]}", options)


HUBS: tuple[Fetch, ...] = (hugging_face_hub, modelscope_hub, mirror_hub)  # the sources that need a network
