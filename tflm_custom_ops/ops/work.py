# SPDX-License-Identifier: Apache-2.0
"""What the DSP kernels do, counted: how often each of a few dozen pieces of code runs.

An operator under a schedule is a sum of pieces (`Term`), of which it knows exactly how many there
are; what each costs is a table (`instructions.json`), fitted to counts of the emulated Cortex-M7 by
`python -m benchmarks.kernels.fit`. The pieces are those of kernels/vit_gemm_dsp.c,
vit_linear_rows_dsp.c, vit_store_dsp.c and vit_norm.c; those of vit_softmax_dsp.c are in
softmax_work.py.
"""

from __future__ import annotations

import enum
import functools
import json
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tflm_custom_ops.ops.layouts import WeightLayout
from tflm_custom_ops.ops.parts import Linear, Norm, Projection
from tflm_custom_ops.ops.scratch import ROW_GROUP, even

TABLE = Path(__file__).with_name("instructions.json")

# The DSP core multiplies at most so many rows at a time (VIT_DSP_MAX_GROUPS groups of ROW_GROUP): a
# larger tile reads its weights once for each slice.
SLICE_ROWS = 48
CHANNELS = 4  # of a block of the core (VIT_DSP_CHANNELS)
STEP_INPUTS = 6  # of the unrolled loop
CHUNK_STEPS = 32  # VIT_DSP_CHUNK_STEPS
EXPANDED_WORDS = 12  # of the unrolled expansion (vit_expand_dsp.S)
EXPANDED_WORDS_4 = 6  # ... of weights of 4 bits (vit_quads4_dsp.S)


class Term(enum.IntEnum):
    """A piece of code; what one is counted in stands behind it."""

    OPERATOR = 0
    ATTENTION = enum.auto()  # block, or core: how the scratch is used
    KEY_VALUE_ROWS = enum.auto()  # tried for keys and values
    MLP = enum.auto()
    LINEAR = enum.auto()
    TILE_KEYS = enum.auto()  # rows at a time
    TILE_QUERIES = enum.auto()
    TILE_HEAD = enum.auto()  # queries of a head
    TILE_CORE = enum.auto()  # ... that are already projected
    TILE_MLP = enum.auto()
    TILE_ROWS = enum.auto()
    TILE_PATCHES = enum.auto()
    CALL = enum.auto()  # of vit_linear_rows' slices
    CALL_IN_LINE = enum.auto()  # ... that the assembly stores
    CALL_REST = enum.auto()  # ... but for the last channels
    DOWN = enum.auto()  # first half of a low-rank projection
    QUAD = enum.auto()  # four channels, prepared
    QUAD_GENERAL = enum.auto()  # four channels that are not
    QUAD_SPLIT = enum.auto()  # ... whose last row stands alone
    QUAD_PARTS = enum.auto()  # ... whose inputs come in parts
    QUAD_PART = enum.auto()  # further part
    GROUP_PARTS = enum.auto()  # group of rows of such a quad
    GROUP_PART = enum.auto()
    INPUT = enum.auto()  # of a quad and a group
    PAIR = enum.auto()  # of inputs behind the loop
    CHUNK = enum.auto()  # run of the unrolled loop
    EXPAND_LOOP = enum.auto()  # run of the unrolled expansion
    EXPAND_WORD = enum.auto()  # two inputs behind it
    EXPAND_LOOP_4 = enum.auto()  # the same for weights of 4 bits
    EXPAND_WORD_4 = enum.auto()
    WIDEN_GROUP = enum.auto()
    WIDEN_QUAD = enum.auto()  # four columns of a group
    WIDEN_REST_ROW = enum.auto()
    WIDEN_REST = enum.auto()  # element
    PAD = enum.auto()  # row
    NORM_ROW_8 = enum.auto()
    NORM_ROW_16 = enum.auto()
    NORM_8 = enum.auto()  # element
    NORM_16 = enum.auto()
    NORM_ODD = enum.auto()  # row
    TOKEN_ROW_8 = enum.auto()  # of LayerNorm's int8 output
    TOKEN_ROW_16 = enum.auto()
    TOKEN_8 = enum.auto()  # element
    TOKEN_16 = enum.auto()
    NORM_REST_8 = enum.auto()  # element behind the unrolled sums
    NORM_REST_16 = enum.auto()
    RMS_ROW_8 = enum.auto()
    RMS_ROW_16 = enum.auto()
    RMS_8 = enum.auto()  # element
    RMS_16 = enum.auto()
    KEY_CALL = enum.auto()  # scores of some queries
    KEY_QUAD = enum.auto()  # four keys
    SOFTMAX_ROW = enum.auto()  # and its division
    SOFTMAX = enum.auto()  # four elements
    SOFTMAX_LAST = enum.auto()  # element behind them
    SOFTMAX_SHIFT = enum.auto()  # four elements whose differences are shifted
    SEEN_CALL = enum.auto()  # scores of some queries that do not all see all keys alike
    SEEN_ROW = enum.auto()  # row that has a bias or sees a part of the keys
    UNSEEN = enum.auto()  # four elements
    BIAS_ROW = enum.auto()
    BIAS = enum.auto()  # element
    LIMIT_ROW = enum.auto()  # row whose scores are cut off
    LIMIT = enum.auto()  # element
    VALUE_CALL = enum.auto()  # three channels of a block of queries
    VALUE_CHUNK = enum.auto()
    VALUE_GROUP = enum.auto()  # group of rows of a chunk
    VALUE_EXPAND = enum.auto()  # token
    VALUE_PART = enum.auto()  # group of rows of a chunk that is not all
    VALUE_CLEAR = enum.auto()  # group of rows of a call whose first chunk is not
    CONTEXT_NARROW = enum.auto()  # row of three channels
    CONTEXT_WIDE = enum.auto()
    CONTEXT_CHANNEL = enum.auto()  # element
    GATHER_RUN = enum.auto()  # row of pixels of a tile's patches
    GATHER_PATCH = enum.auto()  # patch at the edge
    GATHER_PLANE = enum.auto()  # of its planes
    GATHER_ROW = enum.auto()  # row of pixels of a patch at the edge
    GATHER = enum.auto()  # element at the edge, of a pixel
    GATHER_FILL = enum.auto()  # ... of the padding
    PARTIAL_ROWS = enum.auto()  # of two rows
    PARTIAL_8 = enum.auto()  # partial sum, cleared at first and stored at last
    PARTIAL_16 = enum.auto()
    PARTIAL_TILE = enum.auto()
    POOLED = enum.auto()  # operator
    POOL = enum.auto()  # element
    POOL_ROW = enum.auto()
    POOL_END = enum.auto()
    STRIP = enum.auto()  # of an image
    PACK_HEAD = enum.auto()  # keys and values of a head that are already projected
    PACK_ROW = enum.auto()  # two keys
    PACK = enum.auto()  # channel of two keys
    TURN_ROW = enum.auto()  # channel of the values
    TURN = enum.auto()  # element
    SPREAD_ROW = enum.auto()  # query, or context, whose channels are no neighbours
    SPREAD_QUERY = enum.auto()  # element
    SPREAD_CONTEXT = enum.auto()
    TABLE_QUAD = enum.auto()  # four values of a pointwise table
    TABLE_REST = enum.auto()
    CONVOLUTION = enum.auto()  # builtins/conv_work.py
    CONV_CLEAR = enum.auto()  # input of a tile
    CONV_TILE = enum.auto()  # of pixels and channels
    CONV_ROW = enum.auto()  # pixel of a tile
    CONV_OUTPUT = enum.auto()
    CONV_PIXEL = enum.auto()  # whose inputs, or a part of them, are gathered
    CONV_TAP = enum.auto()
    CONV_TAP_OUTSIDE = enum.auto()  # ... of the image
    CONV_PAIRS = enum.auto()  # of a tap
    CONV_PAIR = enum.auto()  # of inputs
    CONV_ODD = enum.auto()  # input by itself
    CONV_FILL = enum.auto()  # input of the padding
    # By store: the group of rows of a quad that the assembly finishes, ...
    GROUP_INT8 = enum.auto()
    GROUP_VALUE = enum.auto()
    GROUP_KEY = enum.auto()
    GROUP_TILE = enum.auto()
    GROUP_LUT = enum.auto()
    GROUP_SUMS = enum.auto()  # ... or leaves, and then quads and rows of theirs, ...
    QUAD_RESIDUAL_8 = enum.auto()
    QUAD_RESIDUAL_16 = enum.auto()
    QUAD_ADD = enum.auto()
    ROW_RESIDUAL_8 = enum.auto()
    ROW_RESIDUAL_16 = enum.auto()
    ROW_ADD = enum.auto()
    COLUMN = enum.auto()  # ... single channels ...
    COLUMN_RESIDUAL = enum.auto()
    COLUMN_ADD = enum.auto()
    ELEMENT_INT8 = enum.auto()  # ... and their elements.
    ELEMENT_VALUE = enum.auto()
    ELEMENT_KEY = enum.auto()
    ELEMENT_TILE = enum.auto()
    ELEMENT_LUT = enum.auto()
    ELEMENT_INT16 = enum.auto()
    ELEMENT_RESIDUAL_8 = enum.auto()
    ELEMENT_RESIDUAL_16 = enum.auto()
    ELEMENT_ADD = enum.auto()
    # Relative keys and values.
    RELATIVE_ROW = enum.auto()  # query of the grid
    RELATIVE_PREFIX = enum.auto()  # other query
    RELATIVE_KEY = enum.auto()  # score that gets its two entries
    RELATIVE_LINE = enum.auto()  # of the grid's tokens
    RELATIVE_SUM = enum.auto()  # exponential that goes to its two entries
    RELATIVE_SUM_LINE = enum.auto()
    RELATIVE_ENTRY = enum.auto()  # of a query of the grid
    RELATIVE_LAST = enum.auto()  # of any query
    RELATIVE_CALL = enum.auto()  # three channels of a block of queries
    RELATIVE_CHANNEL = enum.auto()  # row of them
    # Windows of a grid.
    WINDOW = enum.auto()  # copied to the scratch and back
    WINDOW_RUN = enum.auto()  # of its tokens that are neighbours, one way
    WINDOW_WORD = enum.auto()  # four bytes
    MADE_BIAS_ROW = enum.auto()  # of a query and head, put together
    MADE_BIAS_LINE = enum.auto()  # row of the window
    MADE_BIAS = enum.auto()  # element
    # Patch merging.
    MERGE = enum.auto()  # operator
    MERGE_TOKEN = enum.auto()  # patch that is put together and normed
    MERGE_RUN = enum.auto()  # of its tokens that are neighbours
    MERGE_WORD = enum.auto()  # four bytes
    MERGE_REST = enum.auto()  # byte behind the words of a run


class Store(enum.Enum):
    """Where a layer's sums go (kernels/vit_store.h)."""

    INT8 = enum.auto()
    INT8_WHOLE = enum.auto()  # whose odd last row has room for two
    VALUE = enum.auto()
    KEY = enum.auto()
    TILE = enum.auto()
    LUT = enum.auto()
    INT16 = enum.auto()
    RESIDUAL_8 = enum.auto()
    RESIDUAL_16 = enum.auto()
    RESIDUAL_8_16 = enum.auto()
    ADD = enum.auto()


_IN_LINE = {
    Store.INT8: Term.GROUP_INT8,
    Store.INT8_WHOLE: Term.GROUP_INT8,
    Store.VALUE: Term.GROUP_VALUE,
    Store.KEY: Term.GROUP_KEY,
    Store.TILE: Term.GROUP_TILE,
    Store.LUT: Term.GROUP_LUT,
}
_BY_QUADS = {
    Store.RESIDUAL_8: (Term.QUAD_RESIDUAL_8, Term.ROW_RESIDUAL_8),
    Store.RESIDUAL_16: (Term.QUAD_RESIDUAL_16, Term.ROW_RESIDUAL_16),
    Store.ADD: (Term.QUAD_ADD, Term.ROW_ADD),
}
_ELEMENTS = {
    Store.INT8: Term.ELEMENT_INT8,
    Store.INT8_WHOLE: Term.ELEMENT_INT8,
    Store.VALUE: Term.ELEMENT_VALUE,
    Store.KEY: Term.ELEMENT_KEY,
    Store.TILE: Term.ELEMENT_TILE,
    Store.LUT: Term.ELEMENT_LUT,
    Store.INT16: Term.ELEMENT_INT16,
    Store.RESIDUAL_8: Term.ELEMENT_RESIDUAL_8,
    Store.RESIDUAL_16: Term.ELEMENT_RESIDUAL_16,
    Store.RESIDUAL_8_16: Term.ELEMENT_RESIDUAL_16,
    Store.ADD: Term.ELEMENT_ADD,
}
_COLUMNS = {
    Store.RESIDUAL_8: Term.COLUMN_RESIDUAL,
    Store.RESIDUAL_16: Term.COLUMN_RESIDUAL,
    Store.RESIDUAL_8_16: Term.COLUMN_RESIDUAL,
    Store.ADD: Term.COLUMN_ADD,
}


class Work(list[float]):
    """How often each piece runs, by term; at first one operator's call and nothing in it."""

    def __init__(self) -> None:
        super().__init__([0.0] * len(Term))
        self[Term.OPERATOR] = 1

    @property
    def instructions(self) -> float:
        """By the table."""
        return float(sum(map(operator.mul, self, table())))


@functools.cache
def table() -> tuple[float, ...]:
    """Instructions of one of each piece."""
    found = json.loads(TABLE.read_text(encoding="utf-8"))["instructions"]
    return tuple(float(found[term.name.lower()]) for term in Term)


def parts(rows: int, tile: int) -> Iterator[tuple[int, int]]:
    """(rows, how often) of the tiles that `rows` rows are taken in."""
    whole, rest = divmod(rows, tile)
    if whole:
        yield tile, whole
    if rest:
        yield rest, 1


def spans(begin: int, end: int, size: int, apart: bool) -> Iterator[tuple[int, int, int]]:
    """(first row, rows, how often) of the tiles that rows [begin, end) are taken in: one by one
    (``apart``), or those that are alike together."""
    if apart:
        yield from ((i, min(size, end - i), 1) for i in range(begin, end, size))
        return
    yield from ((begin, rows, times) for rows, times in parts(end - begin, size))


def groups_of(rows: int) -> int:
    """Row groups of the core."""
    return -(-rows // ROW_GROUP)


def cuts(inputs: int, expanded: int) -> Iterator[tuple[int, int]]:
    """(inputs, how often) of the parts that the core expands (vit_dsp_columns_begin)."""
    pieces = -(-inputs // expanded)
    if pieces == 1:
        yield inputs, 1
        return
    steps = -(-inputs // (pieces * STEP_INPUTS))
    yield from parts(inputs, min(steps * STEP_INPUTS, expanded))


class LayerShape(NamedTuple):
    """What of a layer's weights decides its cost."""

    outputs: int
    inputs: int
    layout: WeightLayout = WeightLayout.PAIRS8

    @classmethod
    def of(cls, layer: Linear, outputs: int = 0) -> LayerShape:
        """Of a layer, or of so many of its channels."""
        return cls(outputs or layer.out_features, layer.in_features, layer.layout)


def add_products(
    work: Work,
    inputs: int,
    quads: int,
    groups: int,
    times: int,
    layout: WeightLayout = WeightLayout.PAIRS8,
) -> None:
    """Expansion of four channels' weights, and products with all groups of rows."""
    words, count = inputs // 2, times * quads
    if layout is WeightLayout.QUADS4:
        work[Term.EXPAND_LOOP_4] += count * (words // EXPANDED_WORDS_4)
        work[Term.EXPAND_WORD_4] += count * (words % EXPANDED_WORDS_4)
    else:
        work[Term.EXPAND_LOOP] += count * (words // EXPANDED_WORDS)
        work[Term.EXPAND_WORD] += count * (words % EXPANDED_WORDS)
    add_core(work, inputs, groups, count)


def add_core(work: Work, inputs: int, groups: int, times: int) -> None:
    """Products of expanded weights with all groups of rows."""
    steps = inputs // STEP_INPUTS
    work[Term.INPUT] += times * groups * steps * STEP_INPUTS
    work[Term.PAIR] += times * groups * (inputs - steps * STEP_INPUTS) // 2
    work[Term.CHUNK] += times * groups * -(-steps // CHUNK_STEPS)


def add_layer(
    work: Work,
    shape: LayerShape,
    rows: int,
    store: Store,
    expanded: int,
    times: int = 1,
    first: int = 0,
) -> None:
    """A layer on ``rows`` rows.

    Args:
      expanded: inputs whose weights are expanded at a time.
      times: how often.
      first: channel.
    """
    for size, count in parts(rows, SLICE_ROWS):
        _add_slice(work, shape, size, store, expanded, times * count, first)


def _add_slice(
    work: Work,
    shape: LayerShape,
    rows: int,
    store: Store,
    expanded: int,
    times: int,
    first: int,
) -> None:
    n, k, groups = shape.outputs, even(shape.inputs), groups_of(rows)
    first %= shape.layout.channels
    quads = -(-(n + first) // CHANNELS)
    in_line = store in _IN_LINE and not first
    whole = n // CHANNELS if not first else 0  # in line, or by quads
    cut = list(cuts(k, expanded))
    pieces = sum(count for _, count in cut)
    split_end = in_line and store is Store.INT8 and rows % 2 == 1 and rows > 1
    general = quads if pieces > 1 or split_end else quads - (n + first) // CHANNELS
    work[Term.CALL] += times
    if in_line:
        work[Term.CALL_IN_LINE] += times
        work[Term.CALL_REST] += times * (quads - whole)
    work[Term.QUAD] += times * (quads - general)
    work[Term.QUAD_GENERAL] += times * general
    if split_end:
        work[Term.QUAD_SPLIT] += times * whole
    for inputs, count in cut:
        add_products(work, inputs, quads, groups, times * count, shape.layout)
    if pieces > 1:
        work[Term.QUAD_PARTS] += times * quads
        work[Term.QUAD_PART] += times * quads * (pieces - 1)
        work[Term.GROUP_PARTS] += times * quads * groups
        work[Term.GROUP_PART] += times * quads * groups * (pieces - 1)
    if in_line:
        work[_IN_LINE[store]] += times * whole * groups
        work[Term.GROUP_SUMS] += times * (quads - whole) * groups
    else:
        work[Term.GROUP_SUMS] += times * quads * groups
    columns = n - whole * CHANNELS
    if store in _BY_QUADS:
        quad, row = _BY_QUADS[store]
        work[quad] += times * whole
        work[row] += times * whole * rows
    elif not in_line:
        columns = n
    work[_COLUMNS.get(store, Term.COLUMN)] += times * columns
    work[_ELEMENTS[store]] += times * columns * rows


def add_projection(
    work: Work, p: Projection, rows: int, store: Store, expanded: int, times: int = 1
) -> None:
    """A dense layer, or both halves of a low-rank one, on ``rows`` rows."""
    if p.down is not None:
        add_down(work, p, rows, expanded, times)
    add_layer(work, LayerShape.of(p.up), rows, store, expanded, times)


def add_down(work: Work, p: Projection, rows: int, expanded: int, times: int = 1) -> None:
    """The first half of a low-rank projection, if it is one."""
    if p.down is None:
        return
    work[Term.DOWN] += times
    add_layer(work, LayerShape.of(p.down), rows, Store.TILE, expanded, times)
    add_padding(work, rows, p.rank, times)


def add_padding(work: Work, rows: int, features: int, times: int = 1) -> None:
    """The element behind an odd number of features."""
    if features % 2:
        work[Term.PAD] += times * rows


def add_widening(work: Work, rows: int, features: int, times: int = 1) -> None:
    """int8 rows to int16."""
    groups = groups_of(rows)
    work[Term.WIDEN_GROUP] += times * groups
    work[Term.WIDEN_QUAD] += times * groups * (features // 4)
    if features % 4:
        work[Term.WIDEN_REST_ROW] += times * rows
        work[Term.WIDEN_REST] += times * rows * (features % 4)


def add_norm(work: Work, rows: int, features: int, bits: int, times: int = 1) -> None:
    """LayerNorm of rows of a stream of ``bits``, to wide rows."""
    row, element = (Term.NORM_ROW_8, Term.NORM_8) if bits == 8 else (Term.NORM_ROW_16, Term.NORM_16)
    work[row] += times * rows
    work[element] += times * rows * features
    add_norm_ends(work, rows, features, bits, times)
    add_padding(work, rows, features, times)


def add_norm_ends(work: Work, rows: int, features: int, bits: int, times: int = 1) -> None:
    """What unrolled loops leave of rows."""
    rest, unrolled = (Term.NORM_REST_8, 8) if bits == 8 else (Term.NORM_REST_16, 4)
    work[Term.NORM_ODD] += times * rows * (features % 2)
    work[rest] += times * rows * (features % unrolled)


def add_inputs(
    work: Work, norm: Norm | None, rows: int, features: int, bits: int, times: int = 1
) -> None:
    """Rows of a block's input: of its LayerNorm, or of the int8 stream itself."""
    if norm is not None:
        add_norm(work, rows, features, bits, times)
        return
    add_widening(work, rows, features, times)
    add_padding(work, rows, features, times)


def residual_store(bits: int) -> Store:
    """Of the last projection of a block."""
    return Store.RESIDUAL_8 if bits == 8 else Store.RESIDUAL_16
