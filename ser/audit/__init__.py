"""What could make a number a lie: over tables, audio, features, protocols and records of data."""
