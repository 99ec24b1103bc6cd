# SPDX-License-Identifier: Apache-2.0
"""`StagedConfig`: an architecture of several stages, as frozen data.

`ArchConfig` is the network of one stage, whose fields stand for themselves; this is the one whose
JSON has `stages`. Every command takes both, but for those that say that they need one stage.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

from keras_models.arch import ArchConfig
from keras_models.datasets.normalization import BYTES, OWN, Normalization
from keras_models.parts import (
    ArchError,
    BlockRanks,
    StemLayer,
    TransformerBlock,
    check_choice,
    check_dense,
    check_int,
    check_question,
    check_scalars,
    check_stem,
    fail,
    input_shapes,
    known_fields,
    later,
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
from keras_models.stages import (
    ATTENTION_BLOCKS,
    CONV_BLOCKS,
    AttentionStage,
    ConvStage,
    Stage,
    StageGrid,
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
class StagedConfig:
    """Convolutions, then stages one after another, then the mean over the last grid.

    Attributes:
      name: for people; not used by any computation.
      image_size, channels, num_classes: of its input and output.
      stem: convolutions before the first stage; may be empty.
      stages: `ConvStage`s, then `AttentionStage`s; either may be missing. The mean is taken over
        the last one's tokens, normed, or pixels.
      activation, attention, norm, norm_epsilon: of transformer blocks, as in `ArchConfig`.
      dense: as in `ArchConfig`, of the last grid's tokens or pixels.
      question: as in `ArchConfig`. Its linear layer is added to one of the whole last map, in the
        place of the mean; the stages are convolutions.
      hidden: width of both layers, with a ReLU behind the sum.
      vocabulary, embedding_rank, rare_from, rare_rank: as in `ArchConfig`, of a text. Its tokens,
        row after row, are one line, and the stages convolutions along it.
      embed_dim: width of a text's tokens; 0 of a picture.
    """

    name: str = "staged"
    image_size: int = 32
    channels: int = 3
    num_classes: int = 10
    stem: tuple[StemLayer, ...] = ()
    stages: tuple[Stage, ...] = ()
    activation: str = "gelu"
    attention: str = "packed"
    norm: str = "clean"
    norm_epsilon: float = 1e-6
    dense: int = later(0)
    question: int = later(0)
    hidden: int = later(0)
    vocabulary: int = later(0)
    embed_dim: int = later(0)
    embedding_rank: int = later(0)
    rare_from: int = later(0)
    rare_rank: int = later(0)

    def __post_init__(self) -> None:
        check_scalars(self)
        check_stem(self.stem, self.image_size)
        check_dense(self.dense)
        check_question(self)
        self._check_text()
        check_int("hidden", self.hidden, 1 if self.question else 0, 8192 if self.question else 0)
        self._check_stages()
        for field in ("question", "vocabulary"):
            if getattr(self, field) and self.ends_in_tokens:
                fail("stages", self.stages[-1].blocks, f"convolutions only, with a {field}")

    # ---- validation ----------------------------------------------------------------------------

    def _check_text(self) -> None:
        check_int("embed_dim", self.embed_dim, 1 if self.vocabulary else 0, 8192)
        if self.embed_dim and not self.vocabulary:
            fail("embed_dim", self.embed_dim, "0 without a vocabulary")
        check_text(self, ("stem", ()), ("dense", 0), ("question", 0))

    def _check_stages(self) -> None:
        if not isinstance(self.stages, tuple) or not self.stages:
            fail("stages", self.stages, "a non-empty tuple of ConvStage and AttentionStage")
        grid, tokens = self._first_grid, False
        for i, stage in enumerate(self.stages):
            field = f"stages[{i}]"
            if not isinstance(stage, Stage):
                fail(field, stage, "a ConvStage or an AttentionStage")
            if tokens and not stage.of_tokens:
                fail(f"{field}.blocks", stage.blocks, '"attention": convolutions come first')
            stage.validate(field, grid, self.attention)
            grid, tokens = stage.output(grid), stage.of_tokens

    # ---- derived sizes -------------------------------------------------------------------------

    @property
    def weight_bits(self) -> tuple[int, ...]:
        """Of each block of attention once quantized, in order (`AttentionStage`); empty means 8
        everywhere. `small_convolutions` names those of the other stages."""
        bits = tuple(block.weight_bits for block in self.transformer_blocks.values())
        return bits if set(bits) - {8} else ()

    @property
    def small_convolutions(self) -> tuple[str, ...]:
        """Blocks of convolutions whose weights have 4 bits once quantized, e.g. "stage0_block1",
        with which the names of their layers begin."""
        return tuple(
            f"stage{i}_block{block}"
            for i, stage in enumerate(self.stages)
            if not stage.of_tokens
            for block, bits in enumerate(stage.weight_bits)
            if bits == 4
        )

    @property
    def stem_sides(self) -> tuple[int, ...]:
        """Side in pixels after each stem layer."""
        return stem_sides(self.stem, self.image_size)

    @property
    def _first_grid(self) -> StageGrid:
        if self.vocabulary:
            return StageGrid(self.image_size**2, self.embed_dim, line=True)
        if not self.stem:
            return StageGrid(self.image_size, self.channels)
        return StageGrid(self.stem_sides[-1], self.stem[-1].channels)

    @property
    def sources(self) -> tuple[StageGrid, ...]:
        """What goes into each stage, and what comes out of the last."""
        grids = [self._first_grid]
        for stage in self.stages:
            grids.append(stage.output(grids[-1]))
        return tuple(grids)

    def walk(self) -> Iterator[tuple[Stage, StageGrid]]:
        """Each stage and what goes into it."""
        return zip(self.stages, self.sources[:-1], strict=True)

    @property
    def depth(self) -> int:
        """Blocks of all stages."""
        return sum(stage.depth for stage in self.stages)

    @property
    def transformer_blocks(self) -> dict[int, TransformerBlock]:
        """Those by their number among all blocks of the network."""
        found: dict[int, TransformerBlock] = {}
        first = 0
        for stage, source in self.walk():
            found |= dict(enumerate(stage.transformer_blocks(source), first))
            first += stage.depth
        return found

    @property
    def ends_in_tokens(self) -> bool:
        """Whether the last stage's output is normed before the mean."""
        return self.stages[-1].of_tokens

    @property
    def norm_after(self) -> bool:
        """Blocks of stages normalize before their branches."""
        return False

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
        return output_shape(self.num_classes, self.sources[-1].side, self.dense)

    @property
    def tokens(self) -> int:
        """Of the first stage of attention, which has most; 0 without one."""
        grids = zip(self.stages, self.sources[1:], strict=True)
        return next((grid.side**2 for stage, grid in grids if stage.of_tokens), 0)

    @property
    def params(self) -> int:
        """Trainable parameters of the whole network."""
        width, packed = self.sources[-1].width, self.attention == "packed"
        stages = sum(stage.params(source, packed) for stage, source in self.walk())
        norm = 2 * width if self.ends_in_tokens else 0
        head = linear_params(self.hidden or width, self.head_outputs, 0)
        if self.question:
            values = self.sources[-1].places * width
            head += sum(linear_params(inputs, self.hidden, 0) for inputs in (values, self.question))
        first = stem_params(self.stem, self.channels) + table_params(self)
        return first + stages + norm + head

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference; norms, softmax and adds are not counted."""
        packed = self.attention == "packed"
        stages = sum(stage.macs(source, packed) for stage, source in self.walk())
        first = stem_macs(self.stem, self.channels, self.image_size)
        first += self.image_size**2 * table_macs(self)
        last = self.sources[-1]
        head = (self.hidden or last.width) * self.head_outputs * (last.places if self.dense else 1)
        head += self.hidden * (last.places * last.width + self.question)
        return first + stages + head

    # ---- construction and JSON -----------------------------------------------------------------

    def replace(self, **changes: Any) -> StagedConfig:
        """A copy with some attributes changed, validated."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """JSON text with one key per attribute, in the order of the class."""
        tree = self.tree()
        stages = zip(self.stages, tree["stages"], strict=True)
        tree["stages"] = [{"blocks": stage.blocks, **fields} for stage, fields in stages]
        return json.dumps(tree, indent=2) + "\n"

    def tree(self) -> dict[str, Any]:
        """Its attributes as plain data, without those that were added later and are not used, so
        that checkpoints are what they were."""
        tree = without_unused(dataclasses.asdict(self), type(self))
        stages = zip(self.stages, tree["stages"], strict=True)
        return {**tree, "stages": tuple(without_unused(f, type(s)) for s, f in stages)}

    @classmethod
    def from_json(cls, text: str) -> StagedConfig:
        """Parses what `to_json` wrote. Keys that are left out take their defaults.

        Raises:
          ArchError: not JSON, a key nobody knows, or a wrong value.
        """
        try:
            data = parse_json(text)
        except ValueError as error:
            raise ArchError(f"ArchConfig: {error}") from error
        fields = known_fields("ArchConfig", data, cls)
        for key in ("stem", "stages"):
            if not isinstance(fields.get(key, []), list):
                fail(key, fields[key], "a list")
        fields["stem"] = parse_stem(fields.get("stem", []))
        fields["stages"] = tuple(
            _parse_stage(f"stages[{i}]", item) for i, item in enumerate(fields.get("stages", []))
        )
        if isinstance(fields.get("norm_epsilon"), int):
            fields["norm_epsilon"] = float(fields["norm_epsilon"])
        return cls(**fields)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON; the file appears whole or not at all."""
        write_atomic(path, self.to_json().encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> StagedConfig:
        """Reads a JSON file; errors name it."""
        return load_json(path, cls.from_json)


Architecture = ArchConfig | StagedConfig


def _parse_stage(field: str, item: object) -> Stage:
    where = f"ArchConfig.{field}"
    if not isinstance(item, dict):
        raise ArchError(f"{where}: got {item!r}, expected a JSON object")
    kind = item.get("blocks")
    check_choice(f"{field}.blocks", kind, (*CONV_BLOCKS, ATTENTION_BLOCKS))
    for key in ("heads", "mlp_ratio", "ranks", "weight_bits"):
        if key in item and not isinstance(item[key], list):
            fail(f"{field}.{key}", item[key], "a list")
    item = {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}
    if kind in CONV_BLOCKS:
        stage: ConvStage = parse_item(where, item, ConvStage)
        return stage
    rest = {key: value for key, value in item.items() if key != "blocks"}
    if "ranks" in rest:
        rest["ranks"] = tuple(
            parse_item(f"{where}.ranks[{i}]", each, BlockRanks)
            for i, each in enumerate(rest["ranks"])
        )
    attention: AttentionStage = parse_item(where, rest, AttentionStage)
    return attention


def is_staged_json(text: str) -> bool:
    """Whether an arch.json has stages."""
    try:
        tree = parse_json(text)
    except ValueError:
        return False
    return isinstance(tree, dict) and "stages" in tree
