"""`ser store import` as one call: files -> the dataset's table, where there is none, and its feature stores."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ser.errors import ConfigError
from ser.features.importing.aligned import gather
from ser.features.importing.dialogues import read_dialogues
from ser.features.importing.keep import Kept, keep
from ser.features.importing.loading import Options
from ser.features.importing.sources import Source
from ser.metadata.schema import check_name
from ser.metadata.table import load_table
from ser.workspace import Workspace


def import_features(
    dataset: str,
    workspace: Workspace,
    sources: Sequence[Source] = (),
    options: Options | None = None,
    *,
    pickle: Path | None = None,
    fields: Sequence[str] | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[Kept]:
    """Import features that were made elsewhere.

    Args:
        dataset: its table is made where there is none, or joined by utterance id where there is one.
        sources: files, see `ser.features.importing.sources.parse`.
        pickle: a pickle of whole dialogues, in place of sources.
        fields: what the members of that pickle are.
        overwrite: start stores afresh that were made of other files.
        say: told what a user should know, a line at a time.

    Returns:
        What was written, one a store.

    Raises:
        ConfigError, CorpusError, StoreError: what does not fit, and what to do about it. Nothing is written then, unless a
            store could not be.
    """
    check_name(dataset)
    options = options or Options()
    if bool(sources) == (pickle is not None):
        raise ConfigError("nothing to import, or two kinds of it", expected="files of features, or --pickle FILE")
    if fields and pickle is None:
        raise ConfigError("--fields says what the members of a pickle are", expected="--pickle FILE")
    there = workspace.table(dataset).is_file()
    table = load_table(dataset, workspace) if there else None
    names = options.label_names
    imported = gather(sources, options, table) if pickle is None else read_dialogues(pickle, fields, names)
    for note in imported.notes:
        say(f"note: {note}")
    return list(keep(imported, dataset, workspace, table, overwrite, say))
