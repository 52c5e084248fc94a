"""All parameters of a stack of runs as one block `theta (runs, n)`; the head's parameters are views into it.

One block makes the optimiser one fused call, clipping one norm a row, and dropping a finished run one index. Each row is
padded to a multiple of 64 floats, without which the fused optimiser's last bits would depend on the number of runs.
"""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ser.errors import TrainingError
from ser.train.loop.optimiser import block
from ser.train.nn.layers import Linear

ALIGN = 64
DIRECT = 1 << 16  # a weight's numbers from which writing its gradient in place pays

# Views of one block are not laid out as autograd would choose; the cost is nil here, and the remark would alarm users.
warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout contract")
# Nor as cuDNN wants an LSTM's, which copies them in each pass: some microseconds. What it advises would break the views.
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk of memory")


class Parameters:
    """The flat block, its gradient, and the head whose parameters are views of them.

    Args:
        builds: one function a run, each giving a head with that run's initial weights; all of one shape.
        device: where the block lies.
        beside: one function a run, each giving what is trained with the head and is no part of its weights (prototypes of
            a loss); its parameters follow the head's in the block.
        direct: whether gradients of large weights are written straight into the block (`ser.train.nn.layers.Linear`), for
            training in float32 on a CPU; elsewhere it is ignored.
    """

    def __init__(
        self,
        builds: Sequence[Callable[[], nn.Module]],
        device: str = "cpu",
        beside: Sequence[Callable[[], nn.Module]] = (),
        direct: bool = False,
    ) -> None:
        self.direct = direct and device == "cpu"
        rows = []
        self.beside: nn.Module = nn.ModuleList()
        for build, extra in zip(builds, beside or [nn.ModuleList] * len(builds), strict=True):
            self.head, self.beside = build(), extra()
            rows.append(torch.cat([flatten(self.head), flatten(self.beside)]))
        self.head.to(device)
        self.beside.to(device)
        # A layer of ser.train.nn.layers has a leading 1 that becomes the number of runs; an ordinary module has not.
        self.leading = bool(getattr(self.head, "stackable", True))
        # What a module keeps beside its parameters (running statistics of batch normalisation) belongs to its weights.
        self.buffers = list(self.head.buffers())
        if self.leading and self.buffers:
            raise TrainingError(
                "a head with buffers (batch normalisation, say) cannot be stacked",
                action="Give it `stackable = False`.",
            )
        self.shapes = [p.shape for p in (*self.head.parameters(), *self.beside.parameters())]
        self.size = sum(p.numel() for p in self.head.parameters())
        whole = sum(s.numel() for s in self.shapes)
        self.theta = block((len(rows), -(-whole // ALIGN) * ALIGN), device)
        self.theta[:, :whole] = torch.stack(rows)
        self.bind()

    def bind(self) -> None:
        """Make the head's parameters, and their gradients, views of the block. Call after `theta` is replaced."""
        self.theta = self.theta.detach().requires_grad_()
        self.gradient = block(self.theta.shape, self.theta.device)
        self.theta.grad = self.gradient
        runs, start = len(self.theta), 0
        for parameter, shape in zip((*self.head.parameters(), *self.beside.parameters()), self.shapes, strict=True):
            part = slice(start, start + shape.numel())
            form = (runs, *shape[1:]) if self.leading else tuple(shape)
            parameter.data = self.theta.data[:, part].view(form)
            parameter.grad = self.gradient[:, part].view(form)
            start += shape.numel()
        self._find_direct()

    def _find_direct(self) -> None:
        """The weights whose gradients are written in place, and the parts of the block between them."""
        modules = [m for m in self.head.modules() if isinstance(m, Linear) and m.size >= DIRECT] if self.direct else []
        self.written = [m.weight for m in modules if m.weight.requires_grad]
        for weight in self.written:
            weight.watch()
        found = {id(w) for w in self.written}
        self.gathered: list[slice] = []
        start = end = 0
        for parameter in (*self.head.parameters(), *self.beside.parameters()):
            size = parameter.numel() // (len(self.theta) if self.leading else 1)
            if id(parameter) in found:
                self.gathered += [slice(start, end)] if end > start else []
                start = end + size
            end += size
        self.gathered += [slice(start, end)] if end > start else []

    def clear(self) -> None:
        """Before a step's backward pass: gradients are 0, or will be written over."""
        if not self.written:
            self.gradient.zero_()
            return
        for weight in self.written:
            weight.stale = True
        for part in self.gathered:
            self.gradient[:, part].zero_()

    def settle(self) -> None:
        """After a step's backward pass: the gradient of a weight that it did not reach is 0."""
        for weight in self.written:
            if weight.stale and weight.grad is not None:
                weight.grad.zero_()
                weight.squares = None
            weight.stale = False

    def finite(self) -> Tensor:
        """Of each run whether its weights are finite, `(runs,)`: a sum, which is 30 times as fast as looking at each."""
        return self.theta.detach().sum(1).isfinite()

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

    def clip(self, limit: float) -> Tensor | None:
        """Scale each run's gradient down to a norm of at most `limit`, run by run.

        Returns:
            None; or, of one run with large weights, by what its gradient is still to be divided: the fused optimiser does that
            on its way (`grad_scale`), which saves a pass.
        """
        if not self.written:
            norm = self.gradient.norm(dim=1, keepdim=True)
            self.gradient.mul_((limit / (norm + 1e-6)).clamp_max(1.0))
            return None
        divisors = [((norm + 1e-6) / limit).clamp_min(1.0) for norm in self._norms()]
        if len(divisors) == 1:
            return divisors[0] if float(divisors[0]) > 1 else None
        for row, divisor in zip(self.gradient, divisors, strict=True):
            if float(divisor) > 1:
                row.div_(divisor)
        return None

    def _norms(self) -> list[Tensor]:
        """Norms of the runs' gradients, from sums of squares that were taken as they were written, where they were."""
        found = []
        for run, row in enumerate(self.gradient):
            squares = [torch.dot(row[part], row[part]) for part in self.gathered]
            for weight in self.written:
                assert weight.grad is not None
                flat = weight.grad[run].view(-1)
                squares.append(torch.dot(flat, flat) if weight.squares is None else weight.squares[run])
            found.append(torch.stack(squares).sum().sqrt())
        return found


def flatten(head: nn.Module) -> Tensor:
    """All parameters of one run's head in one vector, in the order of `head.parameters()`."""
    return torch.cat([torch.empty(0), *(p.detach().reshape(-1) for p in head.parameters())])
