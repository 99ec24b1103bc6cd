# SPDX-License-Identifier: Apache-2.0
"""The image and the output of a classifier."""

from __future__ import annotations

from converter.contract.contract import ContractError
from converter.tflite import Model, Tensor

_CHANNELS = (1, 3, 4)  # of images as files hold them


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


def check_pixels(image: Tensor) -> None:
    """ContractError for an image in planes: of those a contract cannot tell the channels."""
    shape = image.shape
    if shape[1] in _CHANNELS and shape[3] not in _CHANNELS:
        raise ContractError(
            f"got an image {list(shape)} in planes, expected [1, height, width, channels]; convert "
            "the network with a transposed input to feed it with images here"
        )
