# SPDX-License-Identifier: Apache-2.0
"""Parameters of a projection on its own."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

from tflm_custom_ops.ops.base import Params
from tflm_custom_ops.ops.parts import Projection
from tflm_custom_ops.ops.schema import Part
from tflm_custom_ops.ops.schema.fields import dimension, expanded_inputs_word
from tflm_custom_ops.ops.schema.limits import MAX_EXPANSION


@dataclasses.dataclass(frozen=True, eq=False)
class LinearOp(Params):
    """A projection on its own: x int8 ``[rows, in_features]`` -> int8 ``[rows, out_features]``."""

    C_TYPE: ClassVar[str] = "VitLinearOpParams"

    rows: Annotated[int, dimension("MAX_TOKENS")]
    token_tile: Annotated[int, dimension("MAX_TOKENS", schedule=True, doc="rows at a time")]
    expanded_inputs: Annotated[int, expanded_inputs_word()] = dataclasses.field(
        default=MAX_EXPANSION, kw_only=True
    )
    projection: Annotated[Projection, Part({"bits": "8"})]
