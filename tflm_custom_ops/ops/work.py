# SPDX-License-Identifier: Apache-2.0
"""What the DSP kernels do, counted: how often each of a few dozen pieces of code runs.

An operator under a schedule is a sum of pieces (`Term`), of which it knows exactly how many there
are; what each costs is a table (`instructions.json`), fitted to counts of the emulated Cortex-M7 by
`python -m benchmarks.kernels.fit`. The pieces are those of kernels/vit_gemm_dsp.c,
vit_linear_rows_dsp.c, vit_store_dsp.c and vit_norm.c.
"""

from __future__ import annotations

import enum
import functools
import json
import operator
from collections.abc import Iterator
from pathlib import Path

from tflm_custom_ops.ops.parts import Norm, Projection
from tflm_custom_ops.ops.scratch import ROW_GROUP, even

TABLE = Path(__file__).with_name("instructions.json")

# The DSP core multiplies at most so many rows at a time (VIT_DSP_MAX_GROUPS groups of ROW_GROUP): a
# larger tile reads its weights once for each slice.
SLICE_ROWS = 48
CHANNELS = 4  # of a block of the core (VIT_DSP_CHANNELS)
STEP_INPUTS = 6  # of the unrolled loop
CHUNK_STEPS = 32  # VIT_DSP_CHUNK_STEPS
EXPANDED_WORDS = 12  # of the unrolled expansion (vit_expand_dsp.S)


class Term(enum.IntEnum):
    """A piece of code; what one is counted in stands behind it."""

    OPERATOR = 0
    TILE = enum.auto()  # of tokens
    CALL = enum.auto()  # of vit_linear_rows' slices
    QUAD = enum.auto()  # four channels, prepared
    QUAD_GENERAL = enum.auto()  # four channels that are not
    QUAD_PARTS = enum.auto()  # ... whose inputs come in parts
    QUAD_PART = enum.auto()  # further part
    GROUP_PARTS = enum.auto()  # group of rows of such a quad
    GROUP_PART = enum.auto()
    INPUT = enum.auto()  # of a quad and a group
    PAIR = enum.auto()  # of inputs behind the loop
    CHUNK = enum.auto()  # run of the unrolled loop
    EXPAND_LOOP = enum.auto()  # run of the unrolled expansion
    EXPAND_WORD = enum.auto()  # two inputs behind it
    WIDEN_GROUP = enum.auto()
    WIDEN_QUAD = enum.auto()  # four columns of a group
    WIDEN_REST = enum.auto()  # element
    PAD = enum.auto()  # row
    NORM_ROW_8 = enum.auto()
    NORM_ROW_16 = enum.auto()
    NORM_8 = enum.auto()  # element
    NORM_16 = enum.auto()
    NORM_ODD = enum.auto()  # row
    KEY_CALL = enum.auto()  # scores of some queries
    KEY_QUAD = enum.auto()  # four keys
    SOFTMAX_ROW = enum.auto()
    SOFTMAX = enum.auto()  # four elements
    DIVISION = enum.auto()  # row
    VALUE_CALL = enum.auto()  # three channels of a block of queries
    VALUE_CHUNK = enum.auto()
    VALUE_GROUP = enum.auto()  # group of rows of a chunk
    VALUE_EXPAND = enum.auto()  # token
    VALUE_INPUT = enum.auto()  # token of three channels and a group
    CONTEXT_NARROW = enum.auto()  # row of three channels
    CONTEXT_WIDE = enum.auto()
    CONTEXT_CHANNEL = enum.auto()  # element
    GATHER_RUN = enum.auto()  # row of pixels of a tile's patches
    GATHER_ROW = enum.auto()  # row of pixels of a patch at the edge
    GATHER = enum.auto()  # element at the edge, of a pixel
    GATHER_FILL = enum.auto()  # ... of the padding
    CLEAR = enum.auto()  # partial sum
    PARTIAL_ROWS = enum.auto()  # of two rows
    PARTIAL = enum.auto()  # element of partial sums that is stored
    PARTIAL_TILE = enum.auto()
    POOL = enum.auto()  # element
    POOL_ROW = enum.auto()
    POOL_END = enum.auto()
    STRIP = enum.auto()  # of an image
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
    COLUMN = enum.auto()  # ... single channels and their elements.
    ELEMENT = enum.auto()
    ELEMENT_RESIDUAL = enum.auto()
    ELEMENT_ADD = enum.auto()
    # Relative keys and values: a query and a key, an entry, a channel of the values.
    RELATIVE_KEY = enum.auto()
    RELATIVE_ENTRY = enum.auto()
    RELATIVE_CHANNEL = enum.auto()


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
    Store.RESIDUAL_8: Term.ELEMENT_RESIDUAL,
    Store.RESIDUAL_16: Term.ELEMENT_RESIDUAL,
    Store.RESIDUAL_8_16: Term.ELEMENT_RESIDUAL,
    Store.ADD: Term.ELEMENT_ADD,
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
    found = json.loads(TABLE.read_text())["instructions"]
    return tuple(float(found[term.name.lower()]) for term in Term)


def parts(rows: int, tile: int) -> Iterator[tuple[int, int]]:
    """(rows, how often) of the tiles that `rows` rows are taken in."""
    whole, rest = divmod(rows, tile)
    if whole:
        yield tile, whole
    if rest:
        yield rest, 1


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


def add_products(work: Work, inputs: int, quads: int, groups: int, times: int) -> None:
    """Expansion of four channels' weights, and products with all groups of rows."""
    steps, words = inputs // STEP_INPUTS, inputs // 2
    work[Term.EXPAND_LOOP] += times * quads * (words // EXPANDED_WORDS)
    work[Term.EXPAND_WORD] += times * quads * (words % EXPANDED_WORDS)
    work[Term.INPUT] += times * quads * groups * steps * STEP_INPUTS
    work[Term.PAIR] += times * quads * groups * (inputs - steps * STEP_INPUTS) // 2
    work[Term.CHUNK] += times * quads * groups * -(-steps // CHUNK_STEPS)


def add_layer(
    work: Work,
    shape: tuple[int, int],
    rows: int,
    store: Store,
    expanded: int,
    times: int = 1,
    first: int = 0,
) -> None:
    """A layer of (outputs, inputs) on ``rows`` rows.

    Args:
      expanded: inputs whose weights are expanded at a time.
      times: how often.
      first: channel.
    """
    for size, count in parts(rows, SLICE_ROWS):
        _add_slice(work, shape, size, store, expanded, times * count, first)


def _add_slice(
    work: Work,
    shape: tuple[int, int],
    rows: int,
    store: Store,
    expanded: int,
    times: int,
    first: int,
) -> None:
    n, k, groups = shape[0], even(shape[1]), groups_of(rows)
    first &= 1
    quads = -(-(n + first) // CHANNELS)
    in_line = store in _IN_LINE and not first
    whole = n // CHANNELS if not first else 0  # in line, or by quads
    cut = list(cuts(k, expanded))
    pieces = sum(count for _, count in cut)
    split_end = in_line and store is Store.INT8 and rows % 2 == 1 and rows > 1
    general = quads if pieces > 1 or split_end else quads - (n + first) // CHANNELS
    work[Term.CALL] += times
    work[Term.QUAD] += times * (quads - general)
    work[Term.QUAD_GENERAL] += times * general
    for inputs, count in cut:
        add_products(work, inputs, quads, groups, times * count)
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
    element = _ELEMENTS.get(store, Term.ELEMENT)
    work[Term.COLUMN] += times * columns
    work[element] += times * columns * rows


def add_projection(
    work: Work, p: Projection, rows: int, store: Store, expanded: int, times: int = 1
) -> None:
    """A dense layer, or both halves of a low-rank one, on ``rows`` rows."""
    if p.down is not None:
        add_down(work, p, rows, expanded, times)
    add_layer(work, p.up.weights.shape, rows, store, expanded, times)


def add_down(work: Work, p: Projection, rows: int, expanded: int, times: int = 1) -> None:
    """The first half of a low-rank projection, if it is one."""
    if p.down is None:
        return
    add_layer(work, p.down.weights.shape, rows, Store.TILE, expanded, times)
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
    work[Term.WIDEN_REST] += times * rows * (features % 4)


def add_norm(work: Work, rows: int, features: int, bits: int, times: int = 1) -> None:
    """LayerNorm of rows of a stream of ``bits``."""
    row, element = (Term.NORM_ROW_8, Term.NORM_8) if bits == 8 else (Term.NORM_ROW_16, Term.NORM_16)
    work[row] += times * rows
    work[element] += times * rows * features
    work[Term.NORM_ODD] += times * rows * (features % 2)
    add_padding(work, rows, features, times)


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
