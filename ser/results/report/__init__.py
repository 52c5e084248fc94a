"""Reports: records as text for the terminal, as pages and as tables."""
