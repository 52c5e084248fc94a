"""Transfer matrix: a head of each corpus tested on all corpora, over the classes that all have."""

from typing import Annotated, Literal

from msgspec import Meta

from ser.jsonfile import Model, Word
from ser.results.records.model import Beside, Metrics, Opening, Suspect


class Cell(Model, kw_only=True):
    """A source tested on a target."""

    source: Word
    target: Word
    within: Annotated[
        bool, Meta(description="The diagonal: trained and tested within the corpus, under its own protocol.")
    ]
    cross_language: Annotated[
        str | None, Meta(description="german -> english; null where a language is shared or not known.")
    ]
    utterances: Annotated[int, Meta(ge=1, description="Tested in a run.")]
    experiment: Word
    record: Annotated[Beside, Meta(description="The summary that the cell is of, from this file's folder.")]
    fold: Annotated[str | None, Meta(description="The fold of it that the cell is; null: all.")]
    validation: Annotated[Metrics | None, Meta(description="On the source's own validation part.")]
    pooled: Annotated[Metrics, Meta(description="All test predictions of a run together.")]
    suspects: list[Suspect]


class Study(Opening, kw_only=True):
    """Transfer matrix: a head of each corpus tested on all corpora, over the classes that all have."""

    schema: Literal["ser.matrix/1"] = "ser.matrix/1"
    notes: list[str]
    datasets: Annotated[list[str], Meta(min_length=2, description="Rows and columns, in their order.")]
    cells: Annotated[list[Cell], Meta(min_length=4)]
    sources: Annotated[
        dict[str, Metrics],
        Meta(description="Row means: of each source over the other corpora, one value per run."),
    ]
    targets: Annotated[
        dict[str, Metrics], Meta(description="Column means: of each target over the other corpora's heads.")
    ]
