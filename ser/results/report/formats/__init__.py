"""Plugins: one file a format of reports. `write(report, path)`; `ENDING` is the file's."""

KIND = "report format"
