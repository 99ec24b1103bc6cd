# SPDX-License-Identifier: Apache-2.0
"""Small residual networks (He et al., CVPR 2016): teachers for the networks that are deployed.

They train like a Vision Transformer (`python -m keras_models.train --network=resnet_32`) and are
given as `--teacher`; no other command takes them. Layout: 3x3 convolution, stages of blocks of two
convolutions, mean over the pixels, linear layer; batch normalization and ReLU throughout.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

from keras_models.datasets.normalization import OWN, Normalization
from tflm_vit.files import parse_json, read_text, write_atomic

KIND = "resnet"


class ResNetError(ValueError):
    """A field of a residual network is wrong; the message names it and what is expected."""


@dataclasses.dataclass(frozen=True)
class ResNetConfig:
    """A residual network.

    Attributes:
      name: for people.
      image_size, channels, num_classes: of its input and output.
      widths: channels of each stage; every stage but the first halves the side.
      blocks: residual blocks of each stage.
    """

    name: str = "resnet"
    image_size: int = 32
    channels: int = 3
    num_classes: int = 10
    widths: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (2, 2, 2)

    def __post_init__(self) -> None:
        for field, low, high in (("image_size", 1, 4096), ("channels", 1, 64),
                                 ("num_classes", 1, 100_000)):  # fmt: skip
            self._check(field, getattr(self, field), low, high)
        if not isinstance(self.name, str) or not self.name:
            raise ResNetError(f"ResNetConfig.name: got {self.name!r}, expected a non-empty string")
        for field, high in (("widths", 4096), ("blocks", 64)):
            values = getattr(self, field)
            if not isinstance(values, tuple) or not values or len(values) != len(self.widths):
                raise ResNetError(f"ResNetConfig.{field}: got {values!r}, expected one per stage")
            for value in values:
                self._check(field, value, 1, high)
        halved = 2 ** (len(self.widths) - 1)
        if self.image_size % halved:
            raise ResNetError(
                f"ResNetConfig.image_size: got {self.image_size}, expected a multiple of {halved}"
            )

    def _check(self, field: str, value: object, low: int, high: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ResNetError(
                f"ResNetConfig.{field}: got {value!r}, expected an integer from {low} to {high}"
            )

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(classes,): it makes no pictures."""
        return (self.num_classes,)

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of each input, without the batch: the image alone."""
        return ((self.image_size, self.image_size, self.channels),)

    @property
    def normalization(self) -> Normalization:
        """How bytes become what the network takes."""
        return OWN

    def convolutions(self) -> tuple[tuple[int, int, int, int], ...]:
        """(kernel, inputs, outputs, side of the output) of each, in order of execution."""
        found = [(3, self.channels, self.widths[0], self.image_size)]
        inputs, side = self.widths[0], self.image_size
        for stage, (width, count) in enumerate(zip(self.widths, self.blocks, strict=True)):
            side = side // 2 if stage else side
            for block in range(count):
                if inputs != width or (stage and not block):
                    found.append((1, inputs, width, side))
                found += [(3, inputs, width, side), (3, width, width, side)]
                inputs = width
        return tuple(found)

    @property
    def params(self) -> int:
        """Trainable parameters; a batch normalization has two for each channel."""
        layers = self.convolutions()
        convolutions = sum(
            k * k * inputs * outputs + 2 * outputs for k, inputs, outputs, _ in layers
        )
        return convolutions + (self.widths[-1] + 1) * self.num_classes

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        layers = self.convolutions()
        convolutions = sum(
            k * k * inputs * outputs * side**2 for k, inputs, outputs, side in layers
        )
        return convolutions + self.widths[-1] * self.num_classes

    def tree(self) -> dict[str, Any]:
        """Its attributes as plain data."""
        return dataclasses.asdict(self)

    def replace(self, **changes: Any) -> ResNetConfig:
        """A copy with some attributes changed, validated."""
        return dataclasses.replace(self, **changes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes JSON; the file appears whole or not at all."""
        tree = {"kind": KIND, **self.tree()}
        write_atomic(path, (json.dumps(tree, indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ResNetConfig:
        """Reads what `save` wrote; errors name the file."""
        try:
            return cls.from_json(read_text(path))
        except ResNetError as error:
            raise ResNetError(f"{os.fspath(path)}: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> ResNetConfig:
        """Parses what `save` wrote.

        Raises:
          ResNetError: not JSON, a key nobody knows, or a wrong value.
        """
        try:
            tree = parse_json(text)
        except ValueError as error:
            raise ResNetError(f"ResNetConfig: {error}") from error
        known = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(tree, dict) or tree.pop("kind", None) != KIND:
            raise ResNetError(f'ResNetConfig: expected a JSON object with "kind": "{KIND}"')
        for key in tree:
            if key not in known:
                raise ResNetError(f"ResNetConfig.{key}: unknown field, expected {', '.join(known)}")
        listed = {key: tuple(value) for key, value in tree.items() if isinstance(value, list)}
        return cls(**{**tree, **listed})


def is_resnet_json(text: str) -> bool:
    """Whether an arch.json is of one of these and no `ArchConfig`."""
    try:
        tree = parse_json(text)
    except ValueError:
        return False
    return isinstance(tree, dict) and tree.get("kind") == KIND


# 0.7 M parameters, 0.1 G multiply-accumulates: a teacher for 32 pixels that two cores can train.
TEACHERS: dict[str, ResNetConfig] = {
    config.name: config
    for config in (
        ResNetConfig(name="resnet_32"),
        ResNetConfig(name="resnet_wide_32", widths=(64, 128, 256)),
        ResNetConfig(name="test_resnet", image_size=8, channels=1, widths=(4, 8), blocks=(1, 1)),
    )
}


def build_resnet(config: ResNetConfig) -> Any:
    """A Keras 3 model (batch, size, size, channels) in [-1, 1] -> logits (batch, classes)."""
    import keras

    image = keras.layers.Input(
        shape=(config.image_size, config.image_size, config.channels), name="image"
    )
    x = _convolution(image, config.widths[0], 3, 1, "stem")
    x = keras.layers.ReLU(name="stem_relu")(x)
    for stage, (width, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
        for block in range(count):
            stride = 2 if stage and not block else 1
            x = _block(x, width, stride, f"stage{stage}_block{block}")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    # float32 whatever the rest computes in: a loss needs more than eight bits of the logits.
    logits = keras.layers.Dense(config.num_classes, name="head", dtype="float32")(x)
    return keras.Model(image, logits, name=config.name)


def _convolution(x: Any, outputs: int, kernel: int, stride: int, name: str) -> Any:
    import keras

    x = keras.layers.Conv2D(
        outputs,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)


def _block(x: Any, width: int, stride: int, name: str) -> Any:
    import keras

    short = x
    if stride != 1 or x.shape[-1] != width:
        short = _convolution(x, width, 1, stride, f"{name}_short")
    y = _convolution(x, width, 3, stride, f"{name}_a")
    y = keras.layers.ReLU(name=f"{name}_a_relu")(y)
    y = _convolution(y, width, 3, 1, f"{name}_b")
    y = keras.layers.Add(name=f"{name}_add")([short, y])
    return keras.layers.ReLU(name=f"{name}_relu")(y)
