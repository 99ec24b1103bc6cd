# SPDX-License-Identifier: Apache-2.0
"""From the square of a text to its tokens' rows, as Keras layers."""

from __future__ import annotations

from typing import Any

from keras_models.blocks import NetworkBuilder
from keras_models.text.tables import TokenTable


def token_rows(build: NetworkBuilder, x: Any) -> Any:
    """(batch, side, side, channels) to (batch, side * side, embed_dim): each token's row of a
    table, or of a low-rank pair, or of two: the sum of its rows then, of which one is that of all
    tokens of the other table."""
    layers, arch = build.kit.keras.layers, build.arch
    count = arch.image_size**2
    if arch.channels == 1:
        x = layers.Reshape((count,), name="text")(x)
        x = build.kit.ByteNumbers(name="numbers")(x)
    else:
        x = layers.Reshape((count, arch.channels), name="text")(x)
        x = build.kit.TokenNumbers(arch.vocabulary, name="numbers")(x)
    frequent, *rare = arch.token_tables
    if not rare:
        return _rows(build, x, "bytes", frequent)
    both = []
    for name, least, table in (("bytes", 0, frequent), ("rare", arch.rare_from - 1, rare[0])):
        numbers = build.kit.NumbersFrom(least, table.rows, name=f"{name}_numbers")(x)
        both.append(_rows(build, numbers, name, table))
    return layers.Add(name="tokens_add")(both)


def _rows(build: NetworkBuilder, numbers: Any, name: str, table: TokenTable) -> Any:
    layers, width = build.kit.keras.layers, build.arch.embed_dim
    x = layers.Embedding(table.rows, table.rank or width, name=name)(numbers)
    return layers.Dense(width, name=f"{name}_up")(x) if table.rank else x
