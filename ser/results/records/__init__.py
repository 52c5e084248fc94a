"""JSON records of runs, summaries and studies: written, read, found, listed."""
