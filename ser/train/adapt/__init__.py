"""Plugins: one file for each method of unsupervised domain adaptation; `_base.py` describes such a file."""

KIND = "adaptation method"
GROUP = "ser.adaptations"
# What `ser new` copies, and how to see it at work in the workspace of `ser demo`, see `ser.starter`.
COPY = "coral"
TRY = "ser adapt --source demo-studio --target demo-room --scheme 6 --method ./NAME.py"
CLASS, BASE = "Method", "ser.train.adapt._base:Adaptation"  # of a plugin from outside, see `ser.outside`
