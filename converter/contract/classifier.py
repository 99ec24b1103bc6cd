# SPDX-License-Identifier: Apache-2.0
"""The image and the output of a classifier."""

from __future__ import annotations

from converter.contract.contract import ContractError
from converter.tflite import Model, Tensor


def image_and_output(model: Model) -> tuple[Tensor, Tensor]:
    """The tensors of an image classifier; ContractError where the model is none."""
    graph = model.graph
    tensors = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(tensors[0].shape) != 4:
        raise ContractError(
            f"got {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, expected one image "
            "[1, height, width, channels] and one output: --mean, --std and --labels are for these"
        )
    return tensors[0], tensors[1]
