"""Versions that were tested together: those of `constraints.txt`, which an installed package does not have.

A test holds the two equal and prints what belongs here. Of two versions the first is for Python 3.10.
"""

PYTHONS = ((3, 10), (3, 13))  # first and last

TESTED: dict[str, tuple[str, ...]] = {
    "audformat": ("1.4.2", "1.4.3"),
    "click": ("8.5.1",),
    "colorednoise": ("2.2.0",),
    "datasets": ("5.2.0",),
    "funasr": ("1.4.16",),
    "h5py": ("3.16.0",),
    "jinja2": ("3.1.6",),
    "joblib": ("1.6.0",),
    "jsonschema": ("4.26.0",),
    "librosa": ("0.11.0",),
    "matplotlib": ("3.10.9", "3.11.2"),
    "mlflow": ("3.17.2",),  # tried in an environment of its own: it holds pyarrow back, so it is not pinned
    "numpy": ("2.2.6", "2.4.6"),
    "opensmile": ("2.6.0",),
    "pandas": ("2.3.3", "3.1.1"),
    "pyroomacoustics": ("0.10.1",),
    "python-docx": ("1.2.0",),
    "python-stretch": ("0.3.1",),
    "pyyaml": ("6.0.3",),
    "rapidfuzz": ("3.14.5", "3.14.6"),
    "safetensors": ("0.8.0",),
    "scikit-learn": ("1.7.2", "1.9.1"),
    "scipy": ("1.15.3", "1.17.1"),
    "setuptools": ("84.2.1",),
    "skops": ("0.16.0",),
    "soundfile": ("0.14.0",),
    "soxr": ("1.1.0",),
    "tensorboard": ("2.21.0",),
    "tokenizers": ("0.23.3",),
    "torch": ("2.13.0",),
    "tqdm": ("4.70.1",),
    "transformers": ("5.20.2", "5.23.0"),
}
