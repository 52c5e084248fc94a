"""A GPU that is none: tensors lie on the CPU, are told apart from the CPU's own, and the wrong mixtures fail as on a GPU.

Every tensor made `device="cuda"` or moved there is real, so that whole trainings run and their numbers are right; its storage
is marked. An operation that reads marked and unmarked tensors fails, unless a GPU would take it: numbers of no dimension,
copies, index tensors. What a GPU would be waited for (a value that is read, a copy from memory that is not pinned, a result
whose shape depends on values) is written down in `Simulated.waits`. Kernels, their speed and their rounding are not simulated.

And a SLURM that is none, `SlurmQueue`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ser.cli import main
from ser.errors import SerError
from ser.workers.command import Ended
from ser.workers.slurm import Jobs

READS = {"_local_scalar_dense", "nonzero", "masked_select", "unique_consecutive", "_unique2", "bincount", "equal"}
# Operations with arguments that a GPU wants on the CPU, or takes from there: their names and the places of these arguments.
FREE = {
    "copy_": (0, 1),
    "index": (1,),
    "index_put": (1,),
    "index_put_": (1,),
    "_index_put_impl_": (1,),
    "_pack_padded_sequence": (1,),
    "_pack_padded_sequence_backward": (2,),
    "lstm": (1,),
}


class Simulated(TorchFunctionMode):
    """A context in which there is a device `cuda`.

    Attributes:
        waits: what a GPU would have been waited for, in order.
        operations: how many there were; each is a kernel or more, views apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.operations = 0
        self.marks: dict[int, StorageWeakRef] = {}
        self.pinned: dict[int, StorageWeakRef] = {}
        self.watch = _Watch(self)

    def there(self, tensor: Tensor) -> bool:
        """True for a tensor on the simulated device."""
        return tensor.untyped_storage()._cdata in self.marks

    def mark(self, tensor: Tensor) -> Tensor:
        # The weak reference keeps the address from being used again.
        self.marks.setdefault(tensor.untyped_storage()._cdata, StorageWeakRef(tensor.untyped_storage()))
        return tensor

    def __enter__(self) -> "Simulated":
        super().__enter__()
        self.watch.__enter__()
        self.cudnn = torch.backends.cudnn.enabled
        torch.backends.cudnn.enabled = False  # a torch with CUDA would call it for these tensors
        return self

    def __exit__(self, *error: Any) -> None:
        torch.backends.cudnn.enabled = self.cudnn
        self.watch.__exit__(*error)
        super().__exit__(*error)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        if name == "__get__" and isinstance(args[0], Tensor):
            return self._attribute(function, args)
        if name in ("to", "cuda", "cpu") and isinstance(args[0], Tensor):
            return self._moved(name, function, args, kwargs)
        if name == "pin_memory":
            with self.watch.off():
                copy = args[0].clone()
            self.pinned[copy.untyped_storage()._cdata] = StorageWeakRef(copy.untyped_storage())
            return copy
        if name in ("numpy", "__array__") and self.there(args[0]):
            raise TypeError("can't convert cuda tensor to numpy. Use Tensor.cpu() first")
        if name == "tolist" and self.there(args[0]):
            self.waits.append(name)
            with self.watch.off():
                return function(*args)
        generator, made_there = kwargs.get("generator"), _is_gpu(kwargs.get("device"))
        on_gpu = made_there or (bool(args) and isinstance(args[0], Tensor) and self.there(args[0]))
        if generator is not None and getattr(generator, "gpu", False) != on_gpu:
            raise RuntimeError(f"{name}: the generator is of another device than its numbers")
        if made_there:
            return self._made(name, function, args, kwargs)
        before = self.watch.inside
        self.watch.inside = any(isinstance(t, Tensor) and self.there(t) for t in tree_leaves((args, kwargs)))
        try:
            return function(*args, **kwargs)
        finally:
            self.watch.inside = before

    def _attribute(self, function: Any, args: Any) -> Any:
        what, tensor = getattr(function.__self__, "__name__", ""), args[0]
        if what in ("device", "is_cuda") and self.there(tensor):
            return torch.device("cuda", 0) if what == "device" else True
        return function(*args)

    def _made(self, name: str, function: Any, args: Any, kwargs: Any) -> Any:
        del kwargs["device"]
        given = [a for a in args if isinstance(a, Tensor)]
        if name in ("as_tensor", "tensor", "asarray"):
            self.waits += [] if given and self.there(given[0]) else [f"{name} from the CPU"]
        with self.watch.off():
            made = function(*args, **kwargs)
            own = any(made.untyped_storage()._cdata == g.untyped_storage()._cdata for g in given)
            shares = name in ("as_tensor", "asarray") and not (own and self.there(given[0]))
            return self.mark(made.clone() if shares else made)

    def _moved(self, name: str, function: Any, args: Any, kwargs: Any) -> Any:
        tensor, rest = args[0], list(args[1:])
        target: Any = {"cuda": "cuda", "cpu": "cpu"}.get(name, kwargs.pop("device", None))
        for k, value in enumerate(rest):
            if name == "to" and isinstance(value, (str, torch.device)):
                target, rest[k] = value, "cpu"
            elif isinstance(value, Tensor):
                target = "cuda" if self.there(value) else "cpu"
        if name != "to":
            rest = []
        into = self.there(tensor) if target is None else _is_gpu(target)
        if into == self.there(tensor):
            return tensor if name != "to" else function(tensor, *(rest or ["cpu"]), **kwargs)
        pinned = tensor.untyped_storage()._cdata in self.pinned and kwargs.get("non_blocking", False)
        if not pinned:
            self.waits.append("copy to the GPU" if into else "copy to the CPU")
        with self.watch.off():
            moved = function(tensor, *rest, **kwargs) if name == "to" and (rest or kwargs) else tensor
            moved = moved.clone(memory_format=torch.preserve_format)
        return self.mark(moved) if into else moved


class _Watch(TorchDispatchMode):
    """Marks what operations on marked tensors give, and refuses mixtures."""

    def __init__(self, device: Simulated) -> None:
        super().__init__()
        self.device, self.quiet = device, 0
        self.inside = False  # a call with marked tensors: what it makes of nothing (zeros of a backward pass) is marked too

    @contextmanager
    def off(self) -> Iterator[None]:
        """Within, nothing is marked, refused or counted."""
        self.quiet += 1
        try:
            yield
        finally:
            self.quiet -= 1

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.quiet:
            return function(*args, **kwargs)
        name = function._schema.name.split("::")[1]
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        marked = [self.device.there(t) for t in given]
        if not any(marked):
            made = function(*args, **kwargs)
            return self.device.mark(made) if self.inside and not given and isinstance(made, Tensor) else made
        free = {id(t) for k in FREE.get(name, ()) for t in tree_leaves(args[k]) if isinstance(t, Tensor)}
        for tensor, on in zip(given, marked, strict=True):
            if not on and tensor.ndim and id(tensor) not in free:
                raise RuntimeError(f"{name}: expected all tensors to be on the same device, cuda:0 and cpu")
        self._count(function, name, args, kwargs)
        made = function(*args, **kwargs)
        if name == "copy_" and not self.device.there(args[0]):
            return made
        for k, tensor in enumerate(t for t in tree_leaves(made) if isinstance(t, Tensor)):
            if not (name == "_pack_padded_sequence" and k == 1):
                self.device.mark(tensor)
        return made

    def _count(self, function: Any, name: str, args: Any, kwargs: Any) -> None:
        self.device.operations += not function.is_view
        by_mask = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        moved = name == "copy_" and self.device.there(args[0]) != self.device.there(args[1])
        if name in READS or by_mask or moved:
            self.device.waits.append(name)


class Generator(torch.Generator):
    """A generator that remembers for which device it was asked."""

    gpu = False

    def __new__(cls, device: Any = "cpu") -> "Generator":
        made = super().__new__(cls)
        made.gpu = _is_gpu(device)
        return made


def _is_gpu(device: Any) -> bool:
    return device is not None and str(device).startswith("cuda")


@contextmanager
def simulated_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulated]:
    """A simulated device `cuda` within the block."""
    monkeypatch.setattr(torch, "Generator", Generator)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with Simulated() as device:
        yield device


def given_here(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], Ended]:
    """Give the commands of jobs in this process: for `ser.workers.command._given`."""

    def given(words: list[str]) -> Ended:
        code = main(words[3:])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err.splitlines(keepends=True))

    return given


class SlurmQueue:
    """The queue of SLURM: each look at it finds one job more that has ended, the last one after the parts."""

    def __init__(self, killed: tuple[int, ...] = ()) -> None:
        self.killed = killed
        self.left: list[str] | None = None

    def __call__(self, jobs: Jobs) -> dict[str, str]:
        from submitit.core.utils import DelayedSubmission, cloudpickle_dump

        every = [*jobs.parts, jobs.last]
        if self.left is None:
            self.left = list(every)
        elif self.left:
            job = self.left.pop(0)
            if every.index(job) in self.killed:
                jobs.log(job).write_text("begun\nslurmstepd: Exceeded job memory limit\n")
            else:
                try:
                    content = "success", DelayedSubmission.load(jobs.folder / f"{job}_submitted.pkl").result()
                except SerError as error:
                    content = "error", f"Traceback\nser.errors.SerError: {error}"
                cloudpickle_dump(content, jobs.result(job))
        return dict.fromkeys(self.left, "RUNNING")
