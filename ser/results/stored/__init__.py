"""An experiment's files: its runs as they lie on disk, the summary that is made of them, and what checks both."""
