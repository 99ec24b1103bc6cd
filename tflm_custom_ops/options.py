# SPDX-License-Identifier: Apache-2.0
"""Parameters of the fused operators, and their serialized form.

Each dataclass holds the logical parameters of one operator or of a part of one (weights as plain
int8 ``[out_features, in_features]``). :func:`encode` turns an operator into the two byte strings
that a ``.tflite`` carries, ``custom_options`` and the constant blob; :func:`decode` reads them
back. ``docs/operators.md`` gives the mathematics, ``kernels/vit_types.h`` the same layout in C.
"""

from __future__ import annotations

import dataclasses
import enum
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.exact_sums import is_exact

Int8Array = NDArray[np.int8]
Int32Array = NDArray[np.int32]

MAGIC = 0x31544956  # "VIT1" little-endian
VERSION = 1
HEADER_WORDS = 4
MAX_EMBED_DIM = 640  # bound of the integer LayerNorm (docs/operators.md)


class OpKind(enum.IntEnum):
    """Operator kinds; the values are part of the file format."""

    PATCH_EMBED = 1
    ATTENTION = 2
    MLP = 3
    LAYER_NORM = 4
    GELU = 5
    LINEAR = 6


class Pool(enum.IntEnum):
    """What a LayerNorm operator does over the tokens."""

    NONE = 0
    MEAN = 1
    FIRST = 2


CUSTOM_CODES = {
    OpKind.PATCH_EMBED: "VitPatchEmbed",
    OpKind.ATTENTION: "VitAttention",
    OpKind.MLP: "VitMlp",
    OpKind.LAYER_NORM: "VitLayerNorm",
    OpKind.GELU: "VitGelu",
    OpKind.LINEAR: "VitLinear",
}


class OptionsError(ValueError):
    """Serialized options that are malformed; the message says what was got and expected."""


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """One int8 linear layer: y = clamp(z + mulh((bias + w.x) << shift, multiplier)).

    Attributes:
      weights: int8 ``[out_features, in_features]``, values in [-127, 127].
      bias: int32 ``[out_features]``, with ``-z_x * sum(w)`` folded in.
      multiplier: int32 ``[out_features]``, real factor times 2**(32 - shift).
      shift: left shift of the accumulator, 0..15.
      out_zero_point, out_min, out_max: of the output type.
      k_block: even; inputs between extractions of the packed sums (exact_sums.py).
    """

    weights: Int8Array
    bias: Int32Array
    multiplier: Int32Array
    shift: int = 0
    out_zero_point: int = 0
    out_min: int = -128
    out_max: int = 127
    k_block: int = 512

    @property
    def out_features(self) -> int:
        return int(self.weights.shape[0])

    @property
    def in_features(self) -> int:
        return int(self.weights.shape[1])


@dataclasses.dataclass(frozen=True, eq=False)
class Projection:
    """A dense linear (``down`` is None) or a low-rank pair: ``up(down(x))``."""

    up: Linear
    down: Linear | None = None

    @property
    def rank(self) -> int:
        return 0 if self.down is None else self.down.out_features

    @property
    def in_features(self) -> int:
        return self.up.in_features if self.down is None else self.down.in_features

    @property
    def out_features(self) -> int:
        return self.up.out_features


@dataclasses.dataclass(frozen=True, eq=False)
class Norm:
    """Integer LayerNorm: int32 ``gamma`` and ``beta`` of shape ``[embed_dim]``, int64 epsilon."""

    gamma: Int32Array
    beta: Int32Array
    epsilon: int


@dataclasses.dataclass(frozen=True)
class Residual:
    """The residual stream's type (8 or 16 bits) and how the block's input x is added."""

    bits: int
    zero_point: int
    multiplier: int
    shift: int


@dataclasses.dataclass(frozen=True, eq=False)
class Attention:
    """Attention block; x and y are ``[tokens, embed_dim]`` of ``residual.bits``."""

    tokens: int
    embed_dim: int
    heads: int
    head_dim: int
    token_tile: int
    heads_at_a_time: int
    score_multiplier: int
    score_shift: int
    exp_table: NDArray[np.uint16]
    context_numerator: int
    context_zero_point: int
    shared_down: bool
    residual: Residual
    norm: Norm
    q: Projection
    k: Projection
    v: Projection
    out: Projection


@dataclasses.dataclass(frozen=True, eq=False)
class Mlp:
    """MLP block; x, y ``[tokens, embed_dim]`` of ``residual.bits``; ``lut`` int8 ``[256]``."""

    tokens: int
    embed_dim: int
    hidden_dim: int
    token_tile: int
    hidden_tile: int
    lut: Int8Array
    residual: Residual
    norm: Norm
    fc1: Projection
    fc2: Projection


@dataclasses.dataclass(frozen=True, eq=False)
class LayerNorm:
    """LayerNorm on its own: x ``[tokens, embed_dim]`` int8/int16 -> int8, optionally pooled."""

    tokens: int
    embed_dim: int
    input_bits: int
    pool: Pool
    zero_point: int
    pool_multiplier: int
    pool_zero_point: int
    norm: Norm


@dataclasses.dataclass(frozen=True, eq=False)
class Gelu:
    """Pointwise int8 table: y = lut[x + 128]."""

    lut: Int8Array


@dataclasses.dataclass(frozen=True, eq=False)
class LinearOp:
    """A projection on its own: x int8 ``[rows, in_features]`` -> int8 ``[rows, out_features]``."""

    rows: int
    token_tile: int
    projection: Projection


@dataclasses.dataclass(frozen=True, eq=False)
class PatchEmbed:
    """Patch embedding: image int8 ``[height, width, channels]`` -> tokens ``[tokens, embed_dim]``.

    ``pos`` is int8 ``[grid_height * grid_width, embed_dim]`` or None; ``cls`` a row
    ``[embed_dim]`` of the output type or None.
    """

    image_height: int
    image_width: int
    channels: int
    patch_height: int
    patch_width: int
    stride_y: int
    stride_x: int
    pad_top: int
    pad_left: int
    grid_height: int
    grid_width: int
    embed_dim: int
    input_zero_point: int
    output_bits: int
    cls: NDArray[np.int8] | NDArray[np.int16] | None
    pos: Int8Array | None
    pos_zero_point: int
    pos_multiplier: int
    pos_shift: int
    linear: Linear

    @property
    def tokens(self) -> int:
        return self.grid_height * self.grid_width + (self.cls is not None)


Op = Attention | Mlp | LayerNorm | Gelu | LinearOp | PatchEmbed

_KIND_OF: dict[type, OpKind] = {
    PatchEmbed: OpKind.PATCH_EMBED,
    Attention: OpKind.ATTENTION,
    Mlp: OpKind.MLP,
    LayerNorm: OpKind.LAYER_NORM,
    Gelu: OpKind.GELU,
    LinearOp: OpKind.LINEAR,
}


def kind_of(op: Op) -> OpKind:
    """The operator kind of a parameter object."""
    return _KIND_OF[type(op)]


def residual_dtype(bits: int) -> type[np.int8 | np.int16]:
    """NumPy type of a residual stream of ``bits`` bits."""
    if bits == 8:
        return np.int8
    if bits == 16:
        return np.int16
    raise OptionsError(f"residual bits: got {bits}, expected 8 or 16")


def pack_dual_channel(weights: Int8Array) -> NDArray[np.int16]:
    """Packs int8 ``[n, k]`` into int16 ``[(n + 1) // 2, k rounded up to even]``.

    packed[p][k] = w[2p][k] + 256 * w[2p + 1][k] (docs/operators.md, Linear).
    """
    n, k = weights.shape
    if weights.size and int(weights.min()) < -127:
        raise OptionsError("weights: got -128, expected values in [-127, 127]")
    wide = np.zeros(((n + 1) // 2 * 2, (k + 1) // 2 * 2), np.int16)
    wide[:n, :k] = weights
    packed: NDArray[np.int16] = (wide[0::2] + 256 * wide[1::2]).astype(np.int16)
    return packed


def unpack_dual_channel(packed: NDArray[np.int16], n: int, k: int) -> Int8Array:
    """Inverse of :func:`pack_dual_channel`."""
    low = packed.astype(np.int8)  # wraps to the sign-extended low byte
    high = ((packed.astype(np.int32) - low) >> 8).astype(np.int8)
    weights = np.empty((packed.shape[0] * 2, packed.shape[1]), np.int8)
    weights[0::2], weights[1::2] = low, high
    return np.ascontiguousarray(weights[:n, :k])


class _Writer:
    """Collects option words and the blob."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.blob = bytearray()
        self._offsets: dict[bytes, int] = {}

    def word(self, *values: int) -> None:
        self.words.extend(int(v) for v in values)

    def word64(self, value: int) -> None:
        low = value & 0xFFFFFFFF
        self.word(low - (1 << 32) if low >= 1 << 31 else low, value >> 32)

    def array(self, values: NDArray[np.generic] | None) -> None:
        """Writes the array's byte offset (0 for None) and puts its bytes into the blob.

        Equal arrays are stored once: the ``down`` that q, k and v share, one scale for all.
        """
        if values is None:
            self.word(0)
            return
        data = np.ascontiguousarray(values).tobytes()
        if data not in self._offsets:
            self.blob.extend(b"\0" * (-len(self.blob) % 16))
            self._offsets[data] = len(self.blob)
            self.blob.extend(data)
        self.word(self._offsets[data])

    def linear(self, p: Linear | None) -> None:
        if p is None:
            self.word(*[0] * 10)
            return
        self.word(p.in_features, p.out_features)
        self.array(pack_dual_channel(p.weights))
        self.array(p.bias.astype(np.int32))
        self.array(p.multiplier.astype(np.int32))
        self.word(p.shift, p.out_zero_point, p.out_min, p.out_max, p.k_block)

    def projection(self, p: Projection) -> None:
        self.word(p.rank)
        self.linear(p.down)
        self.linear(p.up)

    def norm(self, p: Norm) -> None:
        self.word(p.gamma.shape[0])
        self.array(p.gamma.astype(np.int32))
        self.array(p.beta.astype(np.int32))
        self.word64(p.epsilon)

    def residual(self, p: Residual) -> None:
        self.word(p.bits, p.zero_point, p.multiplier, p.shift)


def _check_sums(p: Linear) -> None:
    """Sums that do not come apart are wrong on some cores, and none of them would say so."""
    if int(p.weights.min()) < -127:
        raise OptionsError(
            "linear: got a weight of -128, expected [-127, 127]; fuse the model again"
        )
    if p.k_block < 2 or p.k_block % 2:
        raise OptionsError(f"linear: got k_block {p.k_block}, expected a positive even number")
    if not is_exact(p.weights, p.bias, p.k_block):
        raise OptionsError(
            f"linear of {p.out_features} x {p.in_features}: got k_block {p.k_block}, whose sums "
            "can leave 24 bits; fuse the model again"
        )


class _Reader:
    """Reads option words and blob arrays, checking every bound."""

    def __init__(self, words: Int32Array, blob: bytes) -> None:
        self._words = words
        self._blob = blob
        self._next = HEADER_WORDS

    def word(self) -> int:
        if self._next >= len(self._words):
            raise OptionsError(f"options: got {len(self._words)} words, expected more")
        self._next += 1
        return int(self._words[self._next - 1])

    def word64(self) -> int:
        low = self.word() & 0xFFFFFFFF
        return (self.word() << 32) + low

    def array(self, dtype: type[np.generic], *shape: int) -> NDArray[np.generic]:
        offset = self.word()
        count = int(np.prod(shape, dtype=np.int64))
        end = offset + count * np.dtype(dtype).itemsize
        if offset < 0 or offset % 4 or count < 0 or end > len(self._blob):
            raise OptionsError(
                f"blob array: got offset {offset}, shape {shape}; expected a multiple of 4 and an "
                f"end <= {len(self._blob)} bytes"
            )
        return np.frombuffer(self._blob, dtype, count, offset).reshape(shape)

    def linear(self) -> Linear | None:
        k, n = self.word(), self.word()
        if k == 0 and n == 0:
            self._next += 8
            return None
        if k < 1 or n < 1:
            raise OptionsError(f"linear: got {n} x {k} features, expected positive numbers")
        packed = self.array(np.int16, (n + 1) // 2, (k + 1) // 2 * 2)
        bias = self.array(np.int32, n)
        multiplier = self.array(np.int32, n)
        rest = [self.word() for _ in range(5)]
        linear = Linear(unpack_dual_channel(packed, n, k), bias, multiplier, *rest)  # type: ignore[arg-type]
        _check_sums(linear)
        return linear

    def projection(self) -> Projection:
        rank = self.word()
        down, up = self.linear(), self.linear()
        if up is None or rank != (0 if down is None else down.out_features):
            raise OptionsError(f"projection: got rank {rank} that does not match its linears")
        return Projection(up, down)

    def norm(self) -> Norm:
        features = self.word()
        gamma, beta = self.array(np.int32, features), self.array(np.int32, features)
        return Norm(gamma, beta, self.word64())  # type: ignore[arg-type]

    def residual(self) -> Residual:
        return Residual(self.word(), self.word(), self.word(), self.word())

    def done(self) -> None:
        if self._next != len(self._words):
            raise OptionsError(f"options: got {len(self._words)} words, expected {self._next}")


def _write_patch_embed(w: _Writer, op: PatchEmbed) -> None:
    w.word(op.image_height, op.image_width, op.channels, op.patch_height, op.patch_width)
    w.word(op.stride_y, op.stride_x, op.pad_top, op.pad_left, op.grid_height, op.grid_width)
    w.word(op.embed_dim, op.input_zero_point, op.output_bits)
    w.word(op.cls is not None)
    w.array(None if op.cls is None else op.cls.astype(residual_dtype(op.output_bits)))
    w.word(op.pos is not None)
    w.array(op.pos)
    w.word(op.pos_zero_point, op.pos_multiplier, op.pos_shift)
    w.linear(op.linear)


def _read_patch_embed(r: _Reader) -> PatchEmbed:
    geometry = [r.word() for _ in range(12)]
    embed_dim, grid = geometry[11], geometry[9] * geometry[10]
    input_zero_point, output_bits = r.word(), r.word()
    cls = pos = None
    if r.word():
        cls = r.array(residual_dtype(output_bits), embed_dim)
    else:
        r.word()
    if r.word():
        pos = r.array(np.int8, grid, embed_dim)
    else:
        r.word()
    tail = [r.word() for _ in range(3)]
    linear = r.linear()
    if linear is None:
        raise OptionsError("patch embedding: got no linear, expected one")
    return PatchEmbed(*geometry, input_zero_point, output_bits, cls, pos, *tail, linear)  # type: ignore[arg-type,call-arg]


def _write_attention(w: _Writer, op: Attention) -> None:
    w.word(op.tokens, op.embed_dim, op.heads, op.head_dim, op.token_tile, op.heads_at_a_time)
    w.word(op.score_multiplier, op.score_shift)
    w.array(op.exp_table.astype(np.uint16))
    w.word64(op.context_numerator)
    w.word(op.context_zero_point, op.shared_down)
    w.residual(op.residual)
    w.norm(op.norm)
    for projection in (op.q, op.k, op.v, op.out):
        w.projection(projection)


def _read_attention(r: _Reader) -> Attention:
    head = [r.word() for _ in range(8)]
    table = r.array(np.uint16, 256)
    numerator, zero_point, shared = r.word64(), r.word(), bool(r.word())
    residual, norm = r.residual(), r.norm()
    projections = [r.projection() for _ in range(4)]
    return Attention(*head, table, numerator, zero_point, shared, residual, norm, *projections)  # type: ignore[arg-type,call-arg]


def _write_mlp(w: _Writer, op: Mlp) -> None:
    w.word(op.tokens, op.embed_dim, op.hidden_dim, op.token_tile, op.hidden_tile)
    w.array(op.lut)
    w.residual(op.residual)
    w.norm(op.norm)
    w.projection(op.fc1)
    w.projection(op.fc2)


def _read_mlp(r: _Reader) -> Mlp:
    head = [r.word() for _ in range(5)]
    lut = r.array(np.int8, 256)
    residual, norm = r.residual(), r.norm()
    return Mlp(*head, lut, residual, norm, r.projection(), r.projection())  # type: ignore[arg-type,call-arg]


def _write_layer_norm(w: _Writer, op: LayerNorm) -> None:
    w.word(op.tokens, op.embed_dim, op.input_bits, op.pool, op.zero_point)
    w.word(op.pool_multiplier, op.pool_zero_point)
    w.norm(op.norm)


def _read_layer_norm(r: _Reader) -> LayerNorm:
    tokens, embed_dim, bits, pool = (r.word() for _ in range(4))
    if pool not in tuple(Pool):
        raise OptionsError(f"pool: got {pool}, expected 0 (none), 1 (mean) or 2 (first)")
    return LayerNorm(tokens, embed_dim, bits, Pool(pool), r.word(), r.word(), r.word(), r.norm())


def _write_gelu(w: _Writer, op: Gelu) -> None:
    w.array(op.lut)


def _read_gelu(r: _Reader) -> Gelu:
    return Gelu(r.array(np.int8, 256))  # type: ignore[arg-type]


def _write_linear_op(w: _Writer, op: LinearOp) -> None:
    w.word(op.rows, op.token_tile)
    w.projection(op.projection)


def _read_linear_op(r: _Reader) -> LinearOp:
    return LinearOp(r.word(), r.word(), r.projection())


_CODECS: dict[OpKind, tuple[Callable[[_Writer, Any], None], Callable[[_Reader], Op]]] = {
    OpKind.PATCH_EMBED: (_write_patch_embed, _read_patch_embed),
    OpKind.ATTENTION: (_write_attention, _read_attention),
    OpKind.MLP: (_write_mlp, _read_mlp),
    OpKind.LAYER_NORM: (_write_layer_norm, _read_layer_norm),
    OpKind.GELU: (_write_gelu, _read_gelu),
    OpKind.LINEAR: (_write_linear_op, _read_linear_op),
}


def encode(op: Op) -> tuple[bytes, bytes]:
    """Serializes an operator.

    Returns:
      ``(custom_options, blob)``: int32 words, and the constant tensor's bytes (a multiple of 16).
    """
    writer = _Writer()
    kind = kind_of(op)
    _CODECS[kind][0](writer, op)
    words = [MAGIC, kind, VERSION, HEADER_WORDS + len(writer.words), *writer.words]
    writer.blob.extend(b"\0" * (-len(writer.blob) % 16))
    return struct.pack(f"<{len(words)}i", *words), bytes(writer.blob)


def decode(custom_options: bytes, blob: bytes) -> Op:
    """Reads an operator back; raises OptionsError with the reason if it is malformed."""
    if len(custom_options) < 4 * HEADER_WORDS or len(custom_options) % 4:
        raise OptionsError(f"options: got {len(custom_options)} bytes, expected a multiple of 4")
    words = np.frombuffer(custom_options, np.int32)
    magic, kind, version, count = (int(w) for w in words[:HEADER_WORDS])
    if magic != MAGIC:
        raise OptionsError(f"options: got magic {magic:#x}, expected {MAGIC:#x}")
    if version != VERSION:
        raise OptionsError(f"options: got version {version}, expected {VERSION}; fuse again")
    if count != len(words):
        raise OptionsError(f"options: got {len(words)} words, expected {count}")
    if kind not in tuple(OpKind):
        raise OptionsError(f"options: got operator kind {kind}, expected 1..{len(OpKind)}")
    reader = _Reader(words, blob)
    op = _CODECS[OpKind(kind)][1](reader)
    reader.done()
    return op
