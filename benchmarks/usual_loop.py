"""The training loop that most research scripts have, written faithfully: the baseline of `train.py`.

    python benchmarks/usual_loop.py FOLDER CASE RUNS EPOCHS

A `Dataset` of arrays in memory, a `DataLoader` with batches of 16, an `nn.Module` of torch's own layers, AdamW with its
defaults, one-cycle schedule, clipping, `.item()` at every step, validation every epoch, the best epoch's weights copied, the
test part predicted at the end; seeds one after another; torch's own number of threads. Prints the mean test UAR.
"""

import copy
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import recall_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

BATCH = 16


class Features(Dataset):  # type: ignore[type-arg]
    """Items of one part: a list of arrays, one per store, and the label."""

    def __init__(self, folder: Path, part: str) -> None:
        self.rows = np.load(folder / f"{part}.npy")
        self.labels = np.load(folder / "labels.npy")
        self.stores = []
        for path in sorted(folder.glob("values_*.npy")):
            offsets = np.load(folder / path.name.replace("values", "offsets"))
            values = np.load(path)
            self.stores.append([values[a:b] for a, b in itertools.pairwise(offsets)])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[list[Tensor], int]:
        row = self.rows[index]
        return [torch.from_numpy(store[row]) for store in self.stores], int(self.labels[row])


def pad(items: list[tuple[list[Tensor], int]]) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Sequences padded to the longest of the batch, with masks that are true in padding."""
    stores = []
    for parts in zip(*(features for features, _ in items), strict=True):
        lengths = torch.tensor([len(p) for p in parts])
        values = nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
        stores.append((values, torch.arange(values.shape[1])[None] >= lengths[:, None]))
    return stores, torch.tensor([label for _, label in items])


class Flat(nn.Module):
    """A linear probe, or a perceptron, on concatenated vectors."""

    def __init__(self, sizes: list[int], classes: int, hidden: tuple[int, ...], dropout: float, inputs: float) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Dropout(inputs)]
        size = sum(sizes)
        for width in hidden:
            layers += [nn.Linear(size, width), nn.ReLU(), nn.Dropout(dropout)]
            size = width
        self.net = nn.Sequential(*layers, nn.Linear(size, classes))

    def forward(self, stores: list[tuple[Tensor, Tensor]]) -> Tensor:
        out: Tensor = self.net(torch.cat([x[:, 0] for x, _ in stores], dim=-1))
        return out


class Cross(nn.Module):
    """One direction of cross-attention: residual, LayerNorm, feed-forward, residual, LayerNorm."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(hidden, heads, dropout=dropout, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * hidden, hidden))
        self.first, self.second, self.dropout = nn.LayerNorm(hidden), nn.LayerNorm(hidden), nn.Dropout(dropout)

    def forward(self, x: Tensor, source: Tensor, padding: Tensor) -> Tensor:
        seen, _ = self.attention(x, source, source, key_padding_mask=padding, need_weights=False)
        x = self.first(x + self.dropout(seen))
        out: Tensor = self.second(x + self.dropout(self.feed(x)))
        return out


class CrossAttention(nn.Module):
    """Two modalities, a transformer layer each, two layers of bidirectional cross-attention, mean, two linear layers."""

    def __init__(self, sizes: list[int], classes: int, hidden: int = 384, layers: int = 2, dropout: float = 0.3) -> None:
        super().__init__()
        self.project = nn.ModuleList(
            nn.Sequential(nn.Linear(size, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Dropout(dropout)) for size in sizes
        )
        self.modality = nn.Parameter(torch.randn(2, hidden) * 0.02)
        self.encode = nn.ModuleList(
            nn.TransformerEncoderLayer(hidden, 8, 4 * hidden, dropout, "gelu", batch_first=True) for _ in sizes
        )
        self.cross = nn.ModuleList(nn.ModuleList(Cross(hidden, 8, dropout) for _ in sizes) for _ in range(layers))
        self.head = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, classes))

    def forward(self, stores: list[tuple[Tensor, Tensor]]) -> Tensor:
        (a, no_a), (b, no_b) = stores
        a = self.encode[0](self.project[0](a) + self.modality[0], src_key_padding_mask=no_a)
        b = self.encode[1](self.project[1](b) + self.modality[1], src_key_padding_mask=no_b)
        for first, second in self.cross:  # type: ignore[misc]
            a, b = first(a, b, no_b), second(b, a, no_a)
        means = [(x * ~no[..., None]).sum(1) / (~no).sum(1, keepdim=True) for x, no in ((a, no_a), (b, no_b))]
        out: Tensor = self.head(torch.cat(means, dim=-1))
        return out


class Basic(nn.Module):
    """The residual block of ResNet-18."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        changes = stride > 1 or inputs != outputs
        project = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = project if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class ResNet(nn.Module):
    """ResNet-18 with one channel."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        stem = [nn.Conv2d(1, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(True), nn.MaxPool2d(3, 2, 1)]
        widths = (64, 64, 128, 256, 512)
        blocks = [Basic(widths[k + half], widths[k + 1], 2 if k and not half else 1) for k in range(4) for half in (0, 1)]
        self.net = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))

    def forward(self, stores: list[tuple[Tensor, Tensor]]) -> Tensor:
        out: Tensor = self.net(stores[0][0][:, None])
        return out


class Recurrent(nn.Module):
    """Three convolutions with batch normalisation, ReLU and maximum, then a BiLSTM, mean, linear."""

    def __init__(self, bands: int, classes: int, hidden: int = 128, dropout: float = 0.3) -> None:
        super().__init__()
        widths = (1, 32, 64, 128)
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(True), nn.MaxPool2d(2)]
        self.net = nn.Sequential(*layers)
        self.lstm = nn.LSTM(widths[-1] * (bands // 8), hidden, batch_first=True, bidirectional=True)
        self.dropout, self.output = nn.Dropout(dropout), nn.Linear(2 * hidden, classes)

    def forward(self, stores: list[tuple[Tensor, Tensor]]) -> Tensor:
        x = self.net(stores[0][0][:, None])
        steps, _ = self.lstm(self.dropout(x.transpose(1, 2).flatten(2)))
        out: Tensor = self.output(self.dropout(steps.mean(1)))
        return out


def model(case: str, sizes: list[int], classes: int) -> nn.Module:
    if case.startswith("cross_attention"):
        return CrossAttention(sizes, classes)
    if case.startswith("resnet18"):
        return ResNet(classes)
    if case.startswith("cnn_bilstm"):
        return Recurrent(sizes[0], classes)
    return Flat(sizes, classes, (), 0, 0) if case.startswith("linear") else Flat(sizes, classes, (64,), 0.5, 0.2)


@torch.no_grad()
def predicted(net: nn.Module, loader: Any) -> tuple[list[int], list[int]]:
    net.eval()
    truth, guess = [], []
    for stores, labels in loader:
        guess += net(stores).argmax(-1).tolist()
        truth += labels.tolist()
    return truth, guess


def one_run(folder: Path, case: str, seed: int, epochs: int) -> float:
    torch.manual_seed(seed)
    train, validation, test = (Features(folder, part) for part in ("train", "validation", "test"))
    loader = DataLoader(train, BATCH, shuffle=True, collate_fn=pad)
    others = [DataLoader(part, 64, collate_fn=pad) for part in (validation, test)]
    classes = int(train.labels.max()) + 1
    net = model(case, [s[0].shape[-1] for s in train.stores], classes)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-4, total_steps=epochs * len(loader))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    best, kept = -1.0, copy.deepcopy(net.state_dict())
    for _ in range(epochs):
        net.train()
        total = 0.0
        for stores, labels in loader:
            optimiser.zero_grad()
            loss = criterion(net(stores), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item()
        score = recall_score(*predicted(net, others[0]), average="macro")
        if score > best:
            best, kept = score, copy.deepcopy(net.state_dict())
    net.load_state_dict(kept)
    return float(recall_score(*predicted(net, others[1]), average="macro"))


if __name__ == "__main__":
    place, which, runs, length = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    print(np.mean([one_run(place, which, seed, length) for seed in range(runs)]))
