# SPDX-License-Identifier: Apache-2.0
"""Layout of the parameter structs of ``kernels/vit_types.h``, and their C initializers.

The serialized options are int32 words in the order of the struct's members (docs/operators.md,
Encoding), so one table per struct turns the words into an initializer. A test compiles generated
parameters and compares each struct byte for byte with what ``vit_parse.c`` reads from the file.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator

import numpy as np

from converter.compile import c_text
from converter.compile.weights import pointer
from tflm_custom_ops.options import HEADER_WORDS, OpKind


class Scalar(enum.Enum):
    """Integer members."""

    INT32 = 1
    INT64 = 2


@dataclasses.dataclass(frozen=True)
class Array:
    """A pointer member: one word, the byte offset into the blob.

    ``absent_if_zero`` names the member whose zero value means that the array does not exist.
    """

    element: str
    absent_if_zero: str = ""


@dataclasses.dataclass(frozen=True)
class Member:
    """One member of a struct."""

    name: str
    type: Scalar | Array | StructLayout


@dataclasses.dataclass(frozen=True)
class StructLayout:
    """A struct of vit_types.h."""

    ctype: str
    members: tuple[Member, ...]


def _ints(names: str) -> tuple[Member, ...]:
    return tuple(Member(name, Scalar.INT32) for name in names.split())


LINEAR = StructLayout(
    "VitLinearParams",
    (
        *_ints("in_features out_features"),
        Member("weights", Array("int16_t", "in_features")),
        Member("bias", Array("int32_t", "in_features")),
        Member("multiplier", Array("int32_t", "in_features")),
        *_ints("shift out_zero_point out_min out_max k_block"),
    ),
)
PROJECTION = StructLayout(
    "VitProjection", (*_ints("rank"), Member("down", LINEAR), Member("up", LINEAR))
)
NORM = StructLayout(
    "VitNorm",
    (
        *_ints("features"),
        Member("gamma", Array("int32_t")),
        Member("beta", Array("int32_t")),
        Member("epsilon", Scalar.INT64),
    ),
)
RESIDUAL = StructLayout("VitResidual", _ints("bits zero_point multiplier shift"))
ATTENTION = StructLayout(
    "VitAttentionParams",
    (
        *_ints("tokens embed_dim heads head_dim token_tile heads_at_a_time"),
        *_ints("score_multiplier score_shift"),
        Member("exp_table", Array("uint16_t")),
        Member("context_numerator", Scalar.INT64),
        *_ints("context_zero_point shared_down"),
        Member("residual", RESIDUAL),
        Member("norm", NORM),
        *(Member(name, PROJECTION) for name in ("q", "k", "v", "out")),
    ),
)
MLP = StructLayout(
    "VitMlpParams",
    (
        *_ints("tokens embed_dim hidden_dim token_tile hidden_tile"),
        Member("lut", Array("int8_t")),
        Member("residual", RESIDUAL),
        Member("norm", NORM),
        Member("fc1", PROJECTION),
        Member("fc2", PROJECTION),
    ),
)
LAYER_NORM = StructLayout(
    "VitLayerNormParams",
    (
        *_ints("tokens embed_dim input_bits pool zero_point pool_multiplier pool_zero_point"),
        Member("norm", NORM),
    ),
)
GELU = StructLayout("VitGeluParams", (Member("lut", Array("int8_t")),))
LINEAR_OP = StructLayout(
    "VitLinearOpParams", (*_ints("rows token_tile"), Member("projection", PROJECTION))
)
PATCH_EMBED = StructLayout(
    "VitPatchEmbedParams",
    (
        *_ints("image_height image_width channels patch_height patch_width stride_y stride_x"),
        *_ints("pad_top pad_left grid_height grid_width embed_dim input_zero_point output_bits"),
        *_ints("has_cls"),
        Member("cls", Array("void", "has_cls")),
        *_ints("has_pos"),
        Member("pos", Array("int8_t", "has_pos")),
        *_ints("pos_zero_point pos_multiplier pos_shift"),
        Member("linear", LINEAR),
    ),
)

PARAMS = {
    OpKind.PATCH_EMBED: PATCH_EMBED,
    OpKind.ATTENTION: ATTENTION,
    OpKind.MLP: MLP,
    OpKind.LAYER_NORM: LAYER_NORM,
    OpKind.GELU: GELU,
    OpKind.LINEAR: LINEAR_OP,
}


_ZEROS = ("0", "NULL")


def _initializer(layout: StructLayout, words: Iterator[int], blob_offset: int) -> c_text.Struct:
    fields = []
    values: dict[str, int] = {}
    for member in layout.members:
        value: str | c_text.Struct
        if isinstance(member.type, StructLayout):
            value = _initializer(member.type, words, blob_offset)
            if all(f.value in _ZEROS for f in value.fields):
                continue  # an absent linear: C sets omitted members to zero
        elif isinstance(member.type, Array):
            offset = next(words)
            condition = member.type.absent_if_zero
            absent = condition != "" and values[condition] == 0
            value = "NULL" if absent else pointer(member.type.element, blob_offset + offset)
        elif member.type is Scalar.INT64:
            low, high = next(words), next(words)
            value = c_text.int64((high << 32) + (low & 0xFFFFFFFF))
        else:
            values[member.name] = next(words)
            value = c_text.int32(values[member.name])
        fields.append(c_text.Field(member.name, value))
    return c_text.Struct(tuple(fields))


def initializer(kind: OpKind, custom_options: bytes, blob_offset: int) -> c_text.Struct:
    """C initializer of an operator whose options `tflm_custom_ops.options.decode` accepted.

    ``blob_offset`` is the byte offset of the operator's blob in the weights image.
    """
    words = np.frombuffer(custom_options, "<i4")[HEADER_WORDS:]
    return _initializer(PARAMS[kind], iter([int(w) for w in words]), blob_offset)
