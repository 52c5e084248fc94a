"""Search over settings: validation scores of all, test scores of the one that they chose."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from ser.jsonfile import Count, Model
from ser.results.records.model import Beside, Metrics, Notes, Opening


class Setting(Model, kw_only=True):
    """A setting that was tried. Its test scores are in its own record only, for they must not choose."""

    setting: dict[str, Any]
    experiment: str | None
    record: Annotated[Beside | None, Meta(description="Its summary, from this file's folder; null if it failed.")]
    validation: Metrics | None
    error: str | None


class Chosen(Model, kw_only=True):
    """The setting that validation chose, with its test scores."""

    setting: dict[str, Any]
    experiment: str
    record: Beside
    validation: Metrics
    test: Metrics
    pooled: Metrics


class Nested(Model, kw_only=True):
    """Several folds: each fold's setting chosen on its own validation part alone, its test part predicted with it."""

    settings: Annotated[dict[str, dict[str, Any]], Meta(description="By fold.")]
    test: Metrics
    pooled: Metrics


class Study(Opening, kw_only=True):
    """Search over settings: validation scores of all, test scores of the one that they chose."""

    schema: Literal["ser.search/1"] = "ser.search/1"
    notes: Notes | UnsetType = UNSET
    chosen_by: Annotated[str, Meta(description="What decided.")]
    tried: Annotated[int, Meta(ge=1, description="Settings, failed ones too.")]
    failed: Count
    settings: Annotated[list[Setting], Meta(min_length=1, description="In the order tried.")]
    chosen: Chosen
    nested: Nested | UnsetType = UNSET
