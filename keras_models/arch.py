# SPDX-License-Identifier: Apache-2.0
"""`ArchConfig`: everything that defines a Vision Transformer's shape, as frozen data.

The configuration is the contract between training, search, conversion and firmware. It is
immutable, checked when it is made, and written as JSON. Sizes follow ViT (Dosovitskiy et al.,
ICLR 2021) and MCUFormer (Liang et al., NeurIPS 2023); a low-rank layer is W = A.B with A: in->rank
without bias and B: rank->out with bias.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

from tflm_vit.files import parse_json, write_atomic

ACTIVATIONS = ("gelu", "gelu_tanh", "quick_gelu")
STEM_ACTIVATIONS = ("relu", "gelu", "none")
POOLS = ("mean", "cls")
ATTENTIONS = ("packed", "separate", "keras")
NORMS = ("clean", "keras")


class ArchError(ValueError):
    """A field of an architecture is wrong; the message names it, its value and what is expected."""


def _fail(field: str, got: object, expected: str) -> None:
    raise ArchError(f"ArchConfig.{field}: got {got!r}, expected {expected}")


def _check_int(field: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        _fail(field, value, f"an integer from {low} to {high}")


def _check_choice(field: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        _fail(field, value, "one of " + ", ".join(choices))


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

    def validate(self, field: str) -> None:
        _check_int(f"{field}.kernel", self.kernel, 1, 15)
        if self.kernel % 2 == 0:
            _fail(f"{field}.kernel", self.kernel, "an odd number")
        _check_int(f"{field}.stride", self.stride, 1, 4)
        _check_int(f"{field}.channels", self.channels, 1, 4096)
        _check_choice(f"{field}.activation", self.activation, STEM_ACTIVATIONS)
        if not isinstance(self.batch_norm, bool):
            _fail(f"{field}.batch_norm", self.batch_norm, "true or false")


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
class ArchConfig:
    """A Vision Transformer.

    Attributes:
      name: for people; not used by any computation.
      image_size: side of the square input in pixels.
      channels: input channels (1 grey, 3 RGB).
      num_classes: width of the classifier's output (logits).
      patch_size: side of a patch in pixels of what the patch embedding sees: the image, or the
        output of the stem. Patches do not overlap.
      patch_padding: zeros added on each side before the patch embedding (MCUFormer: 6 for patch
        28 and 8 for patch 32 at 240 pixels).
      stem: convolutions before the patch embedding; empty for a plain ViT.
      embed_dim: width of a token.
      heads: attention heads of each block; its length is the depth.
      mlp_ratio: hidden width of each block's MLP over embed_dim; embed_dim * ratio is an integer.
      head_dim: width of a head; the width of q, k and v is heads * head_dim, whatever embed_dim.
      ranks: low ranks of each block; empty means that all layers are dense.
      pool: "mean" over the tokens or "cls" (a class token is prepended).
      activation: "gelu" (exact, erf), "gelu_tanh" or "quick_gelu" (x * sigmoid(1.702 x)).
      attention: "packed" (one qkv layer), "separate" (q, k and v layers) or "keras"
        (`keras.layers.MultiHeadAttention`; dense only).
      norm: "clean" (a LayerNormalization that lowers to int8 without a float island) or "keras"
        (`keras.layers.LayerNormalization`).
      norm_epsilon: added to the variance.
    """

    name: str = "vit"
    image_size: int = 240
    channels: int = 3
    num_classes: int = 1000
    patch_size: int = 16
    patch_padding: int = 0
    stem: tuple[StemLayer, ...] = ()
    embed_dim: int = 192
    heads: tuple[int, ...] = (3,) * 12
    mlp_ratio: tuple[float, ...] = (4.0,) * 12
    head_dim: int = 64
    ranks: tuple[BlockRanks, ...] = ()
    pool: str = "mean"
    activation: str = "gelu"
    attention: str = "packed"
    norm: str = "clean"
    norm_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        self._check_scalars()
        self._check_patches()
        self._check_blocks()
        self._check_ranks()

    # ---- validation ----------------------------------------------------------------------------

    def _check_scalars(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            _fail("name", self.name, "a non-empty string")
        _check_int("image_size", self.image_size, 1, 4096)
        _check_int("channels", self.channels, 1, 64)
        _check_int("num_classes", self.num_classes, 1, 100_000)
        _check_int("patch_size", self.patch_size, 1, self.image_size)
        _check_int("patch_padding", self.patch_padding, 0, self.patch_size - 1)
        _check_int("embed_dim", self.embed_dim, 1, 8192)
        _check_int("head_dim", self.head_dim, 1, 1024)
        _check_choice("pool", self.pool, POOLS)
        _check_choice("activation", self.activation, ACTIVATIONS)
        _check_choice("attention", self.attention, ATTENTIONS)
        _check_choice("norm", self.norm, NORMS)
        if not isinstance(self.norm_epsilon, float) or not 0.0 < self.norm_epsilon <= 0.1:
            _fail("norm_epsilon", self.norm_epsilon, "a float above 0 and at most 0.1")

    def _check_patches(self) -> None:
        side = self.image_size
        for i, layer in enumerate(self.stem):
            if not isinstance(layer, StemLayer):
                _fail(f"stem[{i}]", layer, "a StemLayer")
            layer.validate(f"stem[{i}]")
            if side % layer.stride:
                _fail(f"stem[{i}].stride", layer.stride, f"a divisor of its input side {side}")
            side //= layer.stride
        padded = side + 2 * self.patch_padding
        if padded % self.patch_size:
            _fail(
                "patch_size",
                self.patch_size,
                f"a divisor of {padded} (side {side} + 2 * patch_padding {self.patch_padding}); "
                "change patch_size or patch_padding",
            )

    def _check_blocks(self) -> None:
        if not isinstance(self.heads, tuple) or not self.heads:
            _fail("heads", self.heads, "a non-empty tuple, one number of heads per block")
        for i, heads in enumerate(self.heads):
            _check_int(f"heads[{i}]", heads, 1, 256)
        if not isinstance(self.mlp_ratio, tuple) or len(self.mlp_ratio) != len(self.heads):
            _fail("mlp_ratio", self.mlp_ratio, f"a tuple of {len(self.heads)} (one per block)")
        for i, ratio in enumerate(self.mlp_ratio):
            if isinstance(ratio, bool) or not isinstance(ratio, int | float) or ratio <= 0:
                _fail(f"mlp_ratio[{i}]", ratio, "a positive number")
            hidden = self.embed_dim * ratio
            if abs(hidden - round(hidden)) > 1e-6 or round(hidden) < 1:
                _fail(
                    f"mlp_ratio[{i}]",
                    ratio,
                    f"a ratio with an integer hidden width (embed_dim {self.embed_dim} * ratio = "
                    f"{hidden})",
                )

    def _check_ranks(self) -> None:
        if not isinstance(self.ranks, tuple) or len(self.ranks) not in (0, self.depth):
            _fail("ranks", self.ranks, f"an empty tuple or {self.depth} BlockRanks (one per block)")
        for block, ranks in enumerate(self.ranks):
            if not isinstance(ranks, BlockRanks):
                _fail(f"ranks[{block}]", ranks, "a BlockRanks")
            dim, inner, hidden = self.embed_dim, self.inner_dim(block), self.hidden_dim(block)
            qkv_out = 3 * inner if self.attention == "packed" else inner
            limits = (min(dim, qkv_out), min(inner, dim), min(dim, hidden), min(hidden, dim))
            for field, limit in zip(dataclasses.fields(ranks), limits, strict=True):
                value = getattr(ranks, field.name)
                _check_int(f"ranks[{block}].{field.name}", value, 0, limit)
            if self.attention == "keras" and (ranks.qkv or ranks.proj):
                _fail(f"ranks[{block}]", ranks, 'qkv and proj ranks of 0 with attention="keras"')

    # ---- derived sizes -------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """Number of transformer blocks."""
        return len(self.heads)

    @property
    def stem_sides(self) -> tuple[int, ...]:
        """Side in pixels after each stem layer."""
        sides, side = [], self.image_size
        for layer in self.stem:
            side //= layer.stride
            sides.append(side)
        return tuple(sides)

    @property
    def patch_input_side(self) -> int:
        """Side in pixels of what the patch embedding sees, without padding."""
        return self.stem_sides[-1] if self.stem else self.image_size

    @property
    def patch_input_channels(self) -> int:
        return self.stem[-1].channels if self.stem else self.channels

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return (self.patch_input_side + 2 * self.patch_padding) // self.patch_size

    @property
    def tokens(self) -> int:
        """Tokens in the transformer, class token included."""
        return self.grid * self.grid + (1 if self.pool == "cls" else 0)

    def inner_dim(self, block: int) -> int:
        """Width of q, of k and of v in a block."""
        return self.heads[block] * self.head_dim

    def hidden_dim(self, block: int) -> int:
        """Hidden width of a block's MLP."""
        return round(self.embed_dim * self.mlp_ratio[block])

    def block_ranks(self, block: int) -> BlockRanks:
        return self.ranks[block] if self.ranks else BlockRanks()

    def block_linears(self, block: int) -> tuple[tuple[int, int, int], ...]:
        """(inputs, outputs, rank) of each linear layer of a block, in order of execution."""
        dim, inner, hidden = self.embed_dim, self.inner_dim(block), self.hidden_dim(block)
        r = self.block_ranks(block)
        if self.attention == "packed":
            qkv: tuple[tuple[int, int, int], ...] = ((dim, 3 * inner, r.qkv),)
        else:
            qkv = ((dim, inner, r.qkv),) * 3
        return (*qkv, (inner, dim, r.proj), (dim, hidden, r.fc1), (hidden, dim, r.fc2))

    @property
    def stem_params(self) -> int:
        """Trainable parameters of the stem (a batch normalization has a gamma and a beta)."""
        total, inputs = 0, self.channels
        for layer in self.stem:
            total += layer.kernel**2 * inputs * layer.channels
            total += layer.channels * (2 if layer.batch_norm else 1)
            inputs = layer.channels
        return total

    @property
    def params(self) -> int:
        """Trainable parameters of the whole network."""
        dim = self.embed_dim
        patch = linear_params(self.patch_size**2 * self.patch_input_channels, dim, 0)
        position = self.tokens * dim + (dim if self.pool == "cls" else 0)
        blocks = sum(
            4 * dim + sum(linear_params(*linear) for linear in self.block_linears(b))
            for b in range(self.depth)
        )
        head = 2 * dim + linear_params(dim, self.num_classes, 0)
        return self.stem_params + patch + position + blocks + head

    @property
    def stem_macs(self) -> int:
        total, inputs = 0, self.channels
        for layer, side in zip(self.stem, self.stem_sides, strict=True):
            total += side * side * layer.kernel**2 * inputs * layer.channels
            inputs = layer.channels
        return total

    def block_macs(self, block: int) -> int:
        """Multiply-accumulates of one block: linear layers, Q.K^T and attention.V."""
        linear = sum(linear_macs(*each) for each in self.block_linears(block))
        return self.tokens * linear + 2 * self.tokens**2 * self.inner_dim(block)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference; norms, softmax and adds are not counted."""
        patch = self.grid**2 * self.patch_size**2 * self.patch_input_channels * self.embed_dim
        blocks = sum(self.block_macs(b) for b in range(self.depth))
        return self.stem_macs + patch + blocks + self.embed_dim * self.num_classes

    # ---- construction and JSON -----------------------------------------------------------------

    @classmethod
    def uniform(
        cls,
        *,
        depth: int,
        heads: int,
        mlp_ratio: float = 4.0,
        ranks: BlockRanks | None = None,
        **fields: Any,
    ) -> ArchConfig:
        """An architecture whose blocks are all alike; `fields` are the other attributes."""
        _check_int("depth", depth, 1, 256)
        per_block = (ranks,) * depth if ranks is not None else ()
        return cls(
            heads=(heads,) * depth, mlp_ratio=(mlp_ratio,) * depth, ranks=per_block, **fields
        )

    def replace(self, **changes: Any) -> ArchConfig:
        """A copy with some attributes changed, validated."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """JSON text with one key per attribute, in the order of the class."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ArchConfig:
        """Parses what `to_json` wrote. Keys that are left out take their defaults.

        Raises:
          ArchError: not JSON, a key nobody knows, or a wrong value.
        """
        try:
            data = parse_json(text)
        except ValueError as error:
            raise ArchError(f"ArchConfig: {error}") from error
        fields = _known_fields("ArchConfig", data, cls)
        for key in ("heads", "mlp_ratio", "stem", "ranks"):
            if key in fields and not isinstance(fields[key], list):
                _fail(key, fields[key], "a list")
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        for key, kind in (("stem", StemLayer), ("ranks", BlockRanks)):
            if key in fields:
                fields[key] = tuple(
                    _parse_item(f"ArchConfig.{key}[{i}]", item, kind)
                    for i, item in enumerate(fields[key])
                )
        if isinstance(fields.get("norm_epsilon"), int):
            fields["norm_epsilon"] = float(fields["norm_epsilon"])
        return cls(**fields)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON; the file appears whole or not at all."""
        write_atomic(path, self.to_json().encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ArchConfig:
        """Reads a JSON file; errors name it."""
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except OSError as error:
            raise ArchError(f"{os.fspath(path)}: cannot read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ArchError(f"{os.fspath(path)}: not a text file: {error}") from error
        try:
            return cls.from_json(text)
        except ArchError as error:
            raise ArchError(f"{os.fspath(path)}: {error}") from error


def _known_fields(where: str, data: object, kind: type) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ArchError(f"{where}: got {type(data).__name__}, expected a JSON object")
    known = [field.name for field in dataclasses.fields(kind)]
    for key in data:
        if key not in known:
            raise ArchError(f"{where}.{key}: unknown field, expected one of {', '.join(known)}")
    return dict(data)


def _parse_item(where: str, item: object, kind: type) -> Any:
    try:
        return kind(**_known_fields(where, item, kind))
    except TypeError as error:
        raise ArchError(f"{where}: got {item!r}, expected all fields: {error}") from error
