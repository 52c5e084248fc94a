"""Audio files: opened, decoded, checked and hashed. Both the audit of a corpus and the extraction read them so."""
