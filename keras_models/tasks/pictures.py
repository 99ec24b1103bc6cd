# SPDX-License-Identifier: Apache-2.0
"""Maps of another size than a network's output: what a pixel of the output stands for."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from keras_models.tasks.task import Shape, Targets


def stride_of(targets: Targets, shape: Shape) -> int:
    """Pixels of a target's side for one of the output's.

    Raises:
      ValueError: they do not go together.
    """
    height, width = (int(n) for n in targets.shape[1:3])
    stride, rest = divmod(height, shape[0])
    if rest or not stride or shape[1] * stride != width:
        raise ValueError(
            f"output: got {shape[0]} x {shape[1]} pixels, expected a part of {height} x {width}"
        )
    return int(stride)


def sampled(targets: Targets, shape: Shape) -> Targets:
    """Targets (n, h, w) at the middle of each of the output's pixels, (n, *shape[:2])."""
    stride = stride_of(targets, shape)
    return targets[:, stride // 2 :: stride, stride // 2 :: stride]


def enlarged(values: NDArray[Any], targets: Targets) -> NDArray[Any]:
    """One value for each of the output's pixels (n, h, w), repeated for each of the target's."""
    stride = stride_of(targets, values.shape[1:])
    return values.repeat(stride, axis=1).repeat(stride, axis=2)
