"""The optimiser over one block against torch's own, and blocks in large pages."""

import subprocess
import sys

import pytest
import torch

from ser.train.loop.optimisation import AdamW
from ser.train.nn.parameters import LARGE, block


@pytest.mark.parametrize("runs", [1, 3])
def test_steps_are_those_of_torch_bit_for_bit(runs: int) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(runs, 128, generator=generator)
    ours, theirs = (start.clone().requires_grad_() for _ in range(2))
    one, other = AdamW(ours, 0.1), torch.optim.AdamW([theirs], weight_decay=0.1, fused=True)
    for step in range(5):
        gradient, lr = torch.randn(runs, 128, generator=generator), 1e-2 / (1 + step)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone() / 2 if step else gradient.clone()
        one.step(lr, torch.tensor(2.0) if step else None)
        other.param_groups[0]["lr"] = lr
        other.step()
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, start)


def test_rows_that_are_kept_go_on_as_before() -> None:
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(3, 64, generator=generator).requires_grad_()
    gradients = torch.randn(2, 3, 64, generator=generator)
    alone = whole.detach()[1:2].clone().requires_grad_()
    one, other = AdamW(whole, 0.01), AdamW(alone, 0.01)
    whole.grad, alone.grad = gradients[0].clone(), gradients[0, 1:2].clone()
    one.step(1e-2)
    other.step(1e-2)
    kept = whole.detach()[torch.tensor([1])].requires_grad_()
    one.keep(torch.tensor([1]), kept)
    kept.grad, alone.grad = gradients[1, 1:2].clone(), gradients[1, 1:2].clone()
    one.step(1e-2)
    other.step(1e-2)
    assert torch.equal(kept, alone)


@pytest.mark.parametrize("size", [64, LARGE + 64])
def test_a_block_is_zero_and_can_be_written(size: int) -> None:
    values = block((2, size), "cpu")
    assert values.shape == (2, size)
    assert values.dtype == torch.float32
    assert not values.any()
    values[1] = 3.0
    assert values.sum() == 3.0 * size
    assert not block((2, size), "cpu").any()


@pytest.mark.parametrize(
    ("before", "then"),
    [
        ("", "True 0"),
        ("gc.disable()", "False 0"),
        ("gc.freeze()", "True more"),  # as the command line does
    ],
)
def test_training_starts_without_scipy_and_the_compiler_and_collects_rubbish_again(before: str, then: str) -> None:
    """scipy is a twentieth of the start-up, and importing the compiler takes as long as importing torch.

    Collection is off while torch is imported; what a user has is frozen by nobody.
    """
    script = (
        f"import gc, sys; {before}\n"
        "from ser.train.experiments import fit; from ser.results.metrics.intervals import describe; describe([0.5, 0.6])\n"
        "count = gc.get_freeze_count(); print(gc.isenabled(), 'more' if count > 100_000 else count, 'scipy' in sys.modules)\n"
        "import torch; from ser.train.loop import trainer; from ser.train.loop.optimisation import AdamW\n"
        "theta = torch.zeros(1, 64, requires_grad=True); theta.grad = torch.ones(1, 64); AdamW(theta, 0.0).step(0.1)\n"
        "from ser.train.heads._base import build_head; from ser.train.nn.layers import Input\n"
        "build_head('bilstm', [Input('words', 'text', 1, framewise=True, vocabulary=9)], 4, {'hidden': 8}, 0)\n"
        "print('torch._dynamo' in sys.modules or 'llvmlite' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*then.split(), "False", "False"]
