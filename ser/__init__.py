"""`ser`: speech emotion recognition on cached features. Extract once, train a thousand heads, trust every number.

The names below are imported when they are first used, so that `import ser` costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "load_table": "ser.metadata.table",
    "FeatureStore": "ser.features.stores.store",
    "load_tensors": "ser.features.tensors",
    "to_datasets": "ser.features.export",
    "StoreDataset": "ser.train.store_dataset",
    "fit": "ser.train.experiments.fit",
    "benchmark": "ser.train.experiments.benchmark",
    "search": "ser.train.experiments.search",
    "ablate": "ser.train.experiments.ablate",
    "adapt": "ser.train.experiments.adapt",
    "combine": "ser.train.experiments.combine",
    "fewshot": "ser.train.experiments.fewshot",
    "finetune": "ser.train.experiments.finetune",
    "layers": "ser.train.experiments.layers",
    "matrix": "ser.train.experiments.transfer_matrix",
    "transfer": "ser.train.experiments.transfer",
    "classify": "ser.evaluation.systems.classify",
    "import_predictions": "ser.evaluation.systems.importing",
    "plot_store": "ser.results.plotting.feature_map",
    "Predictor": "ser.predict.predictor",
    "Result": "ser.results.result",
    "load_result": "ser.results.result",
    "read_predictions": "ser.results.stored.runs",
    "HeadClassifier": "ser.train.classical.estimator",
    "trust": "ser.outside",
    "SerError": "ser.errors",
}

__all__ = [*_LAZY, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    alike = [known for known in _LAZY if name and name in known]
    raise AttributeError(f"module 'ser' has no attribute {name!r}" + f". Did you mean {' or '.join(alike)}?" * bool(alike))


def __dir__() -> list[str]:
    return sorted(__all__)
