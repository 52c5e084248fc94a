"""All parameters of a stack of runs as one block `theta (runs, n)`; the head's parameters are views into it.

One block makes the optimiser one fused call, clipping one norm per row, and dropping a finished run one index. Each row is
padded to a multiple of 64 floats, without which the fused optimiser's last bits would depend on the number of runs.
"""

import math
import mmap
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

from ser.errors import TrainingError
from ser.train.nn.inplace_gradients import gradients

ALIGN = 64
LARGE = 1 << 20  # numbers of a block from which it is put into large pages

# Views of one block are not laid out as autograd would choose; the cost is nil here, and the remark would alarm users.
warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout contract")
# Nor as cuDNN wants an LSTM's, which copies them in each pass: some microseconds. Its advice would break the views.
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk of memory")


class Parameters:
    """The flat block, its gradient, and the head whose parameters are views of them.

    Args:
        builds: one function for each run, giving a head with that run's initial weights; all of one shape.
        device: where the block lies.
        beside: one function for each run, giving a module that is trained with the head and is not part of its weights
            (prototypes of a loss); its parameters follow the head's in the block.
        in_place: true if gradients of large weights may be written straight into the block
            (`ser.train.nn.inplace_gradients`), for training in float32; on a GPU it is ignored.
    """

    def __init__(
        self,
        builds: Sequence[Callable[[], nn.Module]],
        device: str = "cpu",
        beside: Sequence[Callable[[], nn.Module]] = (),
        in_place: bool = False,
    ) -> None:
        self.in_place = in_place and device == "cpu"
        self.beside: nn.Module = nn.ModuleList()
        for run, (build, extra) in enumerate(zip(builds, beside or [nn.ModuleList] * len(builds), strict=True)):
            self.head, self.beside = build(), extra()
            own = [*self.head.parameters(), *self.beside.parameters()]
            if run == 0:
                whole = sum(p.numel() for p in own)
                self.theta = block((len(builds), -(-whole // ALIGN) * ALIGN), device)
            start = 0
            for p in own:  # straight into the block: copies on the way would be the most memory that a training takes
                self.theta[run, start : start + p.numel()] = p.detach().reshape(-1)
                start += p.numel()
        self.head.to(device)
        self.beside.to(device)
        # A layer of ser.train.nn.layers has a leading 1 that becomes the number of runs; an ordinary module has not.
        self.leading = bool(getattr(self.head, "stackable", True))
        # Buffers of a module (running statistics of batch normalisation) belong to its weights.
        self.buffers = list(self.head.buffers())
        if self.leading and self.buffers:
            raise TrainingError(
                "a head with buffers (batch normalisation, say) cannot be stacked", action="Give it `stackable = False`."
            )
        self.shapes = [p.shape for p in (*self.head.parameters(), *self.beside.parameters())]
        self.size = sum(p.numel() for p in self.head.parameters())
        self.bind()

    def bind(self) -> None:
        """Make the head's parameters, and their gradients, views of the block. Call after `theta` is replaced."""
        self.theta = self.theta.detach().requires_grad_()
        gradient = block(self.theta.shape, self.theta.device)
        self.theta.grad = gradient
        runs, start = len(self.theta), 0
        sizes: list[tuple[nn.Parameter, int]] = []
        for parameter, shape in zip((*self.head.parameters(), *self.beside.parameters()), self.shapes, strict=True):
            part = slice(start, start + shape.numel())
            form = (runs, *shape[1:]) if self.leading else tuple(shape)
            parameter.data = self.theta.data[:, part].view(form)
            parameter.grad = gradient[:, part].view(form)
            sizes.append((parameter, shape.numel()))
            start += shape.numel()
        self.gradients = gradients(gradient, self.head, sizes, self.in_place)

    def keep(self, index: Tensor) -> None:
        """Keep these runs only."""
        self.theta = self.theta.detach()[index]
        self.bind()

    def finite(self) -> Tensor:
        """True for each run with finite weights, `(runs,)`: by their sum, which is 30 times as fast as a look at each."""
        return self.theta.detach().sum(1).isfinite()

    def row(self, slot: int) -> Tensor:
        """A copy of one run's weights, `(n,)`: parameters and, where there are any, buffers after them."""
        own = self.theta[slot, : self.size].detach()
        if not self.buffers:
            return own.clone()
        return torch.cat([own, *(b.detach().reshape(-1).to(self.theta.dtype) for b in self.buffers)])

    def load(self, rows: Tensor) -> None:
        """Set the weights of all runs, `(runs, n)`.

        Raises:
            TrainingError: they are of another head.
        """
        extra = sum(b.numel() for b in self.buffers)
        if rows.shape != (len(self.theta), self.size + extra):
            raise TrainingError(
                "the weights are of another head", expected=(len(self.theta), self.size + extra), found=tuple(rows.shape)
            )
        self.theta.data[:, : self.size] = rows[:, : self.size]
        start = self.size
        for buffer in self.buffers:
            buffer.copy_(rows[0, start : start + buffer.numel()].view(buffer.shape).to(buffer.dtype))
            start += buffer.numel()


def block(shape: tuple[int, ...], device: torch.device | str) -> Tensor:
    """Zeros; large blocks on a CPU in pages of 2 MiB, where the system has them.

    A pass over tens of megabytes then misses the table of pages less: a step of pooled cross-attention takes 6 % less.
    """
    size = math.prod(shape)
    if torch.device(device).type != "cpu" or size < LARGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.zeros(shape, device=device)
    memory = mmap.mmap(-1, 4 * size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.float32).view(shape)
