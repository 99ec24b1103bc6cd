# SPDX-License-Identifier: Apache-2.0
"""Keras layers of attention that knows the grid its tokens form: windows, relative position.

Windows and their bias are Swin's (Liu et al., ICCV 2021), as S3 has them too; relative keys and
values are AutoFormer's (Chen et al., ICCV 2021), which MCUFormer took over.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MASKED = -100.0  # added to the score of a token of another region, as in Swin

# ---- places --------------------------------------------------------------------------------------


def relative_entries(side: int, prefix: int, largest: int) -> NDArray[np.int32]:
    """Entries [2, tokens, tokens] of the tables by row and by column distance, key less query.

    Distances are cut off at `largest`; the entry of distance 0 is largest + 1, that of every pair
    with a token before the grid is 0.
    """
    places = np.arange(side * side)
    entries = np.zeros((2, prefix + side * side, prefix + side * side), np.int32)
    for table, at in enumerate((places // side, places % side)):
        distance = np.clip(at[None, :] - at[:, None], -largest, largest)
        entries[table, prefix:, prefix:] = distance + largest + 1
    return entries


def bias_entries(side: int) -> NDArray[np.int32]:
    """Rows [tokens, tokens] of a table of (2 * side - 1)**2 distances, query less key."""
    places = np.arange(side * side)
    rows, columns = places // side, places % side
    down = rows[:, None] - rows[None, :] + side - 1
    right = columns[:, None] - columns[None, :] + side - 1
    return (down * (2 * side - 1) + right).astype(np.int32)


def shift_mask(side: int, window: int, shift: int) -> NDArray[np.float32]:
    """What is added to scores [windows, tokens, tokens] of a rolled grid: tokens that the roll
    brought together from opposite edges do not see each other."""
    region = np.zeros(side, np.int32)
    region[side - window :] = 1
    region[side - shift :] = 2
    regions = 3 * region[:, None] + region[None, :]
    cut = regions.reshape(side // window, window, side // window, window)
    regions = cut.transpose(0, 2, 1, 3).reshape(-1, window * window)
    other = regions[:, :, None] != regions[:, None, :]
    return np.where(other, np.float32(MASKED), np.float32(0.0))


# ---- layers --------------------------------------------------------------------------------------


def pixel_shuffle(keras_module: Any, ops: Any, register: Any) -> Any:
    @register
    class PixelShuffle(keras_module.layers.Layer):  # type: ignore[misc]
        """Tokens or pixels of a grid, each with pixels x pixels x classes values -> the picture.

        (batch, side * side, n) or (batch, side, side, n) -> (batch, *shape): each token's values
        are its part of the picture, row after row.
        """

        def __init__(self, shape: tuple[int, int, int], pixels: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.shape = tuple(shape)
            self.pixels = pixels

        def call(self, x: Any) -> Any:
            height, width, classes = self.shape
            side, pixels = width // self.pixels, self.pixels
            # A row of tokens at a time, so that four dimensions are enough.
            x = ops.reshape(x, (-1, side, pixels, pixels * classes))
            x = ops.transpose(x, (0, 2, 1, 3))
            return ops.reshape(x, (-1, height, width, classes))

        def compute_output_shape(self, input_shape: Any) -> Any:
            return (input_shape[0], *self.shape)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "shape": self.shape, "pixels": self.pixels}

    return PixelShuffle


def windows(keras_module: Any, ops: Any, register: Any) -> Any:
    @register
    class Windows(keras_module.layers.Layer):  # type: ignore[misc]
        """(batch, side * side, dim) -> (batch * windows, window * window, dim), or back.

        The grid is rolled up and to the left by `shift` before it is cut; `back` undoes both.
        """

        def __init__(
            self, side: int, window: int, shift: int = 0, back: bool = False, **kwargs: Any
        ) -> None:
            super().__init__(**kwargs)
            self.side = side
            self.window = window
            self.shift = shift
            self.back = back

        def call(self, x: Any) -> Any:
            return self._joined(x) if self.back else self._cut(x)

        def _cut(self, x: Any) -> Any:
            side, window, dim = self.side, self.window, x.shape[-1]
            x = self._rolled(ops.reshape(x, (-1, side, side, dim)), self.shift)
            # Tokens of a row of a window are side by side, so that four dimensions are enough.
            x = ops.reshape(x, (-1, window, side // window, window * dim))
            x = ops.transpose(x, (0, 2, 1, 3))
            return ops.reshape(x, (-1, window * window, dim))

        def _joined(self, x: Any) -> Any:
            side, window, dim = self.side, self.window, x.shape[-1]
            x = ops.reshape(x, (-1, side // window, window, window * dim))
            x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, side, side, dim))
            x = self._rolled(x, side - self.shift if self.shift else 0)
            return ops.reshape(x, (-1, side * side, dim))

        def _rolled(self, x: Any, by: int) -> Any:
            if by == 0:
                return x
            x = ops.concatenate([x[:, by:], x[:, :by]], axis=1)
            return ops.concatenate([x[:, :, by:], x[:, :, :by]], axis=2)

        def compute_output_shape(self, input_shape: Any) -> Any:
            batch, dim = input_shape[0], input_shape[-1]
            count = (self.side // self.window) ** 2
            if self.back:
                return (None if batch is None else batch // count, self.side**2, dim)
            return (None if batch is None else batch * count, self.window**2, dim)

        def get_config(self) -> dict[str, Any]:
            own = {"side": self.side, "window": self.window, "shift": self.shift, "back": self.back}
            return {**super().get_config(), **own}

    return Windows


def grid_dot_product(scaled_dot_product: Any, keras_module: Any, ops: Any, register: Any) -> Any:
    normal = keras_module.initializers.TruncatedNormal

    @register
    class GridDotProduct(scaled_dot_product):  # type: ignore[misc]
        """softmax(q.k^T / sqrt(head_dim) + bias).v of all heads of tokens that form a grid.

        Input and output as of `ScaledDotProduct`; tokens are those of one window, row after row,
        without windows `prefix` tokens (a class token), then those of the grid.

        * `bias`: Swin's, a number for each head and distance.
        * `shift`: windows are those of a grid rolled by it, see `shift_mask`.
        * `relative`: AutoFormer's tables up to that distance. To the score of i and j comes
          q[i].(rows[d] + columns[e]) / sqrt(head_dim), d and e their distances, to the value of j
          the sum of two such entries.
        """

        def __init__(
            self, heads: int, head_dim: int, side: int, prefix: int = 0, window: int = 0,
            shift: int = 0, bias: bool = False, relative: int = 0, **kwargs: Any,
        ) -> None:  # fmt: skip
            super().__init__(heads, head_dim, **kwargs)
            self.own = {
                "side": side, "prefix": prefix, "window": window, "shift": shift, "bias": bias,
                "relative": relative,
            }  # fmt: skip
            self.bias_rows = bias_entries(window or side) if bias else None
            self.mask = shift_mask(side, window, shift) if shift else None
            self.entries = relative_entries(side, prefix, relative) if relative else None

        def build(self, input_shape: Any) -> None:
            if self.bias_rows is not None:
                rows = int(self.bias_rows.max()) + 1
                self.bias_table = self.add_weight(
                    name="bias_table", shape=(rows, self.heads), initializer=normal(stddev=0.02)
                )
            if self.entries is not None:
                shape = (2, 2 * self.own["relative"] + 2, self.head_dim)
                self.keys = self.add_weight(
                    name="position_keys", shape=shape, initializer=normal(stddev=0.02)
                )
                self.values = self.add_weight(
                    name="position_values", shape=shape, initializer=normal(stddev=0.02)
                )
            self.built = True

        def _scores(self, q: Any, k: Any) -> Any:
            scores = super()._scores(q, k)
            if self.entries is not None:
                table = ops.transpose(self._entries(self.keys, q), (0, 2, 1))
                scores = scores + self._by_query(q, table)
            return self._placed(scores)

        def _context(self, shares: Any, v: Any) -> Any:
            out = super()._context(shares, v)
            if self.entries is not None:
                out = out + self._by_query(shares, self._entries(self.values, v))
            return out

        def _entries(self, table: Any, like: Any) -> Any:
            """[tokens, tokens, head_dim]: row and column entry of each pair."""
            assert self.entries is not None
            rows, columns = self.entries
            entries = ops.take(table[0], rows) + ops.take(table[1], columns)
            return ops.narrow(entries, like)

        def _by_query(self, x: Any, table: Any) -> Any:
            """x [batch, heads, tokens, n] times what belongs to its token, [tokens, n, m]."""
            tokens, width = x.shape[2], table.shape[2]
            x = ops.reshape(ops.transpose(x, (2, 0, 1, 3)), (tokens, -1, x.shape[3]))
            x = ops.transpose(ops.matmul(x, table), (1, 0, 2))
            return ops.reshape(x, (-1, self.heads, tokens, width))

        def _placed(self, scores: Any) -> Any:
            """Bias and mask added."""
            tokens = scores.shape[-1]
            bias: Any = 0.0
            if self.bias_rows is not None:
                bias = ops.narrow(ops.take(self.bias_table, self.bias_rows), scores)
                bias = ops.transpose(bias, (2, 0, 1))
            if self.mask is None:
                return scores if self.bias_rows is None else scores + bias
            scores = ops.reshape(scores, (-1, len(self.mask), self.heads, tokens, tokens))
            scores = scores + (bias + ops.constant(self.mask[:, None], scores))
            return ops.reshape(scores, (-1, self.heads, tokens, tokens))

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), **self.own}

    return GridDotProduct
