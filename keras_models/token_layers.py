# SPDX-License-Identifier: Apache-2.0
"""Layers that make numbers of tokens of a text network's input, whole ones from end to end."""

from __future__ import annotations

from typing import Any

from keras_models.datasets.normalization import BYTES

_LEAST = int(BYTES.mean[0])  # what is taken from each byte before a network gets it
_BYTE = 256


def byte_numbers(keras_module: Any, ops: Any, register: Any) -> Any:
    @register
    class ByteNumbers(keras_module.layers.Layer):  # type: ignore[misc]
        """Bytes less 128 (batch, n), as a text is taken, to numbers 0..255, int32."""

        def call(self, x: Any) -> Any:
            return ops.whole(x) + _LEAST

        def compute_output_spec(self, x: Any) -> Any:
            return keras_module.KerasTensor(x.shape, dtype="int32")

    return ByteNumbers


def token_numbers(keras_module: Any, ops: Any, register: Any) -> Any:
    @register
    class TokenNumbers(keras_module.layers.Layer):  # type: ignore[misc]
        """Low and high bytes less 128 (batch, n, 2) to numbers (batch, n), int32; those beyond the
        vocabulary are its last."""

        def __init__(self, vocabulary: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.vocabulary = vocabulary

        def call(self, x: Any) -> Any:
            x = ops.whole(x) + _LEAST
            return ops.minimum(x[..., 0] + _BYTE * x[..., 1], self.vocabulary - 1)

        def compute_output_spec(self, x: Any) -> Any:
            return keras_module.KerasTensor(x.shape[:-1], dtype="int32")

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "vocabulary": self.vocabulary}

    return TokenNumbers


def numbers_from(keras_module: Any, ops: Any, register: Any) -> Any:
    @register
    class NumbersFrom(keras_module.layers.Layer):  # type: ignore[misc]
        """Numbers less `least`, kept within 0..rows - 1: what is outside is the nearest of them."""

        def __init__(self, least: int, rows: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.least = least
            self.rows = rows

        def call(self, x: Any) -> Any:
            if self.least:
                x = ops.maximum(x - self.least, 0)
            return ops.minimum(x, self.rows - 1)

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "least": self.least, "rows": self.rows}

    return NumbersFrom
