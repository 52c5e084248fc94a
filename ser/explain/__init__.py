"""What a trained head looks at: class activation, attention, layers and modalities, as arrays and pictures."""
