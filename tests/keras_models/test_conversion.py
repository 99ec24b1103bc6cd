# SPDX-License-Identifier: Apache-2.0
"""Networks of the builder convert to a static, all-int8 .tflite with the operators expected.

The other families: tests/converter/fuse/test_families.py, which converts them anyway.
"""

import collections
import functools
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter

from keras_models.presets import get_preset
from keras_models.vit import build_vit, random_weights

CLEAN_NORM = {"MEAN": 2, "SUB": 1, "MUL": 2, "ADD": 1, "RSQRT": 1}


def convert(model, arch, directory):
    shape = (1, arch.image_size, arch.image_size, arch.channels)
    if isinstance(model, keras.Model):
        spec = keras.InputSpec(shape=shape, dtype="float32")
        model.export(directory, input_signature=[spec], verbose=False)
    else:
        serve = tf.function(model, input_signature=[tf.TensorSpec(shape, tf.float32)])
        tf.saved_model.save(model, directory, signatures=serve)
    rng = np.random.default_rng(0)
    converter = tf.lite.TFLiteConverter.from_saved_model(directory)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [rng.uniform(-1, 1, shape).astype(np.float32)] for _ in range(4)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


@functools.cache
def converted(name, module):
    """(int8 file, network) of a preset with random weights."""
    arch = get_preset(name)
    model = random_weights(build_vit(arch, module), 0)
    with tempfile.TemporaryDirectory() as directory:
        return convert(model, arch, directory), model


def ops_and_types(interpreter):
    ops = collections.Counter(op["op_name"] for op in interpreter._get_ops_details())
    ops.pop("DELEGATE", None)
    types = {np.dtype(t["dtype"]).name for t in interpreter.get_tensor_details()}
    return ops, types


def expected_ops(arch):
    """Operators of a clean-norm network with dense packed attention and mean pool."""
    depth, norms = arch.depth, 2 * arch.depth + 1
    ops = collections.Counter({name: n * norms for name, n in CLEAN_NORM.items()})
    ops.update(CONV_2D=1, RESHAPE=1 + 4 * depth, FULLY_CONNECTED=4 * depth + 1, MEAN=1)
    ops.update(SPLIT=depth, TRANSPOSE=4 * depth, BATCH_MATMUL=2 * depth, SOFTMAX=depth)
    # The q scale, the residuals and the position; the last norm's gamma and beta are not followed
    # by a fully connected layer and stay.
    ops.update(GELU=depth, MUL=depth + 1, ADD=2 * depth + 2)
    return ops


@pytest.mark.parametrize(
    ("name", "module"),
    [("vit_digits", keras), ("test_gelu_tanh", keras), ("test_tiny", tf_keras)],
    ids=["digits-keras3", "gelu_tanh-keras3", "tiny-tf_keras"],
)
def test_clean_network_lowers_to_exactly_these_int8_operators(name, module):
    ops, types = ops_and_types(Interpreter(model_content=converted(name, module)[0]))
    assert ops == expected_ops(get_preset(name))
    assert types <= {"int8", "int32"}


def test_keras_norm_keeps_its_float_island():
    """Why the clean norm exists; when this fails, Keras or the converter has changed."""
    arch = get_preset("test_keras_norm")
    content, _ = converted("test_keras_norm", keras)
    ops, types = ops_and_types(Interpreter(model_content=content))
    assert "float32" in types
    assert ops["NEG"] == ops["DEQUANTIZE"] == 2 * arch.depth + 1


def test_int8_agrees_with_float():
    content, model = converted("vit_digits", keras)
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    x = np.random.default_rng(3).uniform(-1, 1, (16, 8, 8, 1)).astype(np.float32)
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    out = []
    for image in x:
        scale, zero = source["quantization"]
        q = np.clip(np.rint(image / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], q[np.newaxis])
        interpreter.invoke()
        scale, zero = sink["quantization"]
        out.append((interpreter.get_tensor(sink["index"])[0].astype(np.float64) - zero) * scale)
    expected = np.asarray(model(x))
    noise = np.mean((np.asarray(out) - expected) ** 2)
    signal = np.mean((expected - expected.mean(0)) ** 2)
    assert 10 * np.log10(signal / noise) > 8
