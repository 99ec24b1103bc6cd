# SPDX-License-Identifier: Apache-2.0
"""The supernet of a space of stages: convolutions, ways down, windows, beside the shared blocks.

Kinds of blocks have weights of their own; within a kind leading channels are shared. A form (kinds
and windows of the stages) is compiled apart.

Batch normalization of convolution blocks: the statistics of a channel depend on the sub-network
before it, so that there are none to keep. Training uses those of the batch; a sub-network that is
evaluated or extracted has its own, measured on calibration images (`statistics`), as one-shot
search does (Guo et al., ECCV 2020; BigNAS, Yu et al., ECCV 2020). The stem has no choices and keeps
moving averages.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_models.parts import Places
from keras_models.stages import ATTENTION_BLOCKS, KERNEL, Convolution, ConvStage
from nas.space import SpaceError
from nas.space.any_space import AnySubnet, expect_stages
from nas.space.stage_dimensions import LEFT_OUT
from nas.space.stage_space import StageSpace
from nas.space.staged_space import Form, StagedSpace
from nas.supernet.conv_blocks import ConvBlock, Statistics
from nas.supernet.masks import Masks, stage_masks
from nas.supernet.shared import BlockMasks, BlockSizes, Floats, Positions, SharedWeights
from nas.supernet.stage_widths import stage_widths


@dataclasses.dataclass(frozen=True)
class _Step:
    """How the batch normalizations of one call get their statistics.

    Attributes:
      given: of a sub-network; None: those of the batch.
      found: of the batch, padded to the whole width.
    """

    given: Statistics | None
    found: Statistics = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Place:
    """A stage in its supernet.

    Attributes:
      number: of the stage.
      side: of its grid.
      source_side: of its input's grid.
      source, width: channels of its input and of itself, at most.
      source_mask, mask: names of masks; "" where all channels are used.
    """

    number: int
    space: StageSpace
    source_side: int
    source: int
    width: int
    source_mask: str
    mask: str

    @property
    def name(self) -> str:
        return f"stage{self.number}"

    @property
    def side(self) -> int:
        return self.source_side // self.space.stride


class StagedSupernet(SharedWeights):
    """All networks of a space of stages.

    Args:
      space: the space.
      seed: of the first weights.
      synchronized: batch normalization of the stem uses the batch of all replicas.

    Raises:
      SpaceError: a stage of residual blocks may need a shortcut or not, depending on its width; a
        stage that may be left out decides how many positions later ones have, or how wide their
        weights are.
    """

    def __init__(self, space: StagedSpace, seed: int = 0, synchronized: bool = False) -> None:
        super().__init__(space, space.activation, space.norm_epsilon, seed, synchronized)
        self.widths = stage_widths(space)
        self.places = tuple(self._places())
        self.stem = self._stem_layers(space.stem, "")
        before = {space.first_grid.width}
        for place in self.places:
            own = place.space
            self._check_optional(place)
            # With a width that the stage before may have, too, a shortcut is a convolution or not.
            if "residual" in own.blocks and own.stride == 1 and before & set(own.width):
                raise SpaceError(
                    f"{space.name}: stage {place.number} of residual blocks has stride 1 and "
                    f"widths of its own, expected a stride, the width before it, or none of "
                    f"{', '.join(map(str, sorted(before & set(own.width))))}"
                )
            before = (before if own.optional else set()) | set(own.width) or before

    def _check_optional(self, place: _Place) -> None:
        """Networks with and without a stage share the weights of the later ones."""
        own, where = place.space, f"{self.space.name}: stage {place.number} may be left out"
        if own.optional and place.width < place.source:
            raise SpaceError(
                f"{where} and has at most {place.width} channels, expected at least the "
                f"{place.source} before it"
            )
        later = self.space.stages[place.number + 1 :]
        if own.optional and own.stride > 1 and any(s.position or s.bias for s in later):
            raise SpaceError(
                f"{where} and has stride {own.stride}, expected no position and no bias in the "
                f"stages behind it, whose grid it decides"
            )

    def _places(self, form: Form | None = None) -> Iterator[_Place]:
        """All stages, with their grids in networks of such a form; of all stages without one."""
        grid, mask = self.space.first_grid, ""
        source = grid.width
        side = grid.side
        for i, stage in enumerate(self.space.stages):
            own = f"stage{i}/dim" if stage.width else mask
            width = max(stage.width, default=source)
            yield _Place(i, stage, side, source, width, mask, own)
            if form is None or form[i][0] != LEFT_OUT:
                side //= stage.stride
            source, mask = width, own

    @property
    def needs_statistics(self) -> bool:
        return any(self._normalized())

    # ---- weights -------------------------------------------------------------------------------

    def _convolutions(
        self, place: _Place, kind: str
    ) -> Iterator[tuple[str, tuple[Convolution, ...]]]:
        """Of each block of a kind, at their widest."""
        stage = ConvStage(kind, place.width, max(place.space.depth), place.space.stride)
        source = dataclasses.replace(
            self.space.first_grid, side=place.source_side, width=place.source
        )
        for block, layers in enumerate(stage.convolutions(source)):
            yield f"{place.name}_{kind}_block{block}", layers

    def _kinds(self, place: _Place) -> list[str]:
        return [kind for kind in place.space.blocks if kind != ATTENTION_BLOCKS]

    def _normalized(self) -> Iterator[tuple[str, int]]:
        """Name and channels of each batch normalization that has no moving averages."""
        for place in self.places:
            for kind in self._kinds(place):
                for name, layers in self._convolutions(place, kind):
                    for layer in layers:
                        yield f"{name}_{layer.name}", layer.outputs

    def block_sizes(self, place: _Place) -> BlockSizes:
        """Of a stage's blocks of attention."""
        w = self.widths[place.number]
        return BlockSizes(place.width, w.heads, place.space.head_dim, w.hidden)

    def positions(self, place: _Place, window: int, block: int = 0) -> Positions:
        """What a block makes of the places of its tokens."""
        space = place.space
        shift = window // 2 if space.shift and window and block % 2 else 0
        places = Places(
            place.side, 0, window, shift, bias=space.bias, relative=space.relative_position
        )
        largest = max((each or place.side for each in space.window or (0,)), default=0)
        return Positions(places, largest if space.bias else 0)

    def build(self, input_shape: Any = None) -> None:
        """Makes all weights, whatever the first call uses."""
        side, channels = self.space.image_size, self.space.channels
        for layer in self.stem:
            layer.build((None, side, side, channels))
            side, channels = layer.compute_output_shape((None, side, side, channels))[2:]
        for place in self.places:
            for kind in self._kinds(place):
                for name, layers in self._convolutions(place, kind):
                    for layer in layers:
                        self._add_convolution(f"{name}_{layer.name}", layer)
            if ATTENTION_BLOCKS in place.space.blocks:
                self._add_attention(place)
        width = self.places[-1].width
        if self._ends_in_tokens:
            self._add_norm("norm", width)
        self._add_linear("head", width, self.space.num_classes, 0)
        self.built = True

    @property
    def _ends_in_tokens(self) -> bool:
        return ATTENTION_BLOCKS in self.space.stages[-1].blocks

    def _kernel(self, name: str, *shape: int) -> Floats:
        """He normal, as the plain model's."""
        fan_in = int(np.prod(shape[:-1]))
        return self._normal(name, *shape, stddev=float(np.sqrt(2.0 / fan_in)))

    def _add_convolution(self, name: str, layer: Convolution) -> None:
        size = (layer.kernel, layer.kernel)
        if layer.depthwise:
            stddev = float(np.sqrt(2.0 / layer.kernel**2))
            kernel = self._normal(name, *size, layer.outputs, 1, stddev=stddev)
        else:
            kernel = self._kernel(name, *size, layer.inputs, layer.outputs)
        self._add(f"{name}_conv/kernel", kernel)
        self._add(f"{name}_bn/gamma", np.ones(layer.outputs))
        self._add(f"{name}_bn/beta", np.zeros(layer.outputs))

    def _add_attention(self, place: _Place) -> None:
        name, space = place.name, place.space
        merged = space.stride**2 * place.source
        if space.down == "merge":
            self._add_norm(f"{name}_norm", merged)
            self._add(f"{name}_down/kernel", self._glorot(f"{name}_down", merged, place.width))
        elif space.down != "none":
            side = KERNEL if space.down == "conv" else space.stride
            kernel = self._glorot(f"{name}_down", side * side * place.source, place.width)
            shape = (side, side, place.source, place.width)
            self._add(f"{name}_down/kernel", kernel.reshape(shape))
            self._add(f"{name}_down/bias", np.zeros(place.width))
        if space.norm:
            self._add_norm(f"{name}_tokens_norm", place.width)
        if space.position:
            position = self._normal(f"{name}_embedding", place.side**2, place.width)
            self._add(f"{name}_embedding/position", position)
        for b in range(max(space.depth)):
            sizes, positions = self.block_sizes(place), self.positions(place, 0)
            self._add_block(f"{name}_block{b}", sizes, positions)

    # ---- computation ---------------------------------------------------------------------------

    def call(
        self,
        images: Any,
        masks: Masks,
        form: Form,
        training: bool = False,
        statistics: Statistics | None = None,
    ) -> Any:
        """Logits (batch, classes) of the sub-network that `masks` select.

        Args:
          images: (batch, size, size, channels) in [-1, 1].
          masks: of `masks`, one sub-network; its form must be `form`.
          form: static, decides what is computed.
          statistics: of the sub-network's batch normalizations; None: those of the batch.
        """
        return self._run(images, masks, form, training, _Step(statistics or None))

    def statistics(self, images: Any, masks: Masks, form: Form) -> Statistics:
        """Mean and variance of the sub-network's batch normalizations, [2, channels], zeros behind
        its channels. Each is measured behind the batch's own ones."""
        step = _Step(None)
        self._run(images, masks, form, False, step)
        return {
            name: step.found.get(name, ops.zeros((2, width))) for name, width in self._normalized()
        }

    def _run(self, images: Any, masks: Masks, form: Form, training: bool, step: _Step) -> Any:
        x = images
        for layer in self.stem:
            batch_norm = isinstance(layer, keras.layers.BatchNormalization)
            x = layer(x, training=training) if batch_norm else layer(x)
        for place, (kind, window) in zip(self._places(form), form, strict=True):
            if kind == LEFT_OUT:
                x = self.select.widened(x, place.width - place.source)
            elif kind == ATTENTION_BLOCKS:
                x = self._attention_stage(x, place, masks, window)
            else:
                x = self._conv_stage(x, place, masks, kind, step)
        mask = self._mask(masks, self.places[-1].mask)
        if len(x.shape) == 4:
            x = ops.mean(x, axis=(1, 2))
        else:
            x = ops.mean(self._norm(x, "norm", mask), axis=1)
        head = self.select.lead(self.table["head/kernel"], mask, None)
        return ops.matmul(x, head) + self.table["head/bias"]

    @staticmethod
    def _mask(masks: Masks, name: str) -> Any:
        return masks[name] if name else None

    @staticmethod
    def _gate(masks: Masks, place: _Place, block: int) -> Any:
        """Whether a sub-network has a block; None where all have."""
        return masks[f"{place.name}/gate"][block] if block >= min(place.space.depths) else None

    @staticmethod
    def _four_bits(masks: Masks, place: _Place, block: int) -> Any:
        """Whether a block's weights have 4 bits; None where no block of the stage may."""
        has_4 = 4 in place.space.weight_bits
        return masks[f"{place.name}/four_bits"][block] if has_4 else None

    # ---- convolutions --------------------------------------------------------------------------

    def _conv_stage(self, x: Any, place: _Place, masks: Masks, kind: str, step: _Step) -> Any:
        source, mask = (self._mask(masks, name) for name in (place.source_mask, place.mask))
        for block, (name, layers) in enumerate(self._convolutions(place, kind)):
            given = (source if block == 0 else mask, mask)
            bits = self._four_bits(masks, place, block)
            run = ConvBlock(self.select, self.table, name, layers, given, step.given, bits)
            taken, left = functools.partial(run, x), functools.partial(run.left_out, x)
            x, *found = self.select.either(self._gate(masks, place, block), taken, left)
            step.found.update(zip(run.names, found, strict=True))
        return x

    # ---- attention -----------------------------------------------------------------------------

    def _attention_stage(self, x: Any, place: _Place, masks: Masks, window: int) -> Any:
        x = self._tokens(x, place, masks)
        mask, sizes = self._mask(masks, place.mask), self.block_sizes(place)
        for b in range(max(place.space.depth)):
            positions = self.positions(place, window, b)
            heads, hidden = (masks[f"{place.name}/{part}"][b] for part in ("heads", "hidden"))
            own = BlockMasks(mask, heads, hidden, four_bits=self._four_bits(masks, place, b))
            name = f"{place.name}_block{b}"

            def block(
                x: Any, name: str = name, own: BlockMasks = own, positions: Positions = positions
            ) -> Any:
                return self._block(x, name, sizes, own, positions)

            x = self.select.block(x, self._gate(masks, place, b), block)
        return x

    def _tokens(self, x: Any, place: _Place, masks: Masks) -> Any:
        """(batch, tokens, width) of the stage's grid."""
        name, space, lead = place.name, place.space, self.select.lead
        source, mask = (self._mask(masks, each) for each in (place.source_mask, place.mask))
        if space.down == "merge":
            x = self._merged(x, place, source, mask)
        elif space.down != "none":
            x = self._map(x, place, source)
            kernel = lead(self.table[f"{name}_down/kernel"], None, None, source, mask)
            padding = "same" if space.down == "conv" else "valid"
            x = ops.conv(x, kernel, strides=space.stride, padding=padding)
            x = x + lead(self.table[f"{name}_down/bias"], mask)
            x = self.select.keep(x, mask)
        x = ops.reshape(x, (-1, place.side**2, self.select.size(mask, place.width)))
        if space.norm:
            x = self._norm(x, f"{name}_tokens_norm", mask)
        if space.position:
            x = x + self.select.keep(
                lead(self.table[f"{name}_embedding/position"], None, mask), mask
            )
        return x

    def _map(self, x: Any, place: _Place, source: Any) -> Any:
        """Tokens as the pixels that they are."""
        if len(x.shape) == 4:
            return x
        width = self.select.size(source, place.source)
        return ops.reshape(x, (-1, place.source_side, place.source_side, width))

    def _merged(self, x: Any, place: _Place, source: Any, mask: Any) -> Any:
        """Channels of neighbours side by side, normed, through a linear layer."""
        stride, side = place.space.stride, place.side
        width, parts = self.select.size(source, place.source), stride**2
        x = ops.reshape(x, (-1, side, stride, side, stride * width))
        x = ops.transpose(x, (0, 1, 3, 2, 4))
        x = self._norm(
            ops.reshape(x, (-1, side * side, parts * width)), f"{place.name}_norm", source, parts
        )
        kernel = ops.reshape(self.table[f"{place.name}_down/kernel"], (parts, place.source, -1))
        kernel = self.select.lead(kernel, None, source, mask)
        out = self.select.size(mask, place.width)
        x = ops.matmul(x, ops.reshape(kernel, (parts * width, out)))
        return self.select.keep(x, mask)

    # ---- sub-networks --------------------------------------------------------------------------

    def masks(self, config: AnySubnet) -> Masks:
        self.space.check(config)
        return stage_masks(self.space, self.widths, expect_stages(config))
