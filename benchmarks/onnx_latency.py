"""The latency of a prediction of one clip of 3 s, by PyTorch and by onnxruntime in turns.

    python benchmarks/onnx_latency.py MODEL MODEL.onnx [--weights FOLDER] [--times 60]

MODEL is a folder of `ser export folder` or a head's file. Each line has the first, the median and the 99th percentile in ms,
and the median of the processor time, in which a busy machine shows less.
"""

import argparse
import time

import numpy as np

import ser


def main() -> None:
    """Measure, and print one line for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--weights")
    parser.add_argument("--times", type=int, default=60)
    given = parser.parse_args()
    clip = (np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32), 16000)
    predictors = {model: ser.Predictor(model, weights=given.weights) for model in given.models}
    seconds: dict[str, list[float]] = {model: [] for model in predictors}
    worked: dict[str, list[float]] = {model: [] for model in predictors}
    for _ in range(given.times):
        for model, predictor in predictors.items():
            before, used = time.perf_counter(), time.process_time()
            predictor.predict(clip)
            seconds[model].append(time.perf_counter() - before)
            worked[model].append(time.process_time() - used)
    for model, found in seconds.items():
        first, median, last = found[0], np.median(found), np.percentile(found, 99)
        processor = 1e3 * np.median(worked[model])
        print(
            f"{model}: first {1e3 * first:.0f}, median {1e3 * median:.1f}, 99th percentile {1e3 * last:.1f} ms; "
            f"processor {processor:.1f} ms"
        )


if __name__ == "__main__":
    main()
