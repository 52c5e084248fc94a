"""Speech to text over a table (`ser transcribe`)."""
