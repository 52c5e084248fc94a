"""All parameters of a stack of runs as one block `theta (runs, n)`; the head's parameters are views into it.

One block makes the optimiser one fused call, clipping one norm a row, and dropping a finished run one index. Each row is
padded to a multiple of 64 floats, without which the fused optimiser's last bits would depend on the number of runs.
"""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ser.errors import TrainingError

ALIGN = 64

# Views of one block are not laid out as autograd would choose; the cost is nil here, and the remark would alarm users.
warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout contract")


class Parameters:
    """The flat block, its gradient, and the head whose parameters are views of them.

    Args:
        builds: one function a run, each giving a head with that run's initial weights; all of one shape.
        device: where the block lies.
    """

    def __init__(self, builds: Sequence[Callable[[], nn.Module]], device: str = "cpu") -> None:
        rows = []
        for build in builds:
            self.head = build()
            rows.append(flatten(self.head))
        self.head.to(device)
        # A layer of ser.train.layers has a leading 1 that becomes the number of runs; an ordinary module has not.
        self.leading = bool(getattr(self.head, "stackable", True))
        # What a module keeps beside its parameters (running statistics of batch normalisation) belongs to its weights.
        self.buffers = list(self.head.buffers())
        if self.leading and self.buffers:
            raise TrainingError(
                "a head with buffers (batch normalisation, say) cannot be stacked",
                action="Give it `stackable = False`.",
            )
        self.shapes = [p.shape for p in self.head.parameters()]
        size = sum(s.numel() for s in self.shapes)
        padded = -(-size // ALIGN) * ALIGN
        self.size = size
        self.theta = torch.zeros(len(rows), padded, device=device)
        self.theta[:, :size] = torch.stack(rows)
        self.bind()

    def bind(self) -> None:
        """Make the head's parameters, and their gradients, views of the block. Call after `theta` is replaced."""
        self.theta = self.theta.detach().requires_grad_()
        self.gradient = torch.zeros_like(self.theta)
        self.theta.grad = self.gradient
        runs, start = len(self.theta), 0
        for parameter, shape in zip(self.head.parameters(), self.shapes, strict=True):
            part = slice(start, start + shape.numel())
            form = (runs, *shape[1:]) if self.leading else tuple(shape)
            parameter.data = self.theta.data[:, part].view(form)
            parameter.grad = self.gradient[:, part].view(form)
            start += shape.numel()

    def row(self, slot: int) -> Tensor:
        """A copy of one run's weights, `(n,)`: parameters and, where there are any, buffers after them."""
        parts = [
            self.theta[slot, : self.size].detach(),
            *(b.detach().reshape(-1).to(self.theta.dtype) for b in self.buffers),
        ]
        return torch.cat(parts).clone()

    def load(self, rows: Tensor) -> None:
        """Set the weights of all runs, `(runs, n)`.

        Raises:
            TrainingError: they are of another head.
        """
        extra = sum(b.numel() for b in self.buffers)
        if rows.shape != (len(self.theta), self.size + extra):
            raise TrainingError(
                "the weights are of another head",
                expected=(len(self.theta), self.size + extra),
                found=tuple(rows.shape),
            )
        self.theta.data[:, : self.size] = rows[:, : self.size]
        start = self.size
        for buffer in self.buffers:
            buffer.copy_(rows[0, start : start + buffer.numel()].view(buffer.shape).to(buffer.dtype))
            start += buffer.numel()

    def clip(self, limit: float) -> None:
        """Scale each run's gradient down to a norm of at most `limit`, run by run."""
        norm = self.gradient.norm(dim=1, keepdim=True)
        self.gradient.mul_((limit / (norm + 1e-6)).clamp_max(1.0))


def flatten(head: nn.Module) -> Tensor:
    """All parameters of one run's head in one vector, in the order of `head.parameters()`."""
    return torch.cat([p.detach().reshape(-1) for p in head.parameters()])


def keep_state(optimiser: torch.optim.Optimizer, old: Tensor, new: Tensor, rows: Tensor) -> None:
    """Move an optimiser from one block to another that holds some of its rows, state included."""
    state = optimiser.state.pop(old, {})
    optimiser.param_groups[0]["params"] = [new]
    optimiser.state[new] = {k: v[rows] if v.ndim == 2 else v for k, v in state.items()}
