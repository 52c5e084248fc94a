"""Classifiers of scikit-learn as heads: what was asked for, their training, their saved form."""
