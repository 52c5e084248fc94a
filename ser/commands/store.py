"""`ser store`: look after feature stores."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from ser.commands._base import Command, Group, Session
from ser.commands._types import FILE, Folder, Items, Whole


def _which(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose stores."""
    store = click.option("--store", "stores", type=Items(), help="Names of the stores.  [default: all]")
    dataset = click.option("--dataset", "datasets", type=Items(), help="Datasets of the stores.  [default: all]")
    return dataset(store(function))


@click.group("store", cls=Group)
def command() -> None:
    """Inspect, verify, merge, export, plot and import feature stores."""


@command.command("info", cls=Command)
@_which
def info(session: Session, **which: Any) -> None:
    """Describe the content of each store; with --verbose, also the origin of its features."""
    from ser.errors import StoreError
    from ser.features.stores import maintenance

    failed = False
    for path in maintenance.choose(session.workspace, **which):
        try:
            click.echo(maintenance.info(path, session.verbose))
        except StoreError as error:
            failed = True
            session.warn(error.line())
    if failed:
        raise click.exceptions.Exit(3)


@command.command("verify", cls=Command)
@_which
@click.option("--repair", is_flag=True, help="Remove damaged utterances, so that `ser extract` extracts them again.")
def verify(session: Session, repair: bool, **which: Any) -> None:
    """Compare every utterance with its checksum; exit code 3 if any is damaged."""
    from ser.features.stores import maintenance

    sound = True
    for path in maintenance.choose(session.workspace, **which):
        finding = maintenance.verify(path, repair, session.warn)
        session.say(finding.line())
        sound &= finding.sound
    if not sound:
        raise click.exceptions.Exit(3)


@command.command("merge", cls=Command)
@_which
def merge(session: Session, **which: Any) -> None:
    """Merge the shards of each store into one file, in the table's order."""
    from ser.features.stores import maintenance

    for path in maintenance.choose(session.workspace, **which):
        session.say(maintenance.merge(path, session.workspace, session.warn))


@command.command("export", cls=Command)
@_which
@click.option(
    "--format",
    "kind",
    type=click.Choice(["npz", "csv", "parquet", "datasets"]),
    help="[default: by the ending of --output, or npz]",
)
@click.option(
    "--output",
    type=Folder(or_file=True),
    default=Path(),
    help="A folder, or for one store a file ending in .npz, .csv or .parquet.  [default: the current folder]",
)
@click.option("--overwrite", is_flag=True, help="Replace existing exports.")
def export(session: Session, kind: str | None, output: Path, overwrite: bool, **which: Any) -> None:
    """Write stores: .npz (any), .csv or .parquet (one vector per utterance), datasets (with their tables, for Hugging Face).

    \b
    ser store export --dataset emodb --store egemaps --output emodb.csv
    ser store export --format parquet --output exports
    """
    from ser.errors import ConfigError
    from ser.features.export import TABLES, require_new_dataset, save_datasets, to_datasets
    from ser.features.export import export as write
    from ser.features.stores.maintenance import choose
    from ser.features.stores.store import FeatureStore
    from ser.files import require_folder, require_new

    names = {path: (path.parent.name, path.name.removesuffix(".h5")) for path in choose(session.workspace, **which)}
    file = None if output.is_dir() or output.suffix not in TABLES else output
    kind = kind or (file.suffix[1:] if file else "npz")
    if file and (len(names) > 1 or file.suffix != f".{kind}"):
        found = f"{', '.join('/'.join(n) for n in names.values())} as {kind}"
        raise ConfigError(f"--output {file} is one file", expected="a folder, or one store in that format", found=found)
    if not file:
        require_folder(output, made=True)
    places = {path: file or output / f"{dataset}.{name}.{kind}" for path, (dataset, name) in names.items()}
    for place in places.values():
        (require_new_dataset if kind == "datasets" else require_new)(place, overwrite)
    for path, (dataset, name) in names.items():
        if kind == "datasets":
            made = to_datasets(dataset, session.workspace, store=name)
            save_datasets(made, places[path], overwrite=overwrite)
            count = len(made)
        else:
            with FeatureStore(path) as store:
                write(store, places[path], overwrite=overwrite)
                count = len(store)
        session.say(f"{dataset} {name}: {count} utterances -> {places[path]}")


@command.command("plot", cls=Command)
@click.option(
    "--dataset", "datasets", type=Items(), required=True, help="One dataset or several; --by corpus tells several apart."
)
@click.option("--store", required=True, help="Store, by its own name or its encoder's.")
@click.option("--by", type=Items(), default="emotion", show_default=True, help="Columns to colour by, one panel for each.")
@click.option("--method", type=click.Choice(["tsne", "umap", "pca"]), default="tsne", show_default=True)
@click.option("--limit", type=Whole(min=5), default=3000, show_default=True, help="Maximum number of utterances to draw.")
@click.option("--seed", type=Whole(min=0, largest=2**32 - 1), default=0, show_default=True)
@click.option("--output", type=FILE, help="[default: STORE.COLUMNS.METHOD.png next to the store]")
@click.option("--overwrite", is_flag=True, help="With --output: replace an existing file.")
def plot(session: Session, datasets: list[str], store: str, output: Path | None, overwrite: bool, **options: Any) -> None:
    """Draw the features of a store in the plane, coloured by emotion, speaker, corpus or another column.

    Each panel states how many of an utterance's nearest neighbours share its value. If that is higher for speakers than for
    emotions, a head learns who speaks.

    \b
    ser store plot --dataset emodb --store egemaps --by emotion,speaker
    """
    from ser.files import require_new
    from ser.results.plotting.feature_map import plot_store
    from ser.results.plotting.style import require_format, save

    if output is not None:
        require_format(output)
        require_new(output, overwrite)
    figure = plot_store(datasets, session.workspace, store=store, **options)
    beside, columns = ["with-" + "+".join(datasets[1:])] * (len(datasets) > 1), "-".join(options["by"])
    name = ".".join([store, *beside, columns, options["method"], "png"])
    path = output or session.workspace.features(datasets[0]) / name
    save(figure, path)
    session.say(f"written: {path}")


@command.command("import", cls=Command)
@click.option("--dataset", required=True, metavar="NAME", help="Dataset of the stores; its table is made if there is none.")
@click.option("--features", multiple=True, metavar="NAME=FILE", help="Features of all parts, or of data without parts.")
@click.option("--train", multiple=True, metavar="NAME=FILE", help="Features of the training part.")
@click.option("--validation", multiple=True, metavar="NAME=FILE", help="Features of the validation part.")
@click.option("--test", multiple=True, metavar="NAME=FILE", help="Features of the test part.")
@click.option("--pickle", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="A tuple of dicts by dialogue, such as IEMOCAP_features.pkl. No code in it is run.")  # fmt: skip
@click.option("--fields", type=Items(), help="Meaning of each member of --pickle, if it is not known: labels,text,train,-")
@click.option("--rows", is_flag=True, help="Row k is the same utterance in every file; counts and labels are compared.")
@click.option("--id", "id_column", metavar="COLUMN", help="Utterance ids: a column's name or number.  [default: by name]")
@click.option("--label", metavar="COLUMN", help="Labels: a column's name or number; -1 is the last.  [default: by name]")
@click.option("--columns", type=Items(), help="Feature columns of a table: names, numbers, FIRST:LAST.  [default: by name]")
@click.option("--label-names", type=Items(), help="Names of the labels 0, 1, ...: negative,positive")
@click.option(
    "--rating",
    metavar="NAME:LOW:HIGH",
    help="Treat the labels as numbers on this scale, which heads may learn (--target NAME): sentiment:-3:3",
)
@click.option("--frames", "axis", flag_value="frames", help="The second of three axes is the frames of an utterance.")
@click.option("--turns", "axis", flag_value="turns", help="The second of three axes is the turns of a dialogue.")
@click.option(
    "--encoder",
    "encoders",
    multiple=True,
    metavar="[STORE=]NAME",
    help="Encoder that made the features; corpora that share one can be used together. May be repeated.",
)
@click.option("--overwrite", is_flag=True, help="Replace stores made from other files.")
def import_features(session: Session, dataset: str, encoders: tuple[str, ...], **options: Any) -> None:
    """Import features made elsewhere: CSV, Parquet, NPY, NPZ, pickles, folders of UTTERANCE_ID.npy.

    NAME is text, audio or visual, or with a name for the store, such as visual:openface; or ids, labels, lengths (or masks),
    speakers. FILE.npz:KEY and FILE.pkl:KEY/KEY select one array of several.

    \b
    ser store import --dataset mosi --rows --label -1 --train text=t.csv --train audio=a.csv --test text=...
    ser store import --dataset iemocap --features visual:openface=FOLDER
    ser store import --dataset talks --turns --rows --train text=t.npy --train lengths=n.npy --train labels=y.npy
    ser store import --dataset iemocap-talks --pickle IEMOCAP_features.pkl
    """
    from ser.errors import ConfigError
    from ser.features.importing.feature_files import parse
    from ser.features.importing.import_features import import_features as keep
    from ser.features.importing.loading import ImportOptions

    files = {"": options.pop("features"), **{part: options.pop(part) for part in ("train", "validation", "test")}}
    sources = [parse(word, part) for part, words in files.items() for word in words]
    declared = {
        store if equals else "": name if equals else store for store, equals, name in (e.partition("=") for e in encoders)
    }
    if len(declared) < len(encoders):
        raise ConfigError("--encoder has one store twice", expected="each store once", found=", ".join(encoders))
    given = {f.name: options.pop(f.name) for f in fields(ImportOptions) if f.name in options}
    given |= {name: tuple(given[name]) if given[name] else None for name in ("label_names", "columns")}
    how = ImportOptions(**given, encoders=declared)
    kept = keep(dataset, session.workspace, sources, how, **options, say=session.say)
    for store in kept:
        session.say(store.line)
    if any(store.failed for store in kept):
        raise click.exceptions.Exit(3)
