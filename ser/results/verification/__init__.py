"""Every number of a record computed again."""
