# SPDX-License-Identifier: Apache-2.0
"""Augmentation of whole batches in NumPy: `Augment` does what a recipe says.

A batch depends on the seed, the epoch and its number only, whatever Keras runs on, so that a
training that goes on, on this machine or another, sees what an uninterrupted one sees.

    pipeline.py     a recipe's steps in order
    geometry.py     mirror, shift, affine transformations
    colour.py       operations on the values of pixels
    randaugment.py  RandAugment: which operation, how strong
    boxes.py        random erasing, cut-out
    mixing.py       mixup and cutmix

Images are planes, float32 (batch, channels, height, width), 0..255, except where a file says so:
arithmetic then runs over whole rows instead of three values at a time.
"""

from __future__ import annotations

from keras_models.training.augmentation.pipeline import Augment

__all__ = ["Augment"]
