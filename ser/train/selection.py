"""Which epoch's weights are kept: decided epoch by epoch, on validation scores alone."""

from dataclasses import dataclass


@dataclass
class Choice:
    """The epoch kept so far in one run.

    `loss` takes the lowest validation loss, `last` the last epoch. `UA` and `WA` follow the one-standard-error rule
    (Breiman et al. 1984): scores within one standard error of the highest are held equal, and among those the lowest loss
    decides. A validation part of one speaker has a standard error of several points, and the highest of sixty such scores
    is mostly luck; on a large one the rule is the plain maximum. Weights of epochs that were passed over are not kept, so a
    higher score later on does not bring them back.

    Attributes:
        selection: `UA`, `WA`, `loss` or `last`.
        highest, error: the highest score so far and its standard error.
        score, loss: of the epoch kept.
    """

    selection: str
    highest: float = -1.0
    error: float = 0.0
    score: float = -1.0
    loss: float = float("inf")

    def takes(self, scores: dict[str, float]) -> bool:
        """Whether to keep the epoch with these scores.

        Args:
            scores: `validation_loss`, and for UA and WA the score and its standard error, `validation_UA_error`.
        """
        if self.selection == "last":
            return True
        loss = scores["validation_loss"]
        if self.selection == "loss":
            taken = loss < self.loss
            score = 0.0
        else:
            score = scores[f"validation_{self.selection}"]
            if score > self.highest:
                self.highest, self.error = score, scores[f"validation_{self.selection}_error"]
            bound = self.highest - self.error
            taken = self.score < bound or (score >= bound and loss < self.loss)
        if taken:
            self.score, self.loss = score, loss
        return taken
