"""Loading transformers models strictly, from a folder.

A model whose checkpoint lacks a weight runs happily with random numbers in its place: transformers and funasr only
print a warning. Here that is an error.
"""

import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ser.errors import EncoderError
from ser.extract.checkpoints import ModelName, locate_model, parse_model_name, sha256, tensor_files
from ser.extract.encoder import Checkpoint
from ser.extract.hubs import TENSORS, ModelFiles
from ser.extract.options import DTYPES, EncoderOptions, refuse_unused, torch_dtype
from ser.files import JsonObject
from ser.optional import need

NEEDS = (("config.json",), TENSORS)
PREPROCESSOR = ("preprocessor_config.json", "processor_config.json")


def find_model(
    name: str,
    options: EncoderOptions,
    family: str,
    checkpoints: Mapping[str, Checkpoint],
    kinds: Sequence[str],
    what: str,
    **allowed: Any,
) -> tuple[ModelName, ModelFiles]:
    """Find the files of a model that transformers reads of audio. Options are checked before anything is fetched.

    Args:
        name: as the user gave it.
        family, checkpoints: the plugin's name and its `CHECKPOINTS`.
        kinds, what: as of `refuse_other_kind`.
        allowed: option -> what it may be besides its default; the types to compute in are allowed.

    Raises:
        ConfigError: an option that the encoder does not use.
        EncoderError: the package or the files are missing, or are of another kind of model.
    """
    need("transformers", "encoders", kind=EncoderError)
    refuse_unused(options, name, dtype=DTYPES, **allowed)
    known = parse_model_name(name, family, checkpoints)
    found = locate_model(known, options, (*NEEDS, PREPROCESSOR))
    refuse_other_kind(found, known.model, what, kinds)
    return known, found


def model_config(found: ModelFiles) -> JsonObject:
    """`config.json` of a model folder.

    Raises:
        EncoderError: it is not JSON.
    """
    try:
        content = json.loads((found.folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(f"cannot read {found.folder / 'config.json'}", found=error) from None
    if not isinstance(content, dict):
        raise EncoderError(f"{found.folder / 'config.json'} is not a model configuration", expected="a mapping")
    return content


def refuse_other_kind(found: ModelFiles, name: str, what: str, kinds: Sequence[str]) -> None:
    """Refuse a model whose `config.json` says that it is of another kind.

    Args:
        name: as the user knows the model.
        what: the kind that is expected, with its article.
        kinds: the values of `model_type` that go with it.

    Raises:
        EncoderError: it is of another kind.
    """
    kind = model_config(found).get("model_type")
    if kind not in kinds:
        raise EncoderError(f"{name} is not {what}", expected=" or ".join(kinds), found=kind)


def load_strictly(kind: Any, found: ModelFiles, dtype: str, unused: str, **options: Any) -> Any:
    """Load a transformers model from a folder, in evaluation mode, with every weight that it uses.

    Args:
        kind: the model class.
        dtype: the type to compute in, also where the checkpoint has another.
        unused: regular expression of weights that may be missing because features do not depend on them.
        options: passed on to `from_pretrained`.

    Raises:
        EncoderError: the files are damaged, of another architecture, or lack a weight.
    """
    safe = tensor_files(found.folder)[0].suffix == ".safetensors"
    try:
        with quiet_transformers():
            model, report = kind.from_pretrained(
                found.folder,
                dtype=torch_dtype(dtype),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=safe,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are in the report, and refused by name below
                **options,
            )
    except MemoryError:
        raise
    except Exception as error:  # of transformers, torch, pickle and safetensors: a damaged file shows in many ways
        raise EncoderError(f"cannot load the model in {found.folder}", found=why_unreadable(error)) from None
    lacking = sorted(key for key in report["missing_keys"] if not re.search(unused, key))
    if lacking or report["mismatched_keys"]:
        refuse_missing(found, lacking, list(report["mismatched_keys"]))
    return model.eval().requires_grad_(False)


def why_unreadable(error: Exception) -> str:
    """The reason why weights cannot be read, for a message.

    torch refuses a pickle of anything but tensors, and advises to read it all the same: that advice is not passed on.
    """
    if "eights only load failed" in str(error):
        return "a pickle that is damaged or holds more than tensors: it could run code, and is not read. Take safetensors"
    reason = str(error).split("\n")[0][:300]
    if type(error).__name__ == "SafetensorError":
        return f"{reason}: a file that is damaged or was cut short. Copy or download it again"
    return reason


def refuse_missing(found: ModelFiles, lacking: Sequence[str], mismatched: Sequence[Any] = ()) -> None:
    """Raise the error for a checkpoint that would leave weights random.

    Raises:
        EncoderError: always.
    """
    names = [*lacking, *sorted(str(item[0] if isinstance(item, tuple) else item) for item in mismatched)]
    raise EncoderError(
        f"the checkpoint in {found.folder} lacks weights that the encoder uses: they would be random numbers",
        expected="all of them",
        found=f"{len(names)} missing or of another shape: {', '.join(names[:3])}" + (", ..." if len(names) > 3 else ""),
        action="Is it a complete download, of this architecture?",
    )


def weights_identity(found: ModelFiles, *settings: str) -> dict[str, str]:
    """Hashes of the weights and of the settings files that change features."""
    there = [found.folder / file for file in settings if (found.folder / file).is_file()]
    return {"weights_sha256": sha256(tensor_files(found.folder)), "settings_sha256": sha256(there)}


@contextmanager
def quiet_pickles() -> Iterator[None]:
    """Keep torch from warning of a pickle's protocol before it is read, or refused with a reason."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
        yield


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from printing its load report and progress bars: the important parts are errors here."""
    from transformers.utils import logging as said

    level, bar = said.get_verbosity(), said.is_progress_bar_enabled()
    said.set_verbosity(logging.CRITICAL)
    said.disable_progress_bar()
    try:
        with quiet_pickles():
            yield
    finally:
        said.set_verbosity(level)
        if bar:
            said.enable_progress_bar()


def load_tokenizer(found: ModelFiles) -> Any:
    """The tokenizer in a model folder.

    Raises:
        EncoderError: it cannot be made from the files that are there.
    """
    from transformers import AutoTokenizer

    return _made(AutoTokenizer, found, "tokenizer")


def load_extractor(found: ModelFiles) -> Any:
    """The feature extractor of a model folder, which makes the model's input from audio; errors as of `load_tokenizer`."""
    from transformers import AutoFeatureExtractor

    return _made(AutoFeatureExtractor, found, "preprocessor")


def _made(kind: Any, found: ModelFiles, what: str) -> Any:
    try:
        with quiet_transformers():
            return kind.from_pretrained(found.folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # of transformers, tokenizers, sentencepiece, protobuf or json
        raise EncoderError(f"cannot load the {what} in {found.folder}", found=str(error)[:200]) from None
