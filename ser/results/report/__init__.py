"""From a record to what people read: the terminal, pages and tables."""
