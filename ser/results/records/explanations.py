"""The record of what the heads of an experiment look at: `explanations.json` of `ser evaluate --explain`."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from ser.jsonfile import Count, Model, Positive, Share


class ExplainedHead(Model, kw_only=True):
    """A saved head that was explained."""

    file: str
    run: Count
    fold: str
    utterances: Positive


class LayerWeights(Model, kw_only=True):
    """Softmax weights of an encoder's layers, over heads."""

    layers: list[int]
    mean: list[float]
    std: list[float] | None
    values: list[list[float]]


class Contribution(Model, kw_only=True):
    """The Shapley value of a modality, over heads."""

    mean: float
    std: float | None
    values: list[float]


class Modalities(Model, kw_only=True):
    """Shapley values of modalities; empty with one modality."""

    players: Annotated[list[str], Meta(min_length=2)] | UnsetType = UNSET
    draws: Positive | UnsetType = UNSET
    UA_without_any: float | UnsetType = UNSET
    UA_with_only: dict[str, float] | UnsetType = UNSET
    shapley_of_UA: dict[str, Contribution] | UnsetType = UNSET  # noqa: N815
    shapley_of_true_class: dict[str, dict[str, float]] | UnsetType = UNSET


class Attention(Model, kw_only=True):
    """An attention layer: names of its queries and keys."""

    layer: str
    queries: list[str]
    keys: list[str]


class ExplainedUtterance(Model, kw_only=True):
    """An utterance that was looked at closely; its arrays and pictures lie beside this file."""

    utterance_id: str
    true: str
    predicted: str
    probability: Share
    head: str
    arrays: str
    pictures: list[str]
    attention: list[Attention]


class Explanations(Model, kw_only=True):
    """Explanations: what the heads of an experiment look at."""

    schema: Literal["ser.explanations/1"] = "ser.explanations/1"
    experiment: str
    dataset: str
    heads: Annotated[list[ExplainedHead], Meta(min_length=1)]
    layers: Annotated[dict[str, LayerWeights], Meta(description="By store.")]
    modalities: Modalities
    examples: list[ExplainedUtterance]
