"""float32 is float32 on a GPU, and is what it was afterwards; memory that is full is known by all of its names."""

import gc
import weakref
from typing import Any

import pytest
import torch
from torch.backends import cuda, cudnn

from ser import accelerator
from ser.accelerator import exact, is_full
from ser.errors import TrainingError
from ser.train.runs.worker import within_memory


def settings() -> list[Any]:
    found = [cudnn.allow_tf32, cudnn.deterministic, cuda.matmul.allow_tf32, torch.get_float32_matmul_precision()]
    return found + [getattr(getattr(w, k, None), "fp32_precision", None) for w, k in KINDS]


KINDS = ((cudnn, "conv"), (cudnn, "rnn"), (cuda, "matmul"))
EXACT = [False, True, False, "highest"]


@pytest.mark.parametrize("precision", ["highest", "high"])
def test_float32_is_float32_within_and_as_before_without(precision: str) -> None:
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(precision)
        own = settings()
        assert own[0]  # torch's default, which rounds convolutions to ten bits
        with exact("cpu"):
            assert settings() == own
        with exact("cuda:1"):
            with pytest.raises(ValueError, match="within"), exact("cuda"):
                raise ValueError("within")
            assert settings()[:4] == EXACT
            assert set(settings()[4:]) <= {"ieee", None}
        assert settings() == own
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="torch before 2.9")
def test_settings_made_in_torchs_new_way_are_respected() -> None:
    own = cudnn.conv.fp32_precision
    try:
        cudnn.conv.fp32_precision = "ieee"  # from here on torch refuses to say what `cudnn.allow_tf32` is
        with pytest.raises(RuntimeError, match=r"mix|different"):
            _ = cudnn.allow_tf32
        with exact("cuda"):
            assert (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision) == ("ieee", "ieee")
        assert cudnn.conv.fp32_precision == "ieee"
    finally:
        cudnn.allow_tf32 = True
        cudnn.conv.fp32_precision = own
    assert cudnn.allow_tf32


def test_training_and_predicting_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from ser.features.blocks import Block
    from ser.train.loop.config import make_config
    from ser.train.loop.data import Data, Resident
    from ser.train.loop.prediction import predict
    from ser.train.loop.trainer import train
    from ser.train.nn import convolution

    seen: set[bool] = set()
    usual = torch.nn.functional.conv2d
    monkeypatch.setattr(convolution.F, "conv2d", lambda *a, **k: (seen.add(cudnn.allow_tf32), usual(*a, **k))[1])
    values = np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)
    resident = Resident([Block("logmel", "audio", values, np.arange(0, 121, 10))])
    data = Data(resident, np.arange(12) % 2, 2, np.arange(8), np.arange(8, 12))
    config = make_config("cnn2d", epochs=1, head_options={"channels": "4", "hidden": 4})
    (run,) = train(data, config, [0])
    assert seen == {True}  # a CPU's convolutions are none of cuDNN's
    seen.clear()
    monkeypatch.setattr("ser.train.loop.trainer.exact", lambda _: exact("cuda"))
    monkeypatch.setattr("ser.train.loop.prediction.exact", lambda _: exact("cuda"))
    train(data, config, [0])
    predict(data, config, run.weights[None], np.arange(4))
    assert seen == {False}


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 18.1 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("[enforce fail at CPUAllocator.cpp:75] DefaultCPUAllocator: not enough memory: you tried to allocate"),
        MemoryError("Unable to allocate 2.00 EiB for an array"),
    ],
)
def test_a_stack_is_halved_whatever_the_words_for_full_memory_are(error: Exception) -> None:
    assert is_full(error)
    done: list[list[int]] = []

    def train(runs: list[int]) -> list[int]:
        def whole() -> list[int]:
            if len(runs) > 1:
                raise error
            done.append(runs)
            return runs

        return within_memory("cuda", "mlp", runs, "fold 1", whole, lambda k: train(runs[:k]) + train(runs[k:]))

    assert train([4, 5, 6]) == [4, 5, 6]
    assert done == [[4], [5], [6]]


def test_other_errors_are_passed_on_and_one_run_without_memory_is_named() -> None:
    def fail(error: Exception, device: str = "cuda") -> Any:
        def whole() -> None:
            raise error

        return lambda: within_memory(device, "mlp", [3], "fold 1", whole, lambda _: None)

    with pytest.raises(RuntimeError, match="illegal memory access"):
        fail(RuntimeError("CUDA error: an illegal memory access was encountered"))()
    with pytest.raises(TrainingError, match="cuda has not enough memory for one run of head mlp"):
        fail(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))()
    with pytest.raises(TrainingError, match=r"cpu has not enough memory .* found Unable .* or fewer --jobs"):
        fail(MemoryError("Unable to allocate 2.00 EiB"), "cpu")()
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator") as full:
        torch.empty(2**60, dtype=torch.uint8)  # more than any address space has
    with pytest.raises(TrainingError, match="cpu has not enough memory"):
        fail(full.value, "cpu")()


def test_a_failed_stack_is_let_go_before_its_halves_are_tried() -> None:
    """A head whose `embed` is tapped refers to itself, and with it to all that its last step computed."""
    kept: list[weakref.ref[torch.nn.Module]] = []
    gc.disable()
    try:

        def whole() -> bool:
            head = torch.nn.Linear(2, 2)
            head.embed = lambda: head  # type: ignore[assignment]
            kept.append(weakref.ref(head))
            raise torch.OutOfMemoryError("CUDA out of memory")

        assert within_memory("cuda", "mlp", [1, 2], "fold 1", whole, lambda _: kept[0]() is None)
    finally:
        gc.enable()


def test_nothing_is_emptied_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(accelerator.sys.modules, "torch")
    assert not is_full(RuntimeError("CUDA out of memory"))
    accelerator.empty()
