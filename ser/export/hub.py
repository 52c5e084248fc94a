"""Models on the Hugging Face Hub, or on any server of its interface: a folder is pushed, and pulled again."""

import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ser.errors import ConfigError, EncoderError, UnusableError
from ser.export.folder import export_folder, refuse_other_content
from ser.export.origins import limits
from ser.jsonfile import decode, read_limited
from ser.optional import need
from ser.results.records.names import CONFIG
from ser.train.model_folder import CARD, ModelConfig, ModelFolder, read_model_folder
from ser.workspace import Workspace, writing_folder


def push(
    model: str,
    repo: str,
    workspace: Workspace,
    *,
    private: bool = False,
    accept: bool = False,
    endpoint: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """Send a model to the hub, as a folder with its card.

    Args:
        model: a folder of `ser export folder`, an experiment that saved its heads, or the file of one.
        repo: `OWNER/NAME`; made where it is not there.
        private: make it private.
        accept: the limits of the licences were looked at.
        endpoint: of the server; None: HF_ENDPOINT, or the hub itself. The token is HF_TOKEN's, or that of `hf auth login`.
        say: called with each limit that a licence sets.

    Returns:
        The address of the commit.

    Raises:
        ConfigError: no such model, licences that have to be looked at first, or the hub refuses.
    """
    _check_name(repo)
    with TemporaryDirectory() as aside:
        path = Path(model)
        if not (path / CONFIG).is_file():
            path = export_folder(model, workspace, Path(aside) / "model").path
        folder = read_model_folder(path)
        found = list(limits_of(folder.config))
        for line, _ in found:
            say(line)
        asking = [line for line, consent in found if consent]
        if asking and not accept:
            raise ConfigError(
                f"{model} rests on what may not simply be passed on",
                expected="a look at these licences",
                found="; ".join(asking),
                action="If they allow it, push with --accept-licences.",
            )
        with _errors(repo):
            api = _api(endpoint)
            if not api.repo_exists(repo):
                # Servers differ in what they answer to the making of what is there.
                api.create_repo(repo, private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=repo, folder_path=path, allow_patterns=_files(folder.config), commit_message=folder.config.experiment
            )
        return str(done.commit_url)


def pull(
    repo: str, output: Path, *, revision: str | None = None, endpoint: str | None = None, overwrite: bool = False
) -> tuple[ModelFolder, str]:
    """Fetch a model's folder from the hub, and check it.

    Args:
        repo: `OWNER/NAME`.
        output: the folder to write.
        revision: a branch, tag or commit.
        endpoint: as of `push`.
        overwrite: write over such a folder.

    Returns:
        The folder, and the commit that was fetched.

    Raises:
        ConfigError: no such repository or revision, no connection, or what is there is no model of ser.
    """
    _check_name(repo)
    refuse_other_content(output, overwrite)
    with TemporaryDirectory() as aside:
        fetched = Path(aside)
        with _errors(repo):
            api = _api(endpoint)
            info = api.model_info(repo, revision=revision)
        commit, there = str(info.sha), {file.rfilename for file in info.siblings or ()}
        config = _config(repo, fetched, there, lambda name: _fetch(api, repo, name, commit, fetched))
        names = [name for name in _files(config) if name in there]
        for name in names[1:]:
            _fetch(api, repo, name, commit, fetched)
        read_model_folder(fetched)
        with writing_folder(output) as target:
            for name in names:
                shutil.copyfile(fetched / name, target / name)
    return read_model_folder(output), commit


def _files(config: ModelConfig) -> list[str]:
    """The files of a model, `config.json` first: nothing else is sent or fetched."""
    return [CONFIG, CARD, *(head.file for head in config.heads)]


def _config(repo: str, folder: Path, there: Collection[str], fetch: Callable[[str], None]) -> ModelConfig:
    """Fetch the configuration of a repository, and check it before anything else is fetched."""
    if CONFIG not in there:
        raise UnusableError(f"{repo} holds no model of ser", expected=CONFIG, action="ser push writes one.")
    fetch(CONFIG)
    try:
        return decode(read_limited(folder / CONFIG, "configuration of a model"), ModelConfig, CONFIG)
    except ConfigError as error:
        raise UnusableError(
            f"{repo} holds no model of ser that this version can read",
            expected=f"a {CONFIG} as ser push writes it",
            found=error.line(),
            action="Check the name; of a newer ser, update.",
        ) from None


def _fetch(api: Any, repo: str, name: str, commit: str, folder: Path) -> None:
    with _errors(repo):
        api.hf_hub_download(repo, name, revision=commit, local_dir=folder)


def limits_of(config: ModelConfig) -> Iterator[tuple[str, bool]]:
    """Each limit that a licence sets, in words, and true where it has to be looked at before a model is passed on."""
    for one in config.licences:
        for limit in limits(one.licence):
            yield f"{one.kind} {one.name} ({one.licence}): {limit.says}", limit.consent


def _check_name(repo: str) -> None:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise ConfigError(f"{repo!r} names no repository", expected="OWNER/NAME")


def _api(endpoint: str | None) -> Any:
    need("huggingface_hub", "hub", kind=EncoderError)
    from huggingface_hub import HfApi

    return HfApi(endpoint=endpoint, library_name="ser")


@contextmanager
def _errors(repo: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub, and of what it calls, into one line that says what to do."""
    need("huggingface_hub", "hub", kind=EncoderError)
    from huggingface_hub import errors

    try:
        yield
    except errors.RevisionNotFoundError:
        raise ConfigError(
            f"{repo} has no such revision", action="Leave --revision out, or name a branch, tag or commit."
        ) from None
    except errors.HFValidationError as error:
        raise ConfigError(f"{repo!r} names no repository", expected="OWNER/NAME", found=_first_line(error)) from None
    except errors.OfflineModeIsEnabled:
        raise UnusableError("the hub is not asked, as HF_HUB_OFFLINE is set", action="Unset it.") from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            problem = f"the hub refuses {'to let you write to' if status == 403 else 'you at'} {repo}"
            action = "Set HF_TOKEN to a token that may do this, or log in: hf auth login."
        elif status == 404:
            problem, action = f"there is no repository {repo}", "Check the name; of a private one, set HF_TOKEN."
        else:
            problem, action = f"the hub fails at {repo}", "Try again later."
        raise UnusableError(problem, found=_first_line(error), action=action) from None
    except errors.LocalTokenNotFoundError:
        raise UnusableError(f"no token to write to {repo}", action="Set HF_TOKEN, or log in: hf auth login.") from None
    except (LookupError, TypeError, ValueError) as error:
        # What the library raises where the server's answer is not what it reads: none of its own errors.
        raise UnusableError(
            f"the server's answer about {repo} cannot be read",
            expected="the interface of the Hugging Face Hub",
            found=f"{type(error).__name__}: {_first_line(error)}",
            action="Check HF_ENDPOINT or --endpoint.",
        ) from None
    except Exception as error:
        # Errors of the connection are of httpx or requests, by the version of huggingface_hub.
        if not isinstance(error, OSError) and not type(error).__module__.startswith(("httpx", "httpcore", "requests")):
            raise
        raise UnusableError(
            f"the hub cannot be reached for {repo}",
            found=f"{type(error).__name__}: {_first_line(error)}",
            action="Check the connection, and HF_ENDPOINT or --endpoint.",
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")
