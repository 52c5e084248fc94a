"""Corpora become one table: parsing, labels, protocols and audits."""
