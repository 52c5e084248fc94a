"""One file per command: options, one call into the package, one message. The file's name is the command's name.

Only `click` and light modules are imported at the top of a command's file; the rest is imported when it runs.
"""

KIND = "command"
# What `ser new` copies, and how to see it at work, see `ser.starter`.
COPY = "encoders"
TRY = "ser ./NAME.py"
NEEDS = ("command",)  # of a plugin from outside, see `ser.outside`
