# SPDX-License-Identifier: Apache-2.0
"""Which language a piece of text is in, and what a definition is about.

A network sees the text as a square of bytes, or of sub-words, each of them a token; the rest is a
classifier's.
"""

from __future__ import annotations

import dataclasses

from keras_models.tasks.classification import CLASSIFICATION

LANGUAGE = dataclasses.replace(
    CLASSIFICATION,
    name="language",
    does="Which language a piece of text is in.",
    datasets=("page_languages", "page_pieces"),
    meaning="logit of each language",
)
TOPIC = dataclasses.replace(
    CLASSIFICATION,
    name="topic",
    does="What a definition is about.",
    datasets=("definition_topics", "definition_pieces"),
    meaning="logit of each topic",
)
