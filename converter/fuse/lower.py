# SPDX-License-Identifier: Apache-2.0
"""From matches to operator parameters: real numbers in, the integers of `docs/operators.md` out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from converter.fuse.arithmetic import (
    Range,
    activation_table,
    exp_table,
    layer_params,
    norm_params,
    rounded,
    scalar_fixed_point,
)
from converter.fuse.errors import BoundError
from converter.fuse.patterns.attention import AttentionMatch, Parts
from converter.fuse.patterns.bare_attention import BareAttentionMatch
from converter.fuse.patterns.layer_norm_op import LayerNormMatch
from converter.fuse.patterns.linear import DenseLayer, LinearMatch, ProjectionMatch
from converter.fuse.patterns.match import Match, OwnLowering
from converter.fuse.patterns.mlp import MlpMatch
from converter.fuse.patterns.mlp_core import MlpCoreMatch
from converter.fuse.patterns.norm import NormMatch
from converter.fuse.patterns.patch_embed import PatchEmbedMatch
from converter.fuse.patterns.patch_merge import PatchMergeMatch
from converter.fuse.patterns.pointwise import PointwiseMatch
from converter.fuse.patterns.relative_tables import in_units
from converter.fuse.patterns.window_bias import BlockBias, block_bias, no_bias
from converter.fuse.patterns.windows import WindowGrid
from tflm_custom_ops.ops import (
    Attention,
    Gelu,
    LayerNorm,
    Linear,
    LinearOp,
    Mlp,
    Norm,
    Params,
    PatchEmbed,
    PatchMerge,
    Pool,
    Projection,
    Residual,
    residual_dtype,
)
from tflm_custom_ops.ops.attention.params import RELATIVE_BITS
from tflm_custom_ops.ops.parts import NormPlace

TensorRange = Callable[[int], Range]  # type of an activation in the fused graph

_MAX_HEAD_DIM = 256
EXP_FRACTION = 256  # steps of the exponential's table per factor of two


def _layer(layer: DenseLayer, source: Range, target: Range, what: str) -> Linear:
    factors = source.scale * layer.weight_scale / target.scale
    return layer_params(
        layer.weights, layer.bias, factors, source, _limit(target, layer.activation), what
    )


def _limit(target: Range, activation: str) -> Range:
    """The target with a fused activation's limits."""
    low, high = target.low, target.high
    if activation == "NONE":
        return target
    zero = target.zero_point
    if activation in ("RELU", "RELU6"):
        low = max(low, zero)
    if activation == "RELU6":
        high = min(high, zero + rounded(6.0 / target.scale))
    if activation == "RELU_N1_TO_1":
        low = max(low, zero - rounded(1.0 / target.scale))
        high = min(high, zero + rounded(1.0 / target.scale))
    if activation not in ("RELU", "RELU6", "RELU_N1_TO_1"):
        raise BoundError(f"fused activation {activation} is not supported")
    return dataclasses.replace(target, low=low, high=high)


def _in(layer: DenseLayer) -> Range:
    return Range(layer.in_scale, layer.in_zero_point)


def _out(layer: DenseLayer) -> Range:
    return Range(layer.out_scale, layer.out_zero_point)


def _projection(match: ProjectionMatch, what: str, target: Range | None = None) -> Projection:
    """The projection; `target` replaces the last layer's own output type."""
    last = match.last
    up = _layer(last, _in(last), _out(last) if target is None else target, what)
    if len(match.layers) == 1:
        return Projection(up)
    down = _layer(match.first, _in(match.first), _out(match.first), f"{what} (down)")
    return Projection(up, down=down)


def _norm(match: NormMatch, source: Range, target: Range, what: str) -> Norm:
    return norm_params(match.gamma, match.beta, match.epsilon, source, target, what, match.kind)


def _residual(source: Range, target: Range, what: str) -> Residual:
    largest = max(source.high - source.zero_point, source.zero_point - source.low)
    multiplier, shift = scalar_fixed_point(source.scale / target.scale, largest, what)
    return Residual(source.bits, source.zero_point, multiplier, shift)


def _lower_attention(match: AttentionMatch, type_of: TensorRange) -> Attention:
    x, y, h = type_of(match.x), type_of(match.y), type_of(match.norm.y)
    norm = _norm(match.norm, x, h, "attention LayerNorm")
    residual = _residual(x, y, "attention residual")
    return _attention(match, match.out, match.embed_dim, y, residual, norm)


def _lower_bare_attention(match: BareAttentionMatch, type_of: TensorRange) -> Attention:
    x, y, parts = type_of(match.x), type_of(match.y), match.parts
    residual = Residual(x.bits, x.zero_point, 0, 0)
    if match.added:
        residual = _residual(x, y, "attention residual")
    return _attention(parts, parts.out, match.embed_dim, y, residual, None)


def _attention(
    match: AttentionMatch | Parts,
    out: ProjectionMatch,
    embed_dim: int,
    y: Range,
    residual: Residual,
    norm: Norm | None,
) -> Attention:
    if max(match.head_dim, match.value_dim) > _MAX_HEAD_DIM:
        raise BoundError(
            f"head_dim {match.head_dim} and {match.value_dim} of values, "
            f"expected at most {_MAX_HEAD_DIM}"
        )
    q_range, k_range, v_range = (_out(p.last) for p in (match.q, match.k, match.v))
    context = _in(out.first)
    bias = _score_bias(match, q_range, k_range)
    # |q - z_q| <= 255, |k| <= 127; the difference of two scores is at most twice their bound.
    relative = _relative(match, k_range, v_range)
    largest_difference = 2 * (255 * 127 * match.head_dim + bias.largest + relative.largest)
    exponent = math.log2(math.e) * q_range.scale * k_range.scale * match.scale * EXP_FRACTION
    if exponent < 0:
        raise BoundError(f"the scores' scale is {match.scale:g}, expected a positive number")
    score_multiplier, score_shift = scalar_fixed_point(exponent, largest_difference, "scores")
    ratio = v_range.scale * match.v_factor / context.scale
    # The reciprocal's numerator over P >= 2**22 is the int32 multiplier of the context.
    if not 0 < ratio * 2.0**26 < 2**31:
        raise BoundError(f"v's scale over the context's is {ratio:.4g}, expected 0..32")
    # A key of -128 would not survive the kernels' symmetric packing (docs/operators.md).
    q = _projection(match.q, "q")
    k = _projection(match.k, "k", dataclasses.replace(k_range, low=-127))
    v = _projection(match.v, "v")
    if match.shared_down:  # one object, so that it can be stored once
        k, v = (dataclasses.replace(p, down=q.down) for p in (k, v))
    return Attention(
        tokens=match.tokens,
        embed_dim=embed_dim,
        heads=match.heads,
        head_dim=match.head_dim,
        token_tile=1,
        heads_at_a_time=match.heads,
        key_heads=match.key_heads,
        value_dim=match.value_dim,
        score_multiplier=score_multiplier,
        score_shift=score_shift,
        exp_table=exp_table(match.grid.window**2 if match.grid else match.tokens),
        context_numerator=rounded(ratio * 2.0**48),
        context_zero_point=context.zero_point,
        shared_down=match.shared_down,
        norm_place=NormPlace.ABSENT if norm is None else NormPlace.BEFORE,
        causal=bias.causal,
        bias_kind=bias.kind,
        bias=bias.values,
        bias_shift=bias.shift,
        **_grid_fields(bias.grid),
        **relative.fields,
        residual=residual,
        norm=norm,
        q=q,
        k=k,
        v=v,
        out=_projection(out, "attention output", y),
    )


def _score_bias(match: AttentionMatch | Parts, q: Range, k: Range) -> BlockBias:
    """The constants on the scores of a block."""
    unit = q.scale * k.scale * match.scale
    if match.terms is None:
        return no_bias(match.grid)
    if not unit > 0:
        raise BoundError(f"the scores' scale is {match.scale:g}, expected a positive number")
    far = 255.0 * 255.0 * match.head_dim * unit
    terms, limits = match.terms, match.terms.limits or (-far, far)
    return block_bias(terms.bias, terms.replaced, unit, limits, match.grid)


def _grid_fields(grid: WindowGrid | None) -> dict[str, Any]:
    if grid is None:
        return {}
    return {
        "grid_height": grid.height,
        "grid_width": grid.width,
        "window": grid.window,
        "window_shift": grid.shift,
    }


@dataclasses.dataclass(frozen=True, eq=False)
class _Relative:
    """Fields of `Attention` for relative keys and values; `largest`: bound of what a score gets."""

    fields: dict[str, Any]
    largest: int


def _relative(match: AttentionMatch | Parts, k: Range, v: Range) -> _Relative:
    tables = match.relative
    if tables is None:
        return _Relative({}, 0)
    count = 4 * tables.distance + 4
    keys, key_shift = in_units(tables.keys, k.scale, count, match.head_dim)
    values, value_shift = in_units(tables.values, v.scale, count, match.value_dim)
    rows = np.abs(keys.astype(np.int64)).sum(axis=1).reshape(2, -1)
    fields = {
        "prefix_tokens": tables.prefix_tokens,
        "grid_height": tables.grid_height,
        "grid_width": tables.grid_width,
        "relative_distance": tables.distance,
        "relative_keys": keys,
        "relative_key_shift": key_shift,
        "relative_values": np.ascontiguousarray(values.T),
        "relative_value_shift": value_shift,
    }
    largest = 255 * int(rows.max(axis=1).sum()) << RELATIVE_BITS >> key_shift
    return _Relative(fields, largest + 2)


def _lower_mlp(match: MlpMatch, type_of: TensorRange) -> Mlp:
    x, y, h = type_of(match.x), type_of(match.y), type_of(match.norm.y)
    return Mlp(
        tokens=match.tokens,
        embed_dim=match.embed_dim,
        hidden_dim=match.hidden_dim,
        token_tile=1,
        hidden_tile=match.hidden_dim,
        lut=activation_table(match.activation.values, _in(match.fc2.first)),
        residual=_residual(x, y, "MLP residual"),
        norm=_norm(match.norm, x, h, "MLP LayerNorm"),
        fc1=_projection(match.fc1, "fc1"),
        fc2=_projection(match.fc2, "fc2", y),
    )


def _lower_mlp_core(match: MlpCoreMatch, type_of: TensorRange) -> Mlp:
    x, y = type_of(match.x), type_of(match.y)
    if match.added:
        residual = _residual(x, y, "MLP residual")
    else:
        residual = Residual(x.bits, x.zero_point, 0, 0)
    return Mlp(
        tokens=match.tokens,
        embed_dim=match.embed_dim,
        hidden_dim=match.hidden_dim,
        token_tile=1,
        hidden_tile=match.hidden_dim,
        norm_place=NormPlace.ABSENT,
        lut=activation_table(match.activation.values, _in(match.fc2.first)),
        residual=residual,
        norm=None,
        fc1=_projection(match.fc1, "fc1"),
        fc2=_projection(match.fc2, "fc2", y),
    )


def _lower_layer_norm(match: LayerNormMatch, type_of: TensorRange) -> LayerNorm:
    x, inner, y = type_of(match.x), type_of(match.norm.y), type_of(match.y)
    multiplier = 0
    if match.pool is Pool.MEAN:
        largest = match.tokens * 255
        factor = inner.scale / (y.scale * match.tokens)
        multiplier, _ = scalar_fixed_point(factor, largest, "mean pool", max_shift=0)
    return LayerNorm(
        tokens=match.tokens,
        embed_dim=match.embed_dim,
        input_bits=x.bits,
        pool=match.pool,
        zero_point=inner.zero_point,
        pool_multiplier=multiplier,
        pool_zero_point=y.zero_point,
        norm=_norm(match.norm, x, inner, "LayerNorm"),
    )


def _lower_patch_embed(match: PatchEmbedMatch, type_of: TensorRange) -> PatchEmbed:
    x, y = type_of(match.x), type_of(match.y)
    layer = match.layer
    cls: NDArray[Any] | None = None
    if match.cls is not None:
        row = y.quantize(match.cls)
        cls = row.astype(residual_dtype(y.bits))
    pos, pos_zero_point, pos_multiplier, pos_shift = None, 0, 0, 0
    if match.pos is not None:
        if match.pos_source is not None:
            pos, scale, pos_zero_point = match.pos_source
        else:
            scale = float(np.max(np.abs(match.pos))) / 127.0
            pos = Range(scale, 0, -127).quantize(match.pos).astype(np.int8)
        pos_multiplier, pos_shift = scalar_fixed_point(scale / y.scale, 255, "positions")
    return PatchEmbed(
        **dataclasses.asdict(match.geometry),
        embed_dim=layer.weights.shape[0],
        input_zero_point=x.zero_point,
        output_bits=y.bits,
        cls=cls,
        pos=pos,
        pos_zero_point=pos_zero_point,
        pos_multiplier=pos_multiplier,
        pos_shift=pos_shift,
        linear=_layer(layer, x, y, "patch embedding"),
    )


def _lower_patch_merge(match: PatchMergeMatch, type_of: TensorRange) -> PatchMerge:
    x, h, y = (type_of(tensor) for tensor in (match.x, match.norm.y, match.y))
    return PatchMerge(
        grid_height=match.geometry.grid_height,
        grid_width=match.geometry.grid_width,
        stride=match.geometry.patch_height,
        channels=match.geometry.channels,
        bits=x.bits,
        norm=_norm(match.norm, x, h, "patch merging's LayerNorm"),
        linear=_layer(match.layer, h, y, "patch merging"),
    )


def _lower_gelu(match: PointwiseMatch, type_of: TensorRange) -> Gelu:
    return Gelu(activation_table(match.values, type_of(match.y)))


def _lower_linear(match: LinearMatch, type_of: TensorRange) -> LinearOp:
    return LinearOp(match.rows, 1, _projection(match.projection, "linear layer"))


_LOWER: dict[type, Callable[..., Params]] = {
    AttentionMatch: _lower_attention,
    BareAttentionMatch: _lower_bare_attention,
    MlpMatch: _lower_mlp,
    MlpCoreMatch: _lower_mlp_core,
    LayerNormMatch: _lower_layer_norm,
    PatchEmbedMatch: _lower_patch_embed,
    PatchMergeMatch: _lower_patch_merge,
    PointwiseMatch: _lower_gelu,
    LinearMatch: _lower_linear,
}


def lower(match: Match, type_of: TensorRange) -> Params:
    """The operator's parameters, unscheduled (token_tile 1).

    Args:
      match: what was found.
      type_of: types of the activations in the fused graph.

    Raises:
      BoundError: an integer would overflow.
    """
    known = _LOWER.get(type(match))
    if known is None:
        return cast(OwnLowering, match).lower(type_of)
    return known(match, type_of)
