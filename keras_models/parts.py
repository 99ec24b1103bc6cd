# SPDX-License-Identifier: Apache-2.0
"""What architectures are made of, whatever their kind: checks, stems, ranks, transformer blocks."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any, TypeVar

from tflm_vit.files import FileError, read_text

WEIGHT_BITS = (4, 8)
ACTIVATIONS = ("gelu", "gelu_tanh", "quick_gelu")
STEM_ACTIVATIONS = ("relu", "gelu", "none")
POOLS = ("mean", "cls")
PATCHES = "patches"  # a pool as well; searches and imports of weights do not know it
ATTENTIONS = ("packed", "separate", "keras")
NORMS = ("clean", "keras")
MAX_RELATIVE_DISTANCE = 64
MAX_RATIO = 1024
LATER = "later"
Config = TypeVar("Config")


class ArchError(ValueError):
    """A field of an architecture is wrong; the message names it, its value and what is expected."""


def fail(field: str, got: object, expected: str) -> None:
    """Raises `ArchError` in one line."""
    raise ArchError(f"ArchConfig.{field}: got {got!r}, expected {expected}")


def check_int(field: str, value: object, low: int, high: int) -> None:
    """Raises `ArchError` unless the value is an integer of that range."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        fail(field, value, f"an integer from {low} to {high}")


def check_choice(field: str, value: object, choices: tuple[str, ...]) -> None:
    """Raises `ArchError` unless the value is one of the choices."""
    if value not in choices:
        fail(field, value, "one of " + ", ".join(choices))


@dataclasses.dataclass(frozen=True)
class StemLayer:
    """One convolution of the stem: `same` padding, bias or batch normalization, activation.

    Attributes:
      kernel: side of the square kernel, odd, 1..15.
      stride: 1..4; the input side must be divisible by it.
      channels: output channels, 1..4096.
      activation: "relu", "gelu" or "none".
      batch_norm: batch normalization between convolution and activation. It takes the place of
        the convolution's bias and is folded into the convolution by the converter.
    """

    kernel: int
    stride: int
    channels: int
    activation: str = "relu"
    batch_norm: bool = False

    def validate(self, field: str, side: int) -> int:
        """The side of its output; raises `ArchError` for a wrong field, with this input's side."""
        check_int(f"{field}.kernel", self.kernel, 1, 15)
        if self.kernel % 2 == 0:
            fail(f"{field}.kernel", self.kernel, "an odd number")
        check_int(f"{field}.stride", self.stride, 1, 4)
        check_int(f"{field}.channels", self.channels, 1, 4096)
        check_choice(f"{field}.activation", self.activation, STEM_ACTIVATIONS)
        if not isinstance(self.batch_norm, bool):
            fail(f"{field}.batch_norm", self.batch_norm, "true or false")
        if side % self.stride:
            fail(f"{field}.stride", self.stride, f"a divisor of its input side {side}")
        return side // self.stride


def check_stem(stem: object, side: int) -> int:
    """The side of a stem's output; raises `ArchError` for a wrong layer."""
    if not isinstance(stem, tuple):
        fail("stem", stem, "a tuple of StemLayer")
        return side
    for i, layer in enumerate(stem):
        if not isinstance(layer, StemLayer):
            fail(f"stem[{i}]", layer, "a StemLayer")
        side = layer.validate(f"stem[{i}]", side)
    return side


def stem_sides(stem: tuple[StemLayer, ...], side: int) -> tuple[int, ...]:
    """Side in pixels after each layer."""
    sides = []
    for layer in stem:
        side //= layer.stride
        sides.append(side)
    return tuple(sides)


def stem_params(stem: tuple[StemLayer, ...], channels: int) -> int:
    """Trainable parameters (a batch normalization has a gamma and a beta)."""
    total = 0
    for layer in stem:
        total += layer.kernel**2 * channels * layer.channels
        total += layer.channels * (2 if layer.batch_norm else 1)
        channels = layer.channels
    return total


def stem_macs(stem: tuple[StemLayer, ...], channels: int, side: int) -> int:
    """Multiply-accumulates of one image."""
    total = 0
    for layer, out in zip(stem, stem_sides(stem, side), strict=True):
        total += out * out * layer.kernel**2 * channels * layer.channels
        channels = layer.channels
    return total


def parse_stem(items: list[Any]) -> tuple[StemLayer, ...]:
    """Of a JSON list; raises `ArchError`."""
    return tuple(
        parse_item(f"ArchConfig.stem[{i}]", item, StemLayer) for i, item in enumerate(items)
    )


@dataclasses.dataclass(frozen=True)
class BlockRanks:
    """Ranks of the linear layers of one block; 0 means a dense layer.

    With separate q, k and v each of the three is a pair of rank `qkv`.
    """

    qkv: int = 0
    proj: int = 0
    fc1: int = 0
    fc2: int = 0

    @property
    def dense(self) -> bool:
        return not (self.qkv or self.proj or self.fc1 or self.fc2)


def linear_params(inputs: int, outputs: int, rank: int) -> int:
    """Parameters, bias included, of a linear layer that is dense (rank 0) or a low-rank pair."""
    weights = rank * (inputs + outputs) if rank else inputs * outputs
    return weights + outputs


def linear_macs(inputs: int, outputs: int, rank: int) -> int:
    """Multiply-accumulates of a linear layer for one token."""
    return linear_params(inputs, outputs, rank) - outputs


@dataclasses.dataclass(frozen=True)
class Places:
    """What a block of attention makes of the places of its tokens.

    Attributes:
      side: of the grid that they form.
      prefix: tokens before the grid (a class token).
      window: side of the windows that tokens see each other in; 0: all see all.
      shift: rows and columns by which the grid is rolled before it is cut into windows.
      bias: a number for each head and distance is added to the scores (Swin).
      relative: largest distance of the tables of relative keys and values (AutoFormer); 0: none.
    """

    side: int
    prefix: int = 0
    window: int = 0
    shift: int = 0
    bias: bool = False
    relative: int = 0

    @property
    def matter(self) -> bool:
        """Whether attention depends on them at all."""
        return bool(self.window or self.bias or self.relative)

    @property
    def tokens(self) -> int:
        return self.prefix + self.side**2

    @property
    def seen(self) -> int:
        """Tokens that a token sees."""
        return self.window**2 or self.tokens

    @property
    def relative_entries(self) -> int:
        """Of the tables by row and by column distance together; two for the class token."""
        return 4 * self.relative + 4 if self.relative else 0


def check_weight_bits(field: str, bits: object, depth: int) -> None:
    """Raises `ArchError` unless they are none, or those of each block."""
    if not isinstance(bits, tuple) or len(bits) not in (0, depth):
        fail(field, bits, f"an empty tuple or {depth} numbers (one per block)")
        return
    for i, each in enumerate(bits):
        if type(each) is not int or each not in WEIGHT_BITS:
            fail(f"{field}[{i}]", each, "4 or 8")


@dataclasses.dataclass(frozen=True)
class TransformerBlock:
    """One block of attention and MLP, whatever kind of architecture it is of.

    Attributes:
      width: of a token.
      heads, head_dim: the width of q, of k and of v is their product.
      hidden: width of the MLP.
      ranks: of its linear layers.
      places: of its tokens.
      weight_bits: of its layers once quantized.
    """

    width: int
    heads: int
    head_dim: int
    hidden: int
    ranks: BlockRanks
    places: Places
    weight_bits: int = 8

    @property
    def inner(self) -> int:
        """Width of q, of k and of v."""
        return self.heads * self.head_dim

    def linears(self, packed: bool) -> tuple[tuple[int, int, int], ...]:
        """(inputs, outputs, rank) of each linear layer, in order of execution."""
        ranks = self.ranks
        if packed:
            qkv: tuple[tuple[int, int, int], ...] = ((self.width, 3 * self.inner, ranks.qkv),)
        else:
            qkv = ((self.width, self.inner, ranks.qkv),) * 3
        proj = (self.inner, self.width, ranks.proj)
        fc1, fc2 = (self.width, self.hidden, ranks.fc1), (self.hidden, self.width, ranks.fc2)
        return (*qkv, proj, fc1, fc2)

    def params(self, packed: bool) -> int:
        """Trainable parameters."""
        places = self.places
        bias = (2 * (places.window or places.side) - 1) ** 2 * self.heads if places.bias else 0
        relative = 2 * places.relative_entries * self.head_dim
        linear = sum(linear_params(*each) for each in self.linears(packed))
        return 4 * self.width + linear + bias + relative

    def macs(self, packed: bool) -> int:
        """Multiply-accumulates: linear layers, Q.K^T and attention.V, relative tables."""
        linear = sum(linear_macs(*each) for each in self.linears(packed))
        products = 2 * (self.places.seen + self.places.relative_entries) * self.inner
        return self.places.tokens * (linear + products)


def check_scalars(arch: Any) -> None:
    """Raises `ArchError` for what every kind of architecture has."""
    if not isinstance(arch.name, str) or not arch.name:
        fail("name", arch.name, "a non-empty string")
    check_int("image_size", arch.image_size, 1, 4096)
    check_int("channels", arch.channels, 1, 64)
    check_int("num_classes", arch.num_classes, 1, 100_000)
    check_choice("activation", arch.activation, ACTIVATIONS)
    check_choice("attention", arch.attention, ATTENTIONS)
    check_choice("norm", arch.norm, NORMS)
    if not isinstance(arch.norm_epsilon, float) or not 0.0 < arch.norm_epsilon <= 0.1:
        fail("norm_epsilon", arch.norm_epsilon, "a float above 0 and at most 0.1")


def check_ratio(field: str, ratio: object, width: int) -> None:
    """Raises `ArchError` unless width * ratio is a positive integer."""
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio <= MAX_RATIO:
        fail(field, ratio, f"a positive number up to {MAX_RATIO}")
        return
    hidden = width * ratio
    if abs(hidden - round(hidden)) > 1e-6 or round(hidden) < 1:
        fail(field, ratio, f"a ratio with an integer hidden width (width {width} * it = {hidden})")


def check_relative(field: str, largest: object, attention: str) -> None:
    """Raises `ArchError` unless this is a largest distance, or 0."""
    check_int(field, largest, 0, MAX_RELATIVE_DISTANCE)
    if largest and attention == "keras":
        fail(field, largest, '0 with attention="keras"')


def check_ranks(field: str, ranks: object, block: TransformerBlock, attention: str) -> None:
    """Raises `ArchError` unless these are ranks of the block's layers."""
    if not isinstance(ranks, BlockRanks):
        fail(field, ranks, "a BlockRanks")
        return
    sizes = block.linears(attention == "packed")
    limits = [min(inputs, outputs) for inputs, outputs, _ in (sizes[0], *sizes[-3:])]
    for each, limit in zip(dataclasses.fields(ranks), limits, strict=True):
        check_int(f"{field}.{each.name}", getattr(ranks, each.name), 0, limit)
    if attention == "keras" and (ranks.qkv or ranks.proj):
        fail(field, ranks, 'qkv and proj ranks of 0 with attention="keras"')


# ---- JSON ---------------------------------------------------------------------------------------


def load_json(path: str | os.PathLike[str], parse: Callable[[str], Config]) -> Config:
    """What `parse` makes of a file's text; its errors name the file."""
    try:
        text = read_text(path)
    except OSError as error:
        raise ArchError(f"{os.fspath(path)}: cannot read: {error.strerror}") from error
    except FileError as error:
        raise ArchError(str(error)) from error
    try:
        return parse(text)
    except ArchError as error:
        raise ArchError(f"{os.fspath(path)}: {error}") from error


def check_dense(dense: object, pool: str = "mean") -> None:
    """Raises `ArchError` unless a head can make dense x dense pixels of each token."""
    check_int("dense", dense, 0, 64)
    if dense and pool != "mean":
        fail("pool", pool, f'"mean" with dense {dense}: each token is a part of the picture')


def check_question(arch: Any) -> None:
    """Raises `ArchError` unless a network can have a question as its second input."""
    check_int("question", arch.question, 0, 1024)
    if arch.question and arch.dense:
        fail("dense", arch.dense, "0 with a question, whose answer is one vector")


def input_shapes(side: int, channels: int, question: int) -> tuple[tuple[int, ...], ...]:
    """Of a network's inputs, without the batch: the picture, and the question's code."""
    picture = (side, side, channels)
    return (picture, (question,)) if question else (picture,)


def output_shape(classes: int, side: int, dense: int) -> tuple[int, ...]:
    """Of an output of `classes` values, or of a picture of side * dense pixels a side of them."""
    return (side * dense, side * dense, classes) if dense else (classes,)


def later(default: Any) -> Any:
    """A field that was added to a dataclass whose files and checkpoints exist."""
    return dataclasses.field(default=default, metadata={LATER: True})


def without_unused(tree: dict[str, Any], kind: type) -> dict[str, Any]:
    """A dataclass as a tree, without fields that were added later and have their default."""
    gone = {
        field.name
        for field in dataclasses.fields(kind)
        if field.metadata.get(LATER) and tree[field.name] == field.default
    }
    return {name: value for name, value in tree.items() if name not in gone}


def known_fields(where: str, data: object, kind: type) -> dict[str, Any]:
    """A JSON object's fields; raises `ArchError` for one that the dataclass does not have."""
    if not isinstance(data, dict):
        raise ArchError(f"{where}: got {type(data).__name__}, expected a JSON object")
    known = [field.name for field in dataclasses.fields(kind)]
    for key in data:
        if key not in known:
            raise ArchError(f"{where}.{key}: unknown field, expected one of {', '.join(known)}")
    return dict(data)


def parse_item(where: str, item: object, kind: type) -> Any:
    """A dataclass from a JSON object that has all its fields."""
    try:
        return kind(**known_fields(where, item, kind))
    except TypeError as error:
        raise ArchError(f"{where}: got {item!r}, expected all fields: {error}") from error
