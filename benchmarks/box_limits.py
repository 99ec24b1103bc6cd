# SPDX-License-Identifier: Apache-2.0
"""What one box for each token costs, whatever the network: things that no token answers for."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_models.datasets import Split
from keras_models.tasks import Task
from keras_models.tasks.box_rows import NOBODY
from keras_models.tasks.detection import owners

_SURE = 6.0  # the logit of what is there; less this of what is not


@dataclasses.dataclass(frozen=True)
class BoxLimits:
    """Of the pictures of a split.

    Attributes:
      pictures, things: number of them.
      without_token: things that no token answers for: between the middles of the tokens, or less
        than a token from the middle of a smaller one.
      best_ap50: AP50 of tokens that say just what is wanted of them.
    """

    pictures: int
    things: int
    without_token: int
    best_ap50: float


def box_limits(task: Task, split: Split, shape: tuple[int, ...]) -> BoxLimits:
    """Of a split with boxes, and outputs of this shape."""
    targets = split.labels()
    assert targets is not None
    owner = owners(targets, shape)
    things = targets[..., 4] != NOBODY
    rows = np.arange(targets.shape[1])
    answered = (owner[:, None] == rows[:, None, None]).any(axis=(2, 3))
    wanted = task.wanted(targets, shape)
    logits = np.where(wanted[..., 4:] > 0, _SURE, -_SURE)
    said = np.concatenate([wanted[..., :4], logits], axis=-1)
    best = task.scores(said, targets).figure
    lost = int((things & ~answered).sum())
    return BoxLimits(len(targets), int(things.sum()), lost, best)
