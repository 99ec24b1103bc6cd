# SPDX-License-Identifier: Apache-2.0
"""Real converter output for every family of networks; each is converted once per test run."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from typing import Any

import numpy as np

from converter.quantize.ptq import quantize
from keras_models.arch import ArchConfig
from keras_models.presets import get_preset
from keras_models.vit import build_vit, random_weights
from tflm_vit.stderr import captured_stderr

Array = np.ndarray[Any, Any]
_IMAGES = 10


@dataclasses.dataclass(frozen=True)
class Family:
    """How a plain file comes about.

    Attributes:
      name: for test ids.
      preset: of keras_models.
      keras: "keras" or "tf_keras".
      norm: overrides the preset's.
      per_channel: weight scales.
      quantizer: "tflite" or "aeq" (ai-edge-quantizer: other ranges, QUANTIZE between).
      blocks: number of transformer blocks that are kept.
      builtin: operators that stay builtin.
    """

    name: str
    preset: str
    keras: str = "keras"
    norm: str | None = None
    per_channel: bool = True
    quantizer: str = "tflite"
    blocks: int = 1
    builtin: tuple[str, ...] = ()


FAMILIES = (
    Family("clean_norm", "test_tiny", blocks=2),
    Family("cls_token", "test_cls"),
    Family("low_rank", "test_lowrank"),
    Family("keras_norm", "test_keras_norm"),
    Family("separate_qkv", "test_separate_qkv"),
    Family("multi_head_attention_layer", "test_keras_mha"),
    Family("quick_gelu", "test_quick_gelu"),
    Family("mixed_blocks", "test_mixed", blocks=3),
    Family("stem", "test_stem", builtin=("CONV_2D", "CONV_2D")),
    Family("patch_padding", "test_padding"),
    Family("tf_keras_norm", "test_tiny", keras="tf_keras", norm="keras"),
    Family("per_tensor", "test_lowrank", per_channel=False),
    Family("aeq_keras_norm", "test_keras_norm", quantizer="aeq"),
    Family("aeq_cls_token", "test_cls", quantizer="aeq"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """A converted network with images and the float model's logits for them.

    Attributes:
      plain: the `.tflite`.
      images: float32 [n, size, size, channels]; the ranges were learnt from them.
      logits: float [n, classes].
    """

    family: Family
    arch: ArchConfig
    plain: bytes
    images: Array
    logits: Array


def shortened(arch: ArchConfig, blocks: int) -> ArchConfig:
    """The architecture's first blocks: converting takes time for each."""
    return arch.replace(
        heads=arch.heads[:blocks], mlp_ratio=arch.mlp_ratio[:blocks], ranks=arch.ranks[:blocks]
    )


@functools.cache
def sample(name: str) -> Sample:
    """The family's network with random weights."""
    family = next(f for f in FAMILIES if f.name == name)
    with captured_stderr():
        if family.keras == "keras":
            import keras as module
        else:
            import tf_keras as module
        arch = shortened(get_preset(family.preset), family.blocks)
        model = random_weights(build_vit(arch, module, family.norm), 1)
        size, channels = arch.image_size, arch.channels
        rng = np.random.default_rng(7)
        images = rng.normal(0, 0.5, (_IMAGES, size, size, channels)).clip(-1, 1)
        images = images.astype(np.float32)
        if family.quantizer == "aeq":
            plain = _ai_edge_quantizer(model, arch, images)
        else:
            plain = quantize(model, arch, images, per_channel=family.per_channel)
        return Sample(family, arch, plain, images, np.asarray(model(images)))


def _ai_edge_quantizer(model: Any, arch: ArchConfig, images: Array) -> bytes:
    import keras
    import tensorflow as tf
    from ai_edge_quantizer import quantizer, recipe

    shape = (1, arch.image_size, arch.image_size, arch.channels)
    with tempfile.TemporaryDirectory() as directory:
        signature = [keras.InputSpec(shape=shape, dtype="float32", name="image")]
        model.export(directory, input_signature=signature, verbose=False)
        content = tf.lite.TFLiteConverter.from_saved_model(directory).convert()
    tool = quantizer.Quantizer(bytearray(content))
    tool.load_quantization_recipe(recipe.static_wi8_ai8())
    ranges = tool.calibrate({"serving_default": [{"image": x[None]} for x in images]})
    return bytes(tool.quantize(ranges).quantized_model)
