"""Plugins: one file per format of reports, with `write(report, path)` and `ENDING`, that of the file's name."""

KIND = "report format"
WORD = "format"
# What `ser new` copies, and how to see it at work in the workspace of `ser demo`, see `ser.starter`.
COPY = "md"
TRY = "ser fit DEMO --output results/NAME.json && ser results report NAME --format ./NAME.py"
NEEDS = ("ENDING", "write")  # of a plugin from outside, see `ser.outside`
