"""Pure functions of predictions: each number is defined once, here."""
