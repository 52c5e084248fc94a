"""A folder of Hugging Face `datasets`: saved by `save_to_disk`, or the Parquet files of a hub repository. Needs the package.

Audio that is kept inside the dataset is written out once, below `ser_audio/` in the folder, so that it can be read again.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ser.errors import CorpusError
from ser.files import why
from ser.metadata.column_names import translate
from ser.metadata.corpora._example import write_tone
from ser.metadata.labels import BY_WORD
from ser.metadata.parsing import optional
from ser.metadata.schema import Row
from ser.metadata.table_files import RawRow
from ser.metadata.words_in_cells import SPLITS
from ser.workspace import writing

PACKAGES = ("datasets",)
TITLE = "Hugging Face dataset"
CITATION = "none: that of the dataset"
LICENCE = "that of the dataset"
URL = ""
LANGUAGE = ""
TREE = """
dataset_dict.json, train/, ...      as save_to_disk leaves them (or dataset_info.json and *.arrow, for one split)
data/train-00000-of-00001.parquet   or the Parquet files of a hub repository, named after their split
"""
LABELS = BY_WORD
UTTERANCES = None
SENTENCES = None
NOTES = (
    "ser metadata --dataset NAME --format datasets --root DIR; needs: pip install 'ser[datasets]'.",
    "Columns are known by the same names as for csv; numbers of a ClassLabel, and of a list of them, become its words.",
    "Audio inside the dataset is written to ser_audio/ in its folder, once: that takes as much space again.",
)
OUT = "ser_audio"


def parse(root: Path, ratings: Sequence[str] = ()) -> Iterator[Row]:
    """Rows of all splits.

    Raises:
        CorpusError: the package or the dataset is not there, or its audio cannot be written out.
    """
    package = optional("datasets")
    rows: list[RawRow] = []
    for split, data in _splits(root, package).items():
        audio = next((name for name, kind in data.features.items() if isinstance(kind, package.Audio)), None)
        words = {name: kind for name, own in data.features.items() if (kind := _class_label(own, package)) is not None}
        for number, cells in enumerate(_stored(data)):
            row = {name: _in_words(words[name], v) if name in words else v for name, v in cells.items()}
            if audio is not None:
                row["path"] = _file(row.pop(audio), root, split, number)
            rows.append({**row, **({"split": split} if split in SPLITS and "split" not in row else {})})
    yield from translate(rows, root, root, ratings)


def example(root: Path) -> Path:
    package, arrow = optional("datasets"), optional("pyarrow")
    features = package.Features(
        {"audio": package.Audio(), "emotion": package.ClassLabel(names=["happy", "sad"]), "speaker_id": package.Value("string")}
    )
    made = package.DatasetDict()
    for split, names in (("train", "ab"), ("test", "c")):
        files = [write_tone(root.parent / f"{name}.wav", seconds=0.5) for name in names]
        columns = {
            "audio": [{"bytes": file.read_bytes(), "path": file.name} for file in files],
            "emotion": [int(name == "b") for name in names],
            "speaker_id": [f"s-{name}" for name in names],
        }
        table = package.table.InMemoryTable(arrow.table(columns, schema=features.arrow_schema))
        made[split] = package.Dataset(table, info=package.DatasetInfo(features=features))
    made.save_to_disk(str(root))
    return root


def _splits(root: Path, package: Any) -> dict[str, Any]:
    """Split -> dataset; one without splits is called `all`."""
    parquet: dict[str, list[str]] = {}
    for path in sorted([*root.glob("*.parquet"), *root.glob("data/*.parquet")]):
        if not path.name.startswith("."):
            parquet.setdefault(path.name.split("-")[0].removesuffix(".parquet"), []).append(str(path))
    try:
        if parquet:
            return {split: package.Dataset.from_parquet(files) for split, files in parquet.items()}
        saved = package.load_from_disk(str(root))
    except Exception as error:
        raise CorpusError(
            f"{root}: no Hugging Face dataset", expected="a folder as save_to_disk or a hub repository leaves it", found=error
        ) from error
    return dict(saved) if isinstance(saved, package.DatasetDict) else {"all": saved}


def _class_label(kind: Any, package: Any) -> Any:
    """The ClassLabel of a column of them, or of a column of lists of them; None for another column."""
    inner = kind[0] if isinstance(kind, list) else getattr(kind, "feature", kind)
    return inner if isinstance(inner, package.ClassLabel) else None


def _in_words(labels: Any, value: Any) -> Any:
    """The words of a ClassLabel's number or list of numbers; None, also -1 as hubs write it, is no label."""
    if isinstance(value, list):
        return [_in_words(labels, one) for one in value]
    return None if value is None or value == -1 else labels.int2str(value)


def _stored(data: Any) -> Iterator[RawRow]:
    """Cells as they are stored: audio is not decoded, which would need another package."""
    for batch in data.with_format("arrow").iter(batch_size=256):
        yield from batch.to_pylist()


def _file(audio: dict[str, Any] | None, root: Path, split: str, number: int) -> str:
    """The paths of the audio, relative to the root; audio inside the dataset is written out."""
    if not audio:
        return ""
    path, content = audio.get("path") or "", audio.get("bytes")
    if content is None:
        return str(path)
    out = root / OUT / split / (Path(path).name or f"{number:06d}.wav")
    if not (out.is_file() and out.stat().st_size == len(content)):
        try:
            with writing(out) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            raise CorpusError(f"cannot write the dataset's audio to {out}", found=why(error)) from None
    return out.relative_to(root).as_posix()
