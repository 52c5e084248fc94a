"""Plugins: one file for each head; `_base.py` describes such a file."""

KIND = "head"
# What `ser new` copies, and how to see it at work in the workspace of `ser demo`, see `ser.starter`.
COPY = "linear"
TRY = "ser fit DEMO --head ./NAME.py"
CLASS, BASE = "Head", "torch.nn:Module"  # of a plugin from outside, see `ser.outside`
OTHERS = ("ser.train.losses._base:Term", "ser.train.adapt._base:Adaptation")  # modules too, but no heads
