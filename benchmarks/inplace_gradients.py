"""The gain of gradients written in place (`ser/train/nn/inplace_gradients.py`), and of compiled functions that write none
(`ser/train/nn/kernels/`), over the plain way: time of a training step.

    python benchmarks/inplace_gradients.py [--rounds 15] [--steps 20]
    python benchmarks/inplace_gradients.py --products [--rounds 15]

One core, batches of 16, random features; all ways take turns in one process, round by round. Printed are medians of processor
time over the rounds, and the median ratio of a round to the plain way: on a machine that does other things too, wall time says
less. `--products` has the functions alone, on the 27 large weights of pooled cross-attention (9.8 M numbers), one after another
as in a step.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ser.features.blocks import Block
from ser.train.loop.config import make_config
from ser.train.loop.data import Data, Resident
from ser.train.loop.optimisation import AdamW
from ser.train.loop.trainer import Stack
from ser.train.nn import inplace_gradients
from ser.train.nn.kernels import compiler, products
from ser.train.nn.parameters import block
from ser.workers.threads import keep_memory

WIDTH = compiler.width()
WAYS = {"plain": (False, 0), "in place": (True, 0), "compiled": (True, WIDTH)}
CASES = {
    "cross_attention, pooled, 1 run": ("cross_attention", 1, {}),
    "gated, pooled, 1 run": ("gated", 1, {}),
    "mlp, pooled, 1 run": ("mlp", 1, {}),
    "mlp, pooled, 10 runs": ("mlp", 10, {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--products", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    if given.products:
        compare_products(given.rounds)
        return
    random = np.random.default_rng(0)
    blocks = [
        Block(name, modality, random.normal(size=(400, dim)).astype(np.float32))
        for name, modality, dim in (("audio", "audio", 768), ("text", "text", 1024))
    ]
    data = Data(Resident(blocks), np.arange(400) % 4, 4, np.arange(320), np.arange(320, 400))
    if not WIDTH:
        print("nothing is compiled for this processor, or SER_KERNELS is 0: that column is torch's\n")
    print("| case | plain, ms a step | in place | compiled | in place, times faster | compiled |\n|" + " --- |" * 6)
    for case, (head, runs, options) in CASES.items():
        config = make_config(head, batch_size=16, head_options=options)
        stacks = {}
        for way in WAYS:
            choose(way)
            stacks[way] = Stack(data, config, list(range(runs)), None)
        times = measure(stacks, given.rounds, given.steps)
        ratios = [statistics.median(p / w for p, w in zip(times["plain"], times[way], strict=True)) for way in list(WAYS)[1:]]
        print(f"| {case} | " + " | ".join(f"{v:.2f}" for v in [*map(statistics.median, times.values()), *ratios]) + " |")


def compare_products(rounds: int) -> None:
    """The table of `--products`."""
    hidden = 384
    layer = [(hidden, hidden), (hidden, hidden), (hidden, 4 * hidden), (4 * hidden, hidden)]
    shapes = [(768, hidden), (1024, hidden), *layer * 6, (2 * hidden, hidden)]
    sizes = [k * n for k, n in shapes]
    theta = block((1, sum(sizes)), "cpu").normal_().mul_(0.02).requires_grad_()
    theta.grad = block(theta.shape, "cpu")
    optimiser = AdamW(theta, 0.01)
    blocks = theta.detach(), theta.grad, optimiser.mean, optimiser.square
    weights, gradients, means, squares = (
        [part.view(1, *shape) for part, shape in zip(b.split(sizes, 1), shapes, strict=True)] for b in blocks
    )
    step = products.Step(1, 0.9, 0.1, 0.999, 0.001, 1, 1e-8, 1e-4)
    print("| rows | x W + b, torch, ms | compiled | g W^T, torch | compiled | gradient and AdamW, torch | compiled |")
    print("|" + " --- |" * 7)
    for rows in (1, 4, 8, 16, 32):
        xs, gs, biases = ([torch.randn(1, r, s[k]) for s in shapes] for r, k in ((rows, 0), (rows, 1), (1, 1)))

        def adam(xs: list[Tensor] = xs, gs: list[Tensor] = gs) -> None:
            for x, g, into in zip(xs, gs, gradients, strict=True):
                torch.mm(x[0].t(), g[0], out=into[0])
            optimiser.step(1e-4)

        def compiled_adam(xs: list[Tensor] = xs, gs: list[Tensor] = gs) -> None:
            for x, g, *state in zip(xs, gs, weights, means, squares, strict=True):
                products.update(x, g, *(part.flatten(1) for part in state), step)

        ways: list[Callable[[], object]] = [
            lambda xs=xs, biases=biases: [torch.baddbmm(*given) for given in zip(biases, xs, weights, strict=True)],
            lambda xs=xs, biases=biases: [products.forward(*given) for given in zip(xs, weights, biases, strict=True)],
            lambda gs=gs: [torch.bmm(g, w.mT) for g, w in zip(gs, weights, strict=True)],
            lambda gs=gs: [products.backward(g, w) for g, w in zip(gs, weights, strict=True)],
            adam,
            compiled_adam,
        ]
        times: list[list[float]] = [[] for _ in ways]
        for _ in range(rounds + 1):
            for way, found in zip(ways, times, strict=True):
                begin = time.process_time()
                way()
                found.append((time.process_time() - begin) * 1e3)
        print(f"| {rows} | " + " | ".join(f"{statistics.median(found[1:]):.1f}" for found in times) + " |", flush=True)


def choose(way: str) -> None:
    """Compute the steps that follow, of stacks that are made now, in this way."""
    inplace_gradients.ENABLED, width = WAYS[way]
    compiler.width = lambda: width  # type: ignore[assignment]


def measure(stacks: dict[str, Stack], rounds: int, steps: int) -> dict[str, list[float]]:
    """Milliseconds of a step in each round, by the way."""
    found: dict[str, list[float]] = {way: [] for way in stacks}
    batches = {way: stack.begin_epoch(1) for way, stack in stacks.items()}
    for number in range(rounds + 1):
        for way in list(WAYS) if number % 2 else reversed(WAYS):
            choose(way)
            begin = time.process_time()
            for step in range(steps):
                stacks[way].update(batches[way][step % len(batches[way])], step)
            found[way].append((time.process_time() - begin) * 1e3 / steps)
    return {way: times[1:] for way, times in found.items()}  # the first round warms up


if __name__ == "__main__":
    main()
