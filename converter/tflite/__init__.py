# SPDX-License-Identifier: Apache-2.0
"""Reading, holding and writing `.tflite` graphs."""

from converter.tflite.model import (
    METADATA_NAME,
    AssociatedFile,
    Graph,
    Metadata,
    Model,
    Operator,
    Quantization,
    Tensor,
    TfliteError,
)
from converter.tflite.reader import load, parse, read_model
from converter.tflite.view import GraphView
from converter.tflite.writer import save, serialize
from tflm_vit.files import write_atomic

__all__ = [
    "METADATA_NAME",
    "AssociatedFile",
    "Graph",
    "GraphView",
    "Metadata",
    "Model",
    "Operator",
    "Quantization",
    "Tensor",
    "TfliteError",
    "load",
    "parse",
    "read_model",
    "save",
    "serialize",
    "write_atomic",
]
