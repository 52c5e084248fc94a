"""Models with weights, driven so that batches are exact. These files import torch; the plugins import them late."""
