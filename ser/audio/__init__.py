"""Audio files: opened, decoded, checked and hashed, for the audit of a corpus and for extraction."""
