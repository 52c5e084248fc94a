"""Models to hand on: folders, model cards, citations, ONNX, the Hugging Face Hub."""
