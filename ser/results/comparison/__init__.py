"""Results that are compared in pairs on the same test utterances: which may be, and the record of their differences."""
