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

from keras_models.datasets.normalization import BYTES, OWN, Normalization
from keras_models.parts import (
    ACTIVATIONS,
    PATCHES,
    POOLS,
    ArchError,
    BlockRanks,
    Places,
    StemLayer,
    TransformerBlock,
    check_choice,
    check_dense,
    check_int,
    check_question,
    check_ranks,
    check_ratio,
    check_relative,
    check_scalars,
    check_stem,
    check_weight_bits,
    fail,
    input_shapes,
    known_fields,
    later,
    linear_macs,
    linear_params,
    load_json,
    output_shape,
    parse_item,
    parse_stem,
    stem_macs,
    stem_params,
    stem_sides,
    without_unused,
)
from keras_models.text.tables import (
    TokenTable,
    check_text,
    table_macs,
    table_params,
    token_tables,
)
from tflm_vit.files import parse_json, write_atomic


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
      pool: "mean" over the tokens, "cls" (a class token is prepended) or "patches" (a class token
        is prepended, the mean is that of the others: AutoFormer's option gp).
      activation: "gelu" (exact, erf), "gelu_tanh" or "quick_gelu" (x * sigmoid(1.702 x)).
      attention: "packed" (one qkv layer), "separate" (q, k and v layers) or "keras"
        (`keras.layers.MultiHeadAttention`; dense only).
      norm: "clean" (a LayerNormalization that lowers to int8 without a float island) or "keras"
        (`keras.layers.LayerNormalization`).
      norm_epsilon: added to the variance.
      weight_bits: of each block's layers once quantized, 8 or 4; empty means 8 everywhere
        (docs/weight_bits.md).
      relative_position: largest distance in rows or columns that AutoFormer's and MCUFormer's
        tables of relative keys and values tell apart (14 as published); 0 for none.
      vocabulary: 256 where the image is a text whose bytes are the tokens, row by row; more where
        it is one of sub-words, whose number is two channels, the low byte and the high one; 0 for
        pictures. It then takes bytes as they are (`normalization`).
      embedding_rank: of such a network's table of tokens, a low-rank pair; 0 for one of embed_dim.
      rare_from, rare_rank: tokens from this number on are in a table of their own, a pair of that
        rank (clustered low rank, as MCUBERT's); 0: all in one table.
      norm_after: normalization behind each residual (Vaswani et al., 2017), none before the head.
      dense: the output is a picture, of which each token makes dense x dense pixels of num_classes
        values (`keras_models.dense`); 0 for a classifier.
      question: bytes of a coded question, the second input; a linear layer of it is the class
        token, so that `pool` is "cls", and is added to the patches. 0 for a network of the image
        alone.
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
    relative_position: int = later(0)
    dense: int = later(0)
    vocabulary: int = later(0)
    embedding_rank: int = later(0)
    rare_from: int = later(0)
    rare_rank: int = later(0)
    norm_after: bool = later(False)
    weight_bits: tuple[int, ...] = later(())
    question: int = later(0)

    def __post_init__(self) -> None:
        self._check_scalars()
        self._check_patches()
        self._check_blocks()
        self._check_ranks()

    @property
    def small_convolutions(self) -> tuple[str, ...]:
        """None: blocks have no convolutions."""
        return ()

    # ---- validation ----------------------------------------------------------------------------

    def _check_scalars(self) -> None:
        check_scalars(self)
        check_int("patch_size", self.patch_size, 1, self.image_size)
        check_int("patch_padding", self.patch_padding, 0, self.patch_size - 1)
        check_int("embed_dim", self.embed_dim, 1, 8192)
        check_int("head_dim", self.head_dim, 1, 1024)
        check_choice("pool", self.pool, (*POOLS, PATCHES))
        check_relative("relative_position", self.relative_position, self.attention)
        check_dense(self.dense, self.pool)
        check_question(self)
        if self.question and self.pool != "cls":
            fail("pool", self.pool, '"cls" with a question, which is the class token')
        if not isinstance(self.norm_after, bool):
            fail("norm_after", self.norm_after, "true or false")
        check_text(self, ("patch_size", 1), ("stem", ()), ("dense", 0), ("question", 0))

    def _check_patches(self) -> None:
        side = check_stem(self.stem, self.image_size)
        padded = side + 2 * self.patch_padding
        if padded % self.patch_size:
            fail(
                "patch_size",
                self.patch_size,
                f"a divisor of {padded} (side {side} + 2 * patch_padding {self.patch_padding}); "
                "change patch_size or patch_padding",
            )

    def _check_blocks(self) -> None:
        if not isinstance(self.heads, tuple) or not self.heads:
            fail("heads", self.heads, "a non-empty tuple, one number of heads per block")
        for i, heads in enumerate(self.heads):
            check_int(f"heads[{i}]", heads, 1, 256)
        if not isinstance(self.mlp_ratio, tuple) or len(self.mlp_ratio) != len(self.heads):
            fail("mlp_ratio", self.mlp_ratio, f"a tuple of {len(self.heads)} (one per block)")
        for i, ratio in enumerate(self.mlp_ratio):
            check_ratio(f"mlp_ratio[{i}]", ratio, self.embed_dim)
        check_weight_bits("weight_bits", self.weight_bits, self.depth)

    def _check_ranks(self) -> None:
        if not isinstance(self.ranks, tuple) or len(self.ranks) not in (0, self.depth):
            fail("ranks", self.ranks, f"an empty tuple or {self.depth} BlockRanks (one per block)")
        for block, ranks in enumerate(self.ranks):
            check_ranks(f"ranks[{block}]", ranks, self.block(block), self.attention)

    # ---- derived sizes -------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """Number of transformer blocks."""
        return len(self.heads)

    @property
    def stem_sides(self) -> tuple[int, ...]:
        """Side in pixels after each stem layer."""
        return stem_sides(self.stem, self.image_size)

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
        return self.grid * self.grid + self.class_token

    @property
    def class_token(self) -> bool:
        """Whether a class token comes before the patches."""
        return self.pool != "mean"

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of each input, without the batch."""
        return input_shapes(self.image_size, self.channels, self.question)

    @property
    def normalization(self) -> Normalization:
        """How bytes become what the network takes."""
        return BYTES if self.vocabulary else OWN

    @property
    def token_tables(self) -> tuple[TokenTable, ...]:
        """Of a network of texts."""
        return token_tables(self)

    @property
    def head_outputs(self) -> int:
        """Outputs of the last linear layer, of each token where the output is a picture."""
        return self.num_classes * max(1, self.dense**2)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(classes,), or (side, side, classes) of a picture."""
        return output_shape(self.num_classes, self.grid, self.dense)

    def inner_dim(self, block: int) -> int:
        """Width of q, of k and of v in a block."""
        return self.heads[block] * self.head_dim

    def hidden_dim(self, block: int) -> int:
        """Hidden width of a block's MLP."""
        return round(self.embed_dim * self.mlp_ratio[block])

    def block_ranks(self, block: int) -> BlockRanks:
        return self.ranks[block] if self.ranks else BlockRanks()

    def block(self, index: int) -> TransformerBlock:
        """A block's widths and ranks."""
        return TransformerBlock(
            self.embed_dim,
            self.heads[index],
            self.head_dim,
            self.hidden_dim(index),
            self.block_ranks(index),
            Places(self.grid, int(self.class_token), relative=self.relative_position),
            self.weight_bits[index] if self.weight_bits else 8,
        )

    @property
    def transformer_blocks(self) -> dict[int, TransformerBlock]:
        """All blocks by their number."""
        return {index: self.block(index) for index in range(self.depth)}

    def block_linears(self, block: int) -> tuple[tuple[int, int, int], ...]:
        """(inputs, outputs, rank) of each linear layer of a block, in order of execution."""
        return self.block(block).linears(self.attention == "packed")

    @property
    def stem_params(self) -> int:
        """Trainable parameters of the stem (a batch normalization has a gamma and a beta)."""
        return stem_params(self.stem, self.channels)

    @property
    def params(self) -> int:
        """Trainable parameters of the whole network."""
        dim = self.embed_dim
        patch = linear_params(self.patch_size**2 * self.patch_input_channels, dim, 0)
        if self.vocabulary:
            patch = table_params(self)
        position = self.tokens * dim + (dim if self.class_token else 0)
        if self.question:
            position = self.grid**2 * dim + linear_params(self.question, dim, 0)
        packed = self.attention == "packed"
        blocks = sum(self.block(b).params(packed) for b in range(self.depth))
        head = (0 if self.norm_after else 2 * dim) + linear_params(dim, self.head_outputs, 0)
        return self.stem_params + patch + position + blocks + head

    @property
    def stem_macs(self) -> int:
        return stem_macs(self.stem, self.channels, self.image_size)

    def block_macs(self, block: int) -> int:
        """Multiply-accumulates of one block: linear layers, Q.K^T and attention.V."""
        return self.block(block).macs(self.attention == "packed")

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference; norms, softmax and adds are not counted."""
        patch = self.grid**2 * self.patch_size**2 * self.patch_input_channels * self.embed_dim
        if self.vocabulary:
            patch = self.grid**2 * table_macs(self)
        blocks = sum(self.block_macs(b) for b in range(self.depth))
        head = self.embed_dim * self.head_outputs * (self.tokens if self.dense else 1)
        return self.stem_macs + patch + self.question * self.embed_dim + blocks + head

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
        check_int("depth", depth, 1, 256)
        per_block = (ranks,) * depth if ranks is not None else ()
        return cls(
            heads=(heads,) * depth, mlp_ratio=(mlp_ratio,) * depth, ranks=per_block, **fields
        )

    def replace(self, **changes: Any) -> ArchConfig:
        """A copy with some attributes changed, validated."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """JSON text with one key per attribute, in the order of the class."""
        return json.dumps(self.tree(), indent=2) + "\n"

    def tree(self) -> dict[str, Any]:
        """Its attributes as plain data, without those that were added later and are not used, so
        that files and checkpoints are what they were."""
        return without_unused(dataclasses.asdict(self), type(self))

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
        fields = known_fields("ArchConfig", data, cls)
        for key in ("heads", "mlp_ratio", "stem", "ranks", "weight_bits"):
            if key in fields and not isinstance(fields[key], list):
                fail(key, fields[key], "a list")
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        if "stem" in fields:
            fields["stem"] = parse_stem(fields["stem"])
        if "ranks" in fields:
            fields["ranks"] = tuple(
                parse_item(f"ArchConfig.ranks[{i}]", item, BlockRanks)
                for i, item in enumerate(fields["ranks"])
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
        return load_json(path, cls.from_json)


__all__ = [
    "ACTIVATIONS",
    "POOLS",
    "ArchConfig",
    "ArchError",
    "BlockRanks",
    "StemLayer",
    "linear_macs",
    "linear_params",
]
