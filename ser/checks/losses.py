"""The promises of a loss: one number for each run, true gradients, and runs that do not depend on each other."""

from functools import partial

import torch
from torch import Tensor

from ser.checks import Promises
from ser.checks.stacked import RUNS, draws_parameters_alone, gives_one_number_a_run, of_one_run, of_three_runs
from ser.train.losses._base import Batch, Term, term

ROWS, CLASSES, SIZE = 10, 4, 5


def example(seed: int = 0) -> Batch:
    """A step of three runs in double precision; class 3 is missing, and some rows lack some of valence, arousal, dominance."""
    random = torch.Generator().manual_seed(seed)
    values = torch.randn(RUNS, ROWS, 3, generator=random, dtype=torch.double)
    values[:, :3, 0], values[:, 5] = torch.nan, torch.nan
    target = torch.rand(RUNS, ROWS, CLASSES, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.double)
    return Batch(
        torch.randn(RUNS, ROWS, CLASSES, generator=random, dtype=torch.double),
        torch.randint(0, CLASSES - 1, (RUNS, ROWS), generator=random),
        torch.rand(RUNS, CLASSES, generator=random, dtype=torch.double) + 0.1,
        torch.tensor([[7, 40, 900, 0]] * RUNS),
        0.1,
        torch.randn(RUNS, ROWS, SIZE, generator=random, dtype=torch.double),
        values,
        target / target.sum(-1, keepdim=True),
    )


def stacked(name: str) -> Term:
    """A loss of three runs, in double precision, its own parameters different in each."""
    return of_three_runs(lambda: term(name)(CLASSES, SIZE), 1.0)


def promises(name: str) -> Promises:
    """The promises of a loss."""
    return {
        "it gives one finite number for each run": lambda: gives_one_number_a_run(stacked(name)(example())),
        "its gradients are those of finite differences": partial(has_true_gradients, name),
        "a run's loss does not depend on the other runs": partial(runs_are_themselves, name),
        "it draws nothing but parameters": partial(draws_parameters, name),
    }


def has_true_gradients(name: str) -> None:
    """By finite differences, with respect to logits, embedding and its own parameters."""
    one, batch = stacked(name), example()
    assert batch.embedding is not None

    def function(logits: Tensor, embedding: Tensor, *own: Tensor) -> Tensor:
        out: Tensor = one(batch._replace(logits=logits, embedding=embedding))  # whose parameters `own` are
        return out

    torch.autograd.gradcheck(function, [batch.logits.requires_grad_(), batch.embedding.requires_grad_(), *one.parameters()])


def runs_are_themselves(name: str) -> None:
    """Each run alone has the loss that it has among three."""
    one, batch = stacked(name), example()
    together = one(batch)
    for r in range(RUNS):
        alone = of_one_run(stacked(name), r)
        row = Batch._make(v[r : r + 1] if isinstance(v, Tensor) else v for v in batch)
        torch.testing.assert_close(alone(row)[0], together[r])


def draws_parameters(name: str) -> None:
    """What it holds beside its parameters is the same in every run."""
    draws_parameters_alone(lambda: term(name)(CLASSES, SIZE), lambda part: part(example()))
