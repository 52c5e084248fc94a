"""Plugins: one file per format of reports, with `write(report, path)` and `ENDING`, that of the file's name."""

KIND = "report format"
