"""Which view of each training utterance a run sees in an epoch: the original or one of its views, each as likely.

Drawn for each run, epoch and utterance from a stream of the run's own. Utterances that are not training rows (validation, test,
the unlabelled rows of a target corpus) are always the original, so a view that was chosen by the label is seen with that
label in training and nowhere else.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ser.features.view_rows import NO_VIEW, ViewRows
from ser.train.nn import streams


class Drawn:
    """The draws of a stack of runs.

    Args:
        views: what there is to draw among.
        rows: training rows, `(runs, m)`.
    """

    def __init__(self, views: ViewRows, rows: Tensor) -> None:
        self.stores = views.stores
        device, count = rows.device, len(views.rows)
        rows_of_views = torch.as_tensor(views.rows, device=device)
        there = rows_of_views != NO_VIEW
        first = there.long().argsort(dim=1, descending=True, stable=True)
        self.table = torch.cat([torch.arange(count, device=device)[:, None], rows_of_views.gather(1, first)], dim=1)
        self.number = 1 + there.sum(1)
        self.trains = torch.zeros(len(rows), count, dtype=torch.bool, device=device).scatter_(1, rows, True)
        self.now = torch.zeros(0)

    def begin(self, seeds: Sequence[int], epoch: int) -> None:
        """Draw for an epoch; `now` is `(runs, n)`: what each utterance is in each run."""
        count = len(self.table)
        drawn = [torch.rand(count, generator=streams.generator(s, "views", epoch), dtype=torch.float64) for s in seeds]
        number = (torch.stack(drawn).to(self.table.device) * self.number).long().clamp(max=self.number - 1)
        number = torch.where(self.trains, number, 0)
        self.now = self.table.expand(len(seeds), -1, -1).gather(2, number[..., None])[..., 0]

    def keep(self, index: Tensor) -> None:
        """Keep some of the runs."""
        self.trains = self.trains[index]


def of(rows: Tensor, store: str, drawn: Drawn | None) -> Tensor:
    """The rows of a store's features that some utterances `(runs, ...)` are."""
    if drawn is None or store not in drawn.stores:
        return rows
    return drawn.now.gather(1, rows.flatten(1)).view(rows.shape)
