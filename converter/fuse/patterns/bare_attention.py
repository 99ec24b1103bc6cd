# SPDX-License-Identifier: Apache-2.0
"""An attention block without the norm before it, x added or not, anchored at the SOFTMAX.

Tried where the whole block does not match: in post-norm blocks, and where the
norm's result has other readers.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import shared_source
from converter.fuse.patterns.attention import Parts, match_parts
from converter.fuse.patterns.linear import require_int8
from converter.fuse.patterns.match import OneInput
from converter.fuse.region import check_closed, with_private
from converter.tflite import GraphView


@dataclasses.dataclass(frozen=True, eq=False)
class BareAttentionMatch(OneInput):
    """Attention of int8 tokens with its projections.

    Attributes:
      x, y: [tokens, embed_dim] (leading ones allowed).
      added: whether y is x plus the result of the output projection.
    """

    READS_STREAM: ClassVar[bool] = False
    WRITES_STREAM: ClassVar[bool] = False

    x: int
    y: int
    embed_dim: int
    added: bool
    parts: Parts
    ops: tuple[int, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        """Tensors inside that the fused operator has in the same type."""
        p = self.parts
        inputs = {t for projection in (p.q, p.k, p.v) for t in projection.tensors} - {p.h}
        outputs = (projection.last.output for projection in (p.q, p.k, p.v))
        return (*sorted(inputs), *p.out.tensors, *outputs)


def match_bare_attention(view: GraphView, softmax: int) -> BareAttentionMatch:
    """The attention around a SOFTMAX, and the residual ADD behind it if it adds x.

    Raises:
      NoMatchError: with the reason.
    """
    parts = match_parts(view, softmax)
    output, x = parts.output, parts.h
    source = shared_source(view, x, output.operand)
    added = source is not None
    ops = {*parts.ops, *(output.ops if added else output.dense)}
    y = view.op(output.add).outputs[0] if added else output.end
    if source is not None:
        x, reshapes = source
        ops = with_private(view, ops, reshapes)
    embed_dim = parts.q.first.weights.shape[1]
    for tensor, what in ((x, "input"), (y, "output")):
        if require_int8(view, tensor, f"the attention's {what}").shape[-1] != embed_dim:
            raise NoMatchError(f"the attention's {what} is not [tokens, {embed_dim}]")
    check_closed(view, ops, {y})
    return BareAttentionMatch(x, y, embed_dim, added, parts, tuple(sorted(ops)))
