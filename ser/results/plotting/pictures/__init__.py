"""Plugins: one file per kind of picture.

`ORDER` in a report; `fits(result)`; `draw(result, metric)`; and `words(result, metric)`: the same as text.
"""

KIND = "picture"
# What `ser new` copies, and how to see it at work in the workspace of `ser demo`, see `ser.starter`.
COPY = "genders"
TRY = "ser fit DEMO --output results/NAME.json && ser results plot NAME --kind ./NAME.py"
NEEDS = ("ORDER", "fits", "draw", "words")  # of a plugin from outside, see `ser.outside`
