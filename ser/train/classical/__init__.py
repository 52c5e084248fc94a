"""Classifiers of scikit-learn as heads: configuration, training, saved form; and heads as classifiers of scikit-learn."""
