"""Plugins: one file for each method of unsupervised domain adaptation; `_base.py` describes such a file."""

KIND = "adaptation method"
GROUP = "ser.adaptations"
CLASS, BASE = "Method", "ser.train.adapt._base:Adaptation"  # of a plugin from outside, see `ser.outside`
