# SPDX-License-Identifier: Apache-2.0
"""Weights that the sub-networks of a supernet share, and the transformer blocks made of them.

A sub-network uses the leading channels, heads, hidden units, ranks and blocks of the supernet's
weights (AutoFormer, Chen et al., ICCV 2021). Low-rank pairs are nested: the leading columns of A
and rows of B are the leading singular directions, at the start and after `init_from`. Windows of
several sizes share Swin's bias: a distance has one number.
"""

from __future__ import annotations

import dataclasses
import zlib
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_models.grid_layers import bias_entries, relative_entries, shift_mask
from keras_models.layers import layers_for
from keras_models.parts import Places, StemLayer
from nas.space import fail
from nas.space.any_space import AnySubnet, Searchable
from nas.supernet.four_bits import where_of_4_bits
from nas.supernet.masks import Masks
from nas.supernet.selection import Mask, selection_of_backend

Floats = NDArray[np.float32]
STDDEV = 0.02  # of positions, distances and class tokens at the start


@dataclasses.dataclass(frozen=True)
class BlockSizes:
    """Of the supernet's blocks: the widest; ranks 0: dense layers."""

    dim: int
    heads: int
    head_dim: int
    hidden: int
    qkv: int = 0
    proj: int = 0
    fc1: int = 0
    fc2: int = 0


@dataclasses.dataclass(frozen=True)
class BlockMasks:
    """Of one block of a sub-network; None: all entries."""

    dim: Mask
    heads: Mask
    hidden: Mask
    head_dim: Mask = None
    qkv: Mask = None
    proj: Mask = None
    fc1: Mask = None
    fc2: Mask = None
    four_bits: Mask = None  # a one where the block's weights have 4 bits; None: nowhere


@dataclasses.dataclass(frozen=True)
class Positions:
    """What the supernet's blocks of a form make of their tokens' places.

    Attributes:
      places: of a block without a shift.
      largest: side of the largest window whose bias is stored.
    """

    places: Places
    largest: int = 0


class SharedWeights(keras.layers.Layer):  # type: ignore[misc]
    """All networks of a space: what the kinds of supernets have in common.

    Attributes:
      space: the space.
      table: every weight that sub-networks share, by name.
      select: how a part of them is computed with.
    """

    def __init__(
        self, space: Searchable, activation: str, epsilon: float, seed: int, synchronized: bool
    ) -> None:
        super().__init__(name="supernet", dtype=keras.config.floatx())
        self.space: Any = space
        self.seed = seed
        self.synchronized = synchronized
        self.norm_epsilon = epsilon
        self.select = selection_of_backend()
        self.activate = layers_for(keras).Activation(activation)
        self.table: dict[str, Any] = {}

    # ---- what each kind has ---------------------------------------------------------------------

    @property
    def needs_statistics(self) -> bool:
        """Whether sub-networks have batch statistics of their own (`nas.supernet.staged_net`)."""
        return False

    def masks(self, config: AnySubnet) -> Masks:
        """The masks of a sub-network; SpaceError if it is none of the space."""
        raise NotImplementedError

    def values(self, name: str) -> Floats:
        """A weight as NumPy."""
        return np.asarray(ops.convert_to_numpy(self.table[name]))

    # ---- weights -------------------------------------------------------------------------------

    def _seed_of(self, name: str) -> int:
        return zlib.crc32(f"{self.seed} {name}".encode())

    def _add(self, name: str, value: Any) -> None:
        def initial(shape: Any, dtype: Any = None) -> Any:
            return ops.convert_to_tensor(np.asarray(value, np.float32), dtype)

        shape = np.shape(value)
        self.table[name] = self.add_weight(
            name=name.replace("/", "_"), shape=shape, initializer=initial
        )

    def _glorot(self, name: str, fan_in: int, fan_out: int) -> Floats:
        rng = np.random.default_rng(self._seed_of(name))
        limit = np.sqrt(6.0 / (fan_in + fan_out))
        return rng.uniform(-limit, limit, (fan_in, fan_out)).astype(np.float32)

    def _normal(self, name: str, *shape: int, stddev: float = STDDEV) -> Floats:
        rng = np.random.default_rng(self._seed_of(name))
        return rng.normal(0, stddev, shape).astype(np.float32)

    def _stem_layers(self, stem: tuple[StemLayer, ...], prefix: str) -> list[Any]:
        """Layers of a stem, with the names that a plain model gives them behind the prefix."""
        layers: list[Any] = []
        for i, layer in enumerate(stem):
            layers.append(
                keras.layers.Conv2D(
                    layer.channels,
                    layer.kernel,
                    strides=layer.stride,
                    padding="same",
                    use_bias=not layer.batch_norm,
                    kernel_initializer=keras.initializers.HeNormal(
                        self._seed_of(f"{prefix.removesuffix('_')}{i}")
                    ),
                    name=f"{prefix}stem{i}_conv",
                )
            )
            if layer.batch_norm:
                name = f"{prefix}stem{i}_bn"
                norm = keras.layers.BatchNormalization(name=name, synchronized=self.synchronized)
                layers.append(norm)
            if layer.activation == "relu":
                layers.append(keras.layers.ReLU())
            elif layer.activation == "gelu":
                layers.append(layers_for(keras).Activation("gelu"))
        return layers

    def _add_linear(self, name: str, fan_in: int, fan_out: int, rank: int) -> None:
        dense = self._glorot(name, fan_in, fan_out)
        if rank:
            left, right = split_pair(dense, rank)
            self._add(f"{name}_a/kernel", left)
            self._add(f"{name}_b/kernel", right)
        else:
            self._add(f"{name}/kernel", dense)
        self._add(f"{name}/bias", np.zeros(fan_out))

    def _add_norm(self, name: str, dim: int) -> None:
        self._add(f"{name}/gamma", np.ones(dim))
        self._add(f"{name}/beta", np.zeros(dim))

    def _add_block(self, name: str, sizes: BlockSizes, positions: Positions) -> None:
        inner = sizes.heads * sizes.head_dim
        self._add_norm(f"{name}_norm1", sizes.dim)
        self._add_linear(f"{name}_qkv", sizes.dim, 3 * inner, sizes.qkv)
        self._add_linear(f"{name}_proj", inner, sizes.dim, sizes.proj)
        self._add_norm(f"{name}_norm2", sizes.dim)
        self._add_linear(f"{name}_fc1", sizes.dim, sizes.hidden, sizes.fc1)
        self._add_linear(f"{name}_fc2", sizes.hidden, sizes.dim, sizes.fc2)
        if positions.largest:
            far = 2 * positions.largest - 1
            bias = self._normal(f"{name}_sdpa/bias_table", far, far, sizes.heads)
            self._add(f"{name}_sdpa/bias_table", bias)
        if positions.places.relative:
            shape = (2, 2 * positions.places.relative + 2, sizes.head_dim)
            for part in ("position_keys", "position_values"):
                self._add(f"{name}_sdpa/{part}", self._normal(f"{name}_sdpa/{part}", *shape))

    # ---- layers --------------------------------------------------------------------------------

    def _norm(self, x: Any, name: str, mask: Mask, parts: int = 1) -> Any:
        """LayerNorm over the leading channels of each of so many parts; masked x is zero behind
        them."""
        lead = self.select.lead
        whole = self.table[f"{name}/gamma"].shape[0] // parts
        scale, shift = (
            ops.reshape(
                lead(ops.reshape(self.table[f"{name}/{kind}"], (parts, -1)), None, mask), (-1,)
            )
            for kind in ("gamma", "beta")
        )
        every = None if mask is None else ops.tile(mask, (parts,))
        width = parts * whole if every is None else ops.sum(every)
        centred = self.select.keep(x - ops.sum(x, axis=-1, keepdims=True) / width, every)
        variance = ops.sum(centred * centred, axis=-1, keepdims=True) / width
        x = centred * ops.rsqrt(variance + self.norm_epsilon)
        return self.select.keep(x * scale + shift, every)

    def _matmul(self, x: Any, kernel: Any, rows: Mask, four_bits: Mask) -> Any:
        """x times a kernel [inputs, outputs], rounded to 4 bits where a block has them."""
        if four_bits is None:
            return ops.matmul(x, kernel)
        used = ops.transpose(self.select.keep(ops.transpose(kernel), rows))
        return ops.matmul(x, where_of_4_bits(used, (0,), four_bits))

    def _linear(
        self, x: Any, name: str, masks: tuple[Mask, Mask], rank: Mask, four_bits: Mask
    ) -> Any:
        """Masks are those of inputs and outputs."""
        lead, (rows, columns) = self.select.lead, masks
        bias = lead(self.table[f"{name}/bias"], columns)
        if f"{name}/kernel" in self.table:
            kernel = lead(self.table[f"{name}/kernel"], rows, columns)
            return self._matmul(x, kernel, rows, four_bits) + bias
        x = self._matmul(x, lead(self.table[f"{name}_a/kernel"], rows, rank), rows, four_bits)
        x = self.select.keep(x, rank)
        second = lead(self.table[f"{name}_b/kernel"], rank, columns)
        return self._matmul(x, second, rank, four_bits) + bias

    def _of_heads(self, name: str, sizes: BlockSizes, m: BlockMasks) -> tuple[Any, Any]:
        """Weights and bias of the queries, keys and values of leading heads."""
        lead, size = self.select.lead, self.select.size
        columns = 3 * size(m.heads, sizes.heads) * size(m.head_dim, sizes.head_dim)
        shape = (3, sizes.heads, sizes.head_dim)
        kernel_name = f"{name}/kernel" if f"{name}/kernel" in self.table else f"{name}_b/kernel"
        rows = m.dim if kernel_name == f"{name}/kernel" else m.qkv
        kernel = ops.reshape(self.table[kernel_name], (-1, *shape))
        kernel = lead(kernel, rows, None, m.heads, m.head_dim)
        bias = lead(ops.reshape(self.table[f"{name}/bias"], shape), None, m.heads, m.head_dim)
        return ops.reshape(kernel, (-1, columns)), ops.reshape(bias, (-1,))

    def _queries_keys_values(self, x: Any, name: str, sizes: BlockSizes, m: BlockMasks) -> Any:
        kernel, bias = self._of_heads(name, sizes, m)
        rows = m.dim
        if f"{name}/kernel" not in self.table:
            first = self.select.lead(self.table[f"{name}_a/kernel"], m.dim, m.qkv)
            x, rows = self.select.keep(self._matmul(x, first, rows, m.four_bits), m.qkv), m.qkv
        return self._matmul(x, kernel, rows, m.four_bits) + bias

    def _project(self, x: Any, name: str, sizes: BlockSizes, m: BlockMasks) -> Any:
        """The leading heads' context, through the output's layer."""
        lead, dense = self.select.lead, f"{name}/kernel" in self.table
        first = self.table[f"{name}/kernel" if dense else f"{name}_a/kernel"]
        first = ops.reshape(first, (sizes.heads, sizes.head_dim, -1))
        columns = m.dim if dense else m.proj
        width = self.select.size(columns, first.shape[-1])
        first = ops.reshape(lead(first, m.heads, m.head_dim, columns), (-1, width))
        x = self._matmul(x, first, self._inner(sizes, m), m.four_bits)
        if not dense:
            x = self.select.keep(x, m.proj)
            second = lead(self.table[f"{name}_b/kernel"], m.proj, m.dim)
            x = self._matmul(x, second, m.proj, m.four_bits)
        return x + lead(self.table[f"{name}/bias"], m.dim)

    def _inner(self, sizes: BlockSizes, m: BlockMasks) -> Mask:
        """Mask of the context's numbers, head after head; None where they are cut."""
        if self.select.cuts or m.four_bits is None:
            return None
        heads = ops.ones(sizes.heads) if m.heads is None else m.heads
        head_dim = ops.ones(sizes.head_dim) if m.head_dim is None else m.head_dim
        return ops.reshape(ops.outer(heads, head_dim), (-1,))

    # ---- transformer blocks --------------------------------------------------------------------

    def _block(
        self, x: Any, name: str, sizes: BlockSizes, m: BlockMasks, positions: Positions
    ) -> Any:
        """A pre-norm block with the places of its tokens, window and shift included."""
        select = self.select
        x = x + select.keep(self._attention(x, name, sizes, m, positions), m.dim)
        return x + select.keep(self._mlp(x, name, m), m.dim)

    def _mlp(self, x: Any, name: str, m: BlockMasks) -> Any:
        x = self._norm(x, f"{name}_norm2", m.dim)
        x = self.activate(self._linear(x, f"{name}_fc1", (m.dim, m.hidden), m.fc1, m.four_bits))
        x = self.select.keep(x, m.hidden)
        return self._linear(x, f"{name}_fc2", (m.hidden, m.dim), m.fc2, m.four_bits)

    def _attention(
        self, x: Any, name: str, sizes: BlockSizes, m: BlockMasks, positions: Positions
    ) -> Any:
        places, size = positions.places, self.select.size
        heads, head_dim = size(m.heads, sizes.heads), size(m.head_dim, sizes.head_dim)
        tokens = places.seen
        x = self._norm(x, f"{name}_norm1", m.dim)
        order = _order(places) if places.window else None
        if order is not None:
            width = size(m.dim, sizes.dim)
            x = ops.reshape(ops.take(x, order, axis=1), (-1, tokens, width))
        x = self._queries_keys_values(x, f"{name}_qkv", sizes, m)
        x = ops.transpose(ops.reshape(x, (-1, tokens, 3, heads, head_dim)), (2, 0, 3, 1, 4))
        scale, used = sizes.head_dim**-0.5, 1.0
        if m.head_dim is not None:
            scale, used = ops.rsqrt(ops.sum(m.head_dim)), self.select.lead(m.head_dim, m.head_dim)
        q, k, v = ops.unstack(x, 3)  # whose gradient is one stack, not three padded slices
        q = q * (scale * used)
        scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2)))
        shares = ops.softmax(self._placed(scores, q, name, m, heads, positions), axis=-1)
        x = ops.matmul(shares, v)
        if places.relative:
            x = x + self._by_query(
                shares, self._entries(f"{name}_sdpa/position_values", places, m), heads
            )
        x = self._used_heads(x, m, used)
        x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, tokens, heads * head_dim))
        x = self._project(x, f"{name}_proj", sizes, m)
        if order is not None:
            x = ops.reshape(x, (-1, places.side**2, size(m.dim, sizes.dim)))
            x = ops.take(x, np.argsort(order), axis=1)
        return x

    def _used_heads(self, x: Any, m: BlockMasks, used: Any) -> Any:
        """Context with zeros in heads and numbers of heads that are computed, but not used."""
        if self.select.cuts:
            return x
        if m.head_dim is not None:
            x = self.select.keep(x, used)
        if m.heads is None:
            return x
        return ops.transpose(
            self.select.keep(ops.transpose(x, (0, 2, 3, 1)), m.heads), (0, 3, 1, 2)
        )

    def _placed(
        self, scores: Any, q: Any, name: str, m: BlockMasks, heads: Any, positions: Positions
    ) -> Any:
        """Scores with what depends on places."""
        places = positions.places
        if places.relative:
            table = self._entries(f"{name}_sdpa/position_keys", places, m)
            return scores + self._by_query(q, ops.transpose(table, (0, 2, 1)), heads)
        bias: Any = 0.0
        if places.bias:
            window, far = places.window or places.side, 2 * positions.largest - 1
            edge = positions.largest - window
            table = self.table[f"{name}_sdpa/bias_table"]
            table = ops.convert_to_tensor(table)[edge : far - edge, edge : far - edge]
            table = self.select.lead(table, None, None, m.heads)
            table = ops.reshape(table, ((2 * window - 1) ** 2, heads))
            bias = ops.transpose(ops.take(table, bias_entries(window), axis=0), (2, 0, 1))
        if not places.shift:
            return scores + bias
        cut_off = shift_mask(places.side, places.window, places.shift)
        mask = ops.convert_to_tensor(cut_off[:, None], scores.dtype)
        shape = (-1, len(cut_off), heads, places.seen, places.seen)
        scores = ops.reshape(scores, shape) + (bias + mask)
        return ops.reshape(scores, (-1, heads, places.seen, places.seen))

    def _entries(self, name: str, places: Places, m: BlockMasks) -> Any:
        """[tokens, tokens, head_dim]: row and column entry of each pair."""
        rows, columns = relative_entries(places.side, places.prefix, places.relative)
        table = self.select.lead(self.table[name], None, None, m.head_dim)
        return ops.take(table[0], rows, axis=0) + ops.take(table[1], columns, axis=0)

    def _by_query(self, x: Any, table: Any, heads: Any) -> Any:
        """x [batch, heads, tokens, n] times what belongs to its token, [tokens, n, m]."""
        tokens = x.shape[2]
        x = ops.transpose(x, (2, 0, 1, 3))
        x = ops.reshape(x, (tokens, -1, ops.shape(table)[1]))
        x = ops.transpose(ops.matmul(x, table), (1, 0, 2))
        return ops.reshape(x, (-1, heads, tokens, ops.shape(table)[2]))


def _order(places: Places) -> NDArray[np.int64]:
    """Tokens of a rolled grid, window after window."""
    side, window = places.side, places.window
    grid = np.roll(np.arange(side * side).reshape(side, side), (-places.shift,) * 2, (0, 1))
    cut = grid.reshape(side // window, window, side // window, window)
    return cut.transpose(0, 2, 1, 3).reshape(-1)


def split_pair(matrix: Floats, rank: int) -> tuple[Floats, Floats]:
    """A (inputs, rank) and B (rank, outputs), leading singular directions first, A.B ~ matrix.

    Both halves carry the root of the singular values, so that they learn at the same pace.
    """
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    if rank > len(s):
        fail("rank", rank, f"at most {len(s)} for a matrix of {matrix.shape}")
    root = np.sqrt(s[:rank])
    return (u[:, :rank] * root).astype(np.float32), (root[:, None] * vt[:rank]).astype(np.float32)
