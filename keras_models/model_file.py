# SPDX-License-Identifier: Apache-2.0
"""Whole Keras models that other scripts saved: a `.keras` file, an HDF5 file, a SavedModel folder.

    model.save("model.keras")    # or "model.h5"
    model.export("folder")       # SavedModel: needs no Python code of the model's layers

Each becomes a SavedModel with a static batch of 1, which is what conversion starts from.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_models.datasets.normalization import OWN, Normalization
from keras_models.hdf5_sizes import expect_keras, expect_weights
from keras_models.model_config import expect_no_code_in_hdf5, expect_no_code_in_keras
from tflm_vit.failures import DAMAGE, reason
from tflm_vit.files import reading

KERAS, HDF5, SAVED_MODEL = "a .keras file", "an HDF5 file", "a SavedModel folder"
_EXPECTED = {
    KERAS: (expect_keras, expect_no_code_in_keras),
    HDF5: (expect_weights, expect_no_code_in_hdf5),
}
_MAGIC = {b"PK\x03\x04": KERAS, b"\x89HDF\r\n\x1a\n": HDF5}
_TFLITE = b"TFL3"
_UNKNOWN_CLASS = re.compile(r"(?:Could not locate class|Unknown layer:?) '?(\w+)'?")
INPUT_NAMES = ("image", "question")  # of networks of this toolkit
_SAVED_MODEL_FILE = "saved_model.pb"
EXPORT_REMEDY = (
    "in the script that builds it call model.export('FOLDER') and give --network=FOLDER, which "
    "needs no code of its layers"
)
# What networks are usually fed: bytes as they are, 0..1, and -1..1.
_USUAL = (Normalization((0.0,), (1.0,)), Normalization((0.0,), (255.0,)), OWN)
_TARGETS = ((0.0, 1.0), (-1.0, 1.0))  # what a Rescaling makes
_SPREAD = (2.0, 12.0)  # range of values over their standard deviation, of photographs


class ModelFileError(ValueError):
    """A model's file cannot be used; the message says why and what to do."""


@dataclasses.dataclass(frozen=True, eq=False)
class ModelFile:
    """A model of one float input, from a file.

    Attributes:
      path, kind: where it was read, and what that is.
      name: of the model.
      params: number of its weights.
      input_shape: without the batch.
      output_size: elements of its one output; 0 where it has several.
      normalization: how bytes become the input, where the model's first layers say so.
      export: writes a SavedModel with a batch of 1 to a folder.
    """

    path: str
    kind: str
    name: str
    params: int
    input_shape: tuple[int, ...]
    output_size: int
    normalization: Normalization | None
    export: Callable[[str], None]

    @property
    def is_image(self) -> bool:
        """Whether an image of 1 or 3 channels goes in."""
        return len(self.input_shape) == 3 and self.input_shape[-1] in (1, 3)


def kind_of(path: str) -> str | None:
    """`KERAS`, `HDF5`, `SAVED_MODEL`, or None for anything else.

    Raises:
      ModelFileError: a `.tflite` file.
    """
    if os.path.isdir(path):
        return SAVED_MODEL if os.path.isfile(os.path.join(path, _SAVED_MODEL_FILE)) else None
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        head = file.read(8)
    if head[4:] == _TFLITE:
        raise ModelFileError(
            f"{path}: got a .tflite file, expected a Keras model; a .tflite that is int8 goes to "
            "converter.fuse as it is"
        )
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def load(path: str, kind: str) -> ModelFile:
    """Reads a model.

    Raises:
      ModelFileError: damaged, with layers that are not known here, or of another form: several
        inputs, no float input, a size that is left open.
    """
    return _load_saved_model(path) if kind == SAVED_MODEL else _load_keras(path, kind)


# ---- .keras and HDF5 -----------------------------------------------------------------------------


def _load_keras(path: str, kind: str) -> ModelFile:
    model = _keras_model(path, kind)
    if len(model.inputs) != 1:
        raise _several_inputs(path, len(model.inputs))
    tensor = model.inputs[0]
    shape = _input_shape(path, tuple(tensor.shape), str(tensor.dtype))
    return ModelFile(
        path,
        kind,
        str(model.name),
        int(model.count_params()),
        shape,
        _output_size([tuple(y.shape) for y in model.outputs]),
        _first_layers(model, shape[-1] if shape else 1),
        lambda folder: export_keras(model, (shape,), folder),
    )


def _keras_model(path: str, kind: str) -> Any:
    """The model, by Keras 3, or by Keras 2 (tf_keras) where that wrote it."""
    import keras

    _expect_whole(path, kind)
    first: Exception | None = None
    for module in (keras, _tf_keras()):
        if module is None:
            continue
        try:
            model = module.models.load_model(path, compile=False)
            if not getattr(model, "inputs", None):
                raise ModelFileError(f"{path}: the model was saved before it was built")
            return model
        except Exception as error:  # of whatever kind a layer's own code raises
            first = first or error
    assert first is not None
    raise ModelFileError(f"{path}: not {kind} of a whole model: {_why(first)}") from first


def _expect_whole(path: str, kind: str) -> None:
    """What the file unpacks to, and whether it has code, is looked at before Keras reads it."""
    try:
        with reading(path, error=ModelFileError):
            for expect in _EXPECTED[kind]:
                expect(path)
    except ModelFileError as error:
        why = _why(error.__cause__ if isinstance(error.__cause__, Exception) else error)
        raise ModelFileError(f"{path}: not {kind} of a whole model: {why}") from error


def _tf_keras() -> Any:
    try:
        import tf_keras
    except ImportError:
        return None
    return tf_keras


def _why(error: Exception) -> str:
    """The reason, and what to do."""
    text = str(error)
    unknown = _UNKNOWN_CLASS.search(text)
    if unknown is not None:
        return f"has a layer {unknown[1]!r} that Keras does not know; {EXPORT_REMEDY}"
    if "Lambda" in text:
        return f"has a Lambda layer, whose code is not loaded from files; {EXPORT_REMEDY}"
    if "No model config" in text:
        return (
            "it holds weights alone; save the whole with model.save('model.keras'), or, of a "
            "network of this toolkit, give the network as --network and the file as --weights"
        )
    if isinstance(error, (OSError, *DAMAGE)) or "accessible `.keras` zip file" in text:
        return f"damaged ({reason(error)}); save it again with model.save()"
    return f"{reason(error)[:200]}; {EXPORT_REMEDY}"


def export_keras(model: Any, shapes: tuple[tuple[int, ...], ...], folder: str) -> None:
    """Writes a model of Keras 3 or Keras 2 as a SavedModel with a static batch of 1.

    An open batch leaves shape arithmetic in the graph.

    Args:
      shapes: of the inputs, without the batch.

    Raises:
      ModelFileError: Keras runs on another backend than TensorFlow.
    """
    import tensorflow as tf

    if any(t.__module__.startswith("tf_keras") for t in type(model).__mro__):
        (shape,) = shapes
        function = tf.function(lambda image: model(image, training=False))
        batch = tf.TensorSpec((1, *shape), tf.float32, name="image")
        tf.saved_model.save(model, folder, signatures=function.get_concrete_function(batch))
        return
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ModelFileError(
            f"Keras backend: got {keras.backend.backend()!r}, expected 'tensorflow'; set "
            "KERAS_BACKEND=tensorflow for the conversion (weights are the same)"
        )
    specs = [
        keras.InputSpec(shape=(1, *shape), dtype="float32", name=name)
        for shape, name in zip(shapes, INPUT_NAMES, strict=False)
    ]
    signature = specs if len(specs) == 1 else [tuple(specs)]
    model.export(folder, input_signature=signature, verbose=False)


# ---- SavedModel ----------------------------------------------------------------------------------


def _load_saved_model(path: str) -> ModelFile:
    import tensorflow as tf

    with reading(path, SAVED_MODEL, ModelFileError):
        loaded = tf.saved_model.load(path)
    signatures = loaded.signatures
    key = "serving_default" if "serving_default" in signatures else next(iter(signatures), None)
    if key is None:
        raise ModelFileError(f"{path}: got no signature, expected one; write it by model.export()")
    function = signatures[key]
    arguments = function.structured_input_signature[1]
    if len(arguments) != 1:
        raise _several_inputs(path, len(arguments))
    ((argument, spec),) = arguments.items()
    shape = _input_shape(path, tuple(spec.shape), spec.dtype.name)
    outputs = [tuple(y.shape) for y in function.structured_outputs.values()]

    def export(folder: str) -> None:
        call = tf.function(lambda image: function(**{argument: image}))
        batch = tf.TensorSpec((1, *shape), tf.float32, name="image")
        tf.saved_model.save(loaded, folder, signatures=call.get_concrete_function(batch))

    return ModelFile(
        path,
        SAVED_MODEL,
        os.path.basename(os.path.normpath(path)),
        sum(int(np.prod(v.shape)) for v in function.variables),
        shape,
        _output_size(outputs),
        None,
        export,
    )


# ---- what goes in and out ------------------------------------------------------------------------


def _several_inputs(path: str, count: int) -> ModelFileError:
    return ModelFileError(
        f"{path}: got {count} inputs, expected one; convert it with tf.lite.TFLiteConverter to "
        "int8, whose result converter.fuse takes with any number of inputs"
    )


def _input_shape(path: str, shape: tuple[int | None, ...], dtype: str) -> tuple[int, ...]:
    if dtype != "float32":
        raise ModelFileError(
            f"{path}: got an input of {dtype}, expected float32; convert it with "
            "tf.lite.TFLiteConverter to int8, whose result converter.fuse takes"
        )
    batch, *rest = shape or (None,)
    if batch not in (None, 1) or any(n is None for n in rest):
        shown = ", ".join("?" if n is None else str(n) for n in shape)
        raise ModelFileError(
            f"{path}: got an input of [{shown}], expected an open batch or one of 1, and known "
            "sizes; build the model with keras.Input(shape=(height, width, channels))"
        )
    return tuple(int(n) for n in rest if n is not None)


def _output_size(shapes: list[tuple[int | None, ...]]) -> int:
    if len(shapes) != 1 or any(n is None for n in shapes[0][1:]):
        return 0
    return int(np.prod([n for n in shapes[0][1:] if n is not None], dtype=np.int64))


def _layers(model: Any) -> Iterator[Any]:
    """Layers from the input on, those of models inside in their place."""
    for layer in model.layers:
        if getattr(layer, "layers", None):
            yield from _layers(layer)
        elif type(layer).__name__ != "InputLayer":
            yield layer


def _first_layers(model: Any, channels: int) -> Normalization | None:
    """What the model is fed, as its first layer says: a Rescaling or Normalization of Keras.

    A Rescaling that makes 0..1 or -1..1 of one of the usual ranges, or a Normalization by the
    statistics of photographs in one of them. None where it is neither, or where two would do.
    """
    layer = next(_layers(model), None)
    kind = type(layer).__name__
    if kind == "Rescaling":
        scale, offset = (_numbers(layer, name) for name in ("scale", "offset"))
        found = [usual for usual in _USUAL if _makes_target(usual, scale, offset)]
    elif kind == "Normalization" and not getattr(layer, "invert", False):
        mean, variance = (_numbers(layer, name) for name in ("mean", "variance"))
        if mean.size not in (1, channels):
            return None
        found = [usual for usual in _USUAL if _spreads(usual, mean, np.sqrt(variance))]
    else:
        return None
    return found[0] if len(found) == 1 else None


def _numbers(layer: Any, name: str) -> Any:
    return np.asarray(getattr(layer, name), np.float64).reshape(-1)


def _makes_target(usual: Normalization, scale: Any, offset: Any) -> bool:
    low, high = (end * scale + offset for end in usual.ends)
    return any(
        np.allclose(low, target[0], atol=0.02) and np.allclose(high, target[1], atol=0.02)
        for target in _TARGETS
    )


def _spreads(usual: Normalization, mean: Any, std: Any) -> bool:
    low, high = usual.ends
    ratio = (high - low) / np.maximum(std, 1e-12)
    inside = (mean > low) & (mean < high)
    return bool(np.all(inside & (ratio > _SPREAD[0]) & (ratio < _SPREAD[1])))
