"""Which epoch's weights are kept: decided epoch by epoch, on validation scores, or on scores for an unlabelled target."""

from dataclasses import dataclass
from math import inf

SOURCE = ("UA", "WA", "loss", "last")
# Scores for a target corpus (`ser.train.loop.target_criteria`), and what a record says of them.
TARGET = {
    "entropy": "mutual information of the predictions on the unlabelled target (highest)",
    "iwv": "importance-weighted source validation loss (lowest)",
    "dev": "deep embedded validation (lowest)",
    "oracle": "ORACLE: UA on labels of the target",
}
LOWEST = ("iwv", "dev")


@dataclass
class Choice:
    """The epoch kept so far in one run.

    `loss` takes the lowest validation loss, `last` the last epoch. `UA` and `WA` follow the one-standard-error rule
    (Breiman et al. 1984): scores within one standard error of the highest are held equal, and among those the lowest loss
    decides. A validation part of one speaker has a standard error of several points, and the highest of sixty such scores
    is mostly luck; on a large one the rule is the plain maximum. Weights of epochs that were passed over are not kept, so a
    higher score later on does not bring them back.

    `entropy`, `iwv` and `dev` take the best score for the target (`ser.train.loop.target_criteria`), without a rule for
    ties: their errors are not known. `oracle` follows the rule of `UA`, with UA and loss of labelled target rows.

    Attributes:
        selection: its name.
        highest, error: the highest score so far and its standard error.
        score, loss: of the epoch kept.
    """

    selection: str
    highest: float = -inf
    error: float = 0.0
    score: float = -inf
    loss: float = inf

    def takes(self, scores: dict[str, float]) -> bool:
        """Whether to keep the epoch with these scores.

        Args:
            scores: `validation_loss`, and for UA and WA the score and its standard error, `validation_UA_error`; for a target
                `selection_NAME`, and for `oracle` its `selection_oracle_error` and `oracle_loss`.
        """
        if self.selection == "last":
            return True
        if self.selection in TARGET and self.selection != "oracle":
            return self._better(scores[f"selection_{self.selection}"])
        name, loss = f"validation_{self.selection}", scores.get("validation_loss", inf)
        if self.selection == "oracle":
            name, loss = "selection_oracle", scores["oracle_loss"]
        if self.selection == "loss":
            taken = loss < self.loss
            score = 0.0
        else:
            score = scores[name]
            if score > self.highest:
                self.highest, self.error = score, scores[f"{name}_error"]
            bound = self.highest - self.error
            taken = self.score < bound or (score >= bound and loss < self.loss)
        if taken:
            self.score, self.loss = score, loss
        return taken

    def _better(self, score: float) -> bool:
        """Whether this is the best score so far."""
        value = -score if self.selection in LOWEST else score
        taken = value > self.score
        self.score = max(value, self.score)
        return taken


def account(selection: str) -> str:
    """What a record says of how the epoch was chosen."""
    return "last epoch" if selection == "last" else TARGET.get(selection, f"validation {selection}")
