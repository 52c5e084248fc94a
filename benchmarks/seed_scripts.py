"""The training scripts of seed 1 as its description tells them, written anew: the baseline of `train.py --table`.

    python benchmarks/seed_scripts.py in-domain|finetune|dann|fewshot FOLDER RUNS EPOCHS

`FOLDER` has pickles as the scripts take them, `source_train.pkl` and so on: a list of one dictionary for each utterance, with
`text`, `audio` and `label`; `whole_train.pkl` and `whole_val.pkl` are the whole source for tasks that do not test it. A
`Dataset` and a `DataLoader` over them, batches of 16, the model of `usual_loop.py`, AdamW with its defaults, clipping,
`.item()` at every step, validation every epoch with a copy of the best weights; runs one after another; torch's own number of
threads.

What the description leaves open is done as such scripts do it: fine-tuning goes on from the source model of the same run;
few-shot learning trains a source model for every percentage and run; DANN (weight 0.1) takes a batch of the target for each of
the source.
"""

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import recall_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from usual_loop import BATCH, CrossAttention

PERCENTAGES = (10, 20, 50, 100)


class Pickled(Dataset):  # type: ignore[type-arg]
    """The utterances of one pickle."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.items = pickle.load(file)  # our own, of `train.py`

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        item = self.items[index]
        return torch.tensor(item["text"]), torch.tensor(item["audio"]), item["label"]


class Reverse(torch.autograd.Function):
    """The identity, whose gradient is turned round."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradient, None


def stores(text: Tensor, audio: Tensor) -> list[tuple[Tensor, Tensor]]:
    nobody = torch.zeros(len(text), 1, dtype=torch.bool)
    return [(text[:, None], nobody), (audio[:, None], nobody)]


@torch.no_grad()
def uar(net: nn.Module, data: Any) -> float:
    net.eval()
    truth, guess = [], []
    for text, audio, labels in DataLoader(data, 64):
        guess += net(stores(text, audio)).argmax(-1).tolist()
        truth += labels.tolist()
    return float(recall_score(truth, guess, average="macro"))


def fit(net: nn.Module, data: Any, validation: Any, epochs: int, lr: float, target: Any = None) -> nn.Module:
    """Train with validation every epoch, and put the best epoch's weights back; with `target` by DANN."""
    loader = DataLoader(data, BATCH, shuffle=True)
    parameters = list(net.parameters())
    hidden: list[Tensor] = []
    if target is not None:
        critic = nn.Sequential(nn.LazyLinear(256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 2))
        net.head[-1].register_forward_pre_hook(lambda _, given: hidden.append(given[0]))
        with torch.no_grad():
            net.eval()
            text, audio, _ = next(iter(loader))
            net(stores(text, audio))
            critic(hidden.pop())
        parameters += list(critic.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=epochs * len(loader))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    best, kept, step, total = -1.0, copy.deepcopy(net.state_dict()), 0, 0.0
    for _ in range(epochs):
        net.train()
        others = iter(DataLoader(target, BATCH, shuffle=True)) if target is not None else None
        for text, audio, labels in loader:
            optimiser.zero_grad()
            loss = criterion(net(stores(text, audio)), labels)
            if others is not None:
                try:
                    text, audio, _ = next(others)
                except StopIteration:
                    others = iter(DataLoader(target, BATCH, shuffle=True))
                    text, audio, _ = next(others)
                net(stores(text, audio))
                progress = step / (epochs * len(loader))
                alpha = 2 / (1 + np.exp(-10 * progress)) - 1
                for domain, x in enumerate(hidden):
                    wanted = torch.full((len(x),), domain)
                    loss = loss + 0.1 * nn.functional.cross_entropy(critic(Reverse.apply(x, alpha)), wanted)
                hidden.clear()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            schedule.step()
            step += 1
            total += loss.item()
        score = uar(net, validation)
        hidden.clear()
        if score > best:
            best, kept = score, copy.deepcopy(net.state_dict())
    net.load_state_dict(kept)
    return net


def run(task: str, folder: Path, seed: int, epochs: int) -> list[float]:
    """Test UAR of one run; of few-shot learning at each percentage."""
    data = {path.stem: Pickled(path) for path in folder.glob("*.pkl")}
    first = data["source_train"][0]
    torch.manual_seed(seed)

    def source_model(target: Any = None, of: str = "whole") -> nn.Module:
        net = CrossAttention([len(first[0]), len(first[1])], 4)
        return fit(net, data[f"{of}_train"], data[f"{of}_val"], epochs, 1e-4, target)

    if task == "in-domain":
        return [uar(source_model(of="source"), data["source_test"])]
    if task == "dann":
        return [uar(source_model(data["target_train"]), data["target_test"])]
    found, train = [], data["target_train"]
    for percentage in PERCENTAGES if task == "fewshot" else (100,):
        rows = np.random.default_rng(seed).permutation(len(train))[: len(train) * percentage // 100]
        net = fit(source_model(), Subset(train, rows.tolist()), data["target_val"], epochs, 3e-5)
        found.append(uar(net, data["target_test"]))
    return found


if __name__ == "__main__":
    which, place, runs, length = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    print(np.mean([run(which, place, seed, length) for seed in range(runs)], axis=0))
