# SPDX-License-Identifier: Apache-2.0
"""Which of some words was said in a second of sound.

A network sees the spectrogram as a picture of one channel whose rows come as time passes, so that
it is streamed row by row; the rest is a classifier's.
"""

from __future__ import annotations

import dataclasses

from keras_models.tasks.classification import CLASSIFICATION

KEYWORDS = dataclasses.replace(
    CLASSIFICATION,
    name="keywords",
    does="Which of some words was said in a second of sound.",
    datasets=("spoken_digits",),
    meaning="logit of each word",
)
