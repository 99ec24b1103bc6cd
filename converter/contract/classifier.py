# SPDX-License-Identifier: Apache-2.0
"""The image and the output of a classifier."""

from __future__ import annotations

from converter.contract.contract import ContractError
from converter.fused_ops import decoded
from converter.tflite import Graph, Model, Operator, Tensor
from keras_models.text.subwords import TOKEN_BYTES
from tflm_custom_ops.ops import operator_of

_CHANNELS = (1, 3, 4)  # of images as files hold them
_TO_PIXELS = [0, 2, 3, 1]  # of a TRANSPOSE


def has_question(graph: Graph) -> bool:
    """Whether a graph takes an image and a vector, as the task of questions has them."""
    shapes = [graph.tensors[i].shape for i in graph.inputs]
    return [len(shape) for shape in shapes] == [4, 2] and len(graph.outputs) == 1


def image_and_output(model: Model, asked: bool = False) -> tuple[Tensor, Tensor]:
    """The tensors of an image classifier, with `asked` of one that takes a question besides.

    Raises:
      ContractError: the model is none.
    """
    graph = model.graph
    tensors = [graph.tensors[i] for i in (graph.inputs[:1] + graph.outputs[:1])]
    if asked:
        if not has_question(graph):
            raise ContractError(
                f"got {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, expected an "
                "image [1, height, width, channels] and a question [1, bytes], and one output"
            )
        return tensors[0], tensors[1]
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or len(tensors[0].shape) != 4:
        raise ContractError(
            f"got {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, expected one image "
            "[1, height, width, channels] and one output: --mean, --std and --labels are for these"
        )
    return tensors[0], tensors[1]


def output_shape(model: Model) -> tuple[int, ...]:
    """Of the first output."""
    graph = model.graph
    return graph.tensors[graph.outputs[0]].shape


def takes_planes(graph: Graph) -> bool:
    """Whether the graph reads its first input as [1, channels, height, width], as PyTorch has
    images: an image in planes."""
    return any(_reads_planes(graph, op) for op in graph.operators if graph.inputs[0] in op.inputs)


def _reads_planes(graph: Graph, op: Operator) -> bool:
    if op.opcode == "TRANSPOSE":
        order = graph.tensors[op.inputs[1]].data
        return order is None or order.reshape(-1).tolist() == _TO_PIXELS
    if op.opcode == "RESHAPE":
        # A TRANSPOSE of one plane: [1, 1, height, width] -> [1, height, width, 1].
        before, after = (graph.tensors[i].shape for i in (op.inputs[0], op.outputs[0]))
        return before[:2] == (1, 1) and after == (1, *before[2:], 1) and len(before) == 4
    params = decoded(graph, op)
    return params is not None and operator_of(params).reads_planes


def check_pixels(model: Model, image: Tensor) -> None:
    """ContractError for an image in planes: of those a contract cannot tell the channels.

    By what reads it, or by its shape where a reshape is as good as a transpose.
    """
    shape = image.shape
    channels = (*_CHANNELS, TOKEN_BYTES)
    if takes_planes(model.graph) or (shape[1] in _CHANNELS and shape[3] not in channels):
        raise ContractError(
            f"got an image {list(shape)} in planes, expected [1, height, width, channels]; convert "
            "the network with a transposed input to feed it with images here"
        )
