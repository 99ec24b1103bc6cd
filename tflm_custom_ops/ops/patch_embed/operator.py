# SPDX-License-Identifier: Apache-2.0
"""The patch embedding."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from tflm_custom_ops.ops import cost
from tflm_custom_ops.ops import work as pieces
from tflm_custom_ops.ops.base import DeclaredTensor, FusedOperator, Params, Schedule, Streaming
from tflm_custom_ops.ops.parts import Projection, residual_dtype
from tflm_custom_ops.ops.patch_embed.params import PatchEmbed
from tflm_custom_ops.ops.patch_embed.reference import run_patch_embed
from tflm_custom_ops.ops.schema.limits import MAX_EXPANSION
from tflm_custom_ops.ops.scratch import ROW_GROUP, expanded_inputs, expansion, row_capacity, wide
from tflm_custom_ops.ops.streams import Stream, of_layer, tiles
from tflm_custom_ops.ops.weightless import linear, zeros
from tflm_custom_ops.ops.work import LayerShape, Store, Term, Work

PART_INPUTS = (192, 96, *cost.SMALL_EXPANSIONS)  # patches are wider than a block's layers


class PatchEmbedOperator(FusedOperator[PatchEmbed]):
    """Patches of an image -> tokens, with class token and position rows."""

    KIND: ClassVar[int] = 1
    NAME: ClassVar[str] = "patch_embed"
    CODE: ClassVar[str] = "VitPatchEmbed"
    PARAMS: ClassVar[type[Params]] = PatchEmbed
    INPUTS: ClassVar[tuple[DeclaredTensor, ...]] = (
        DeclaredTensor(
            (
                "channels if planes else image_height",
                "image_height if planes else image_width",
                "image_width if planes else channels",
            ),
            zero_point="input_zero_point",
        ),
    )
    OUTPUT: ClassVar[DeclaredTensor] = DeclaredTensor(("tokens", "embed_dim"), "output_bits")
    WRITES_STREAM: ClassVar[bool] = True
    STREAMS: ClassVar[bool] = True
    TFLM_STANDARD: ClassVar[bool] = False  # takes strips, keeps state between them
    C_X: ClassVar[str] = "const int8_t*"
    C_NOTE: ClassVar[str] = (
        "Patch embedding, whole image [image_height][image_width][channels] at once, or with\n"
        "`planes` [channels][image_height][image_width]. Tokens are\n"
        "written strip by strip (one strip = one row of patches), a strip's tokens only after its\n"
        "last pixel was read except as vit_patch_embed_strip() says, so that tokens may overlap\n"
        "consumed image rows."
    )
    C_MORE: ClassVar[tuple[str, ...]] = (
        "// The same in pieces. _begin writes the class token, if any. _strip embeds patch row",
        "// `strip` (0 .. grid_height - 1): `rows` points at the first image row of that strip",
        "// that lies inside the image, row max(0, strip * stride_y - pad_top), and holds the",
        "// strip's rows up to the image's end. With `planes` it is that row of the first plane in",
        "// the whole image.",
        "void vit_patch_embed_begin(const VitPatchEmbedParams* params, void* tokens);",
        "void vit_patch_embed_strip(const VitPatchEmbedParams* params, int32_t strip,",
        "                           const int8_t* rows, void* tokens, void* scratch);",
    )

    def reference(self, x: ArrayLike) -> NDArray[Any]:
        """y ``[tokens, embed_dim]`` of ``output_bits``."""
        return run_patch_embed(self.params, x)

    @property
    def scratch_bytes(self) -> int:
        """Wide rows of a tile of patches, and expanded weights."""
        p = self.params
        rows = row_capacity(min(p.patch_tile, p.grid_width))
        return wide(rows, p.linear.in_features) + expansion(p.linear.in_features, p.expanded_inputs)

    def schedules(self) -> Iterator[PatchEmbed]:
        """Tiles of a strip's patches, weights whole or in parts."""
        p = self.params
        parts = [n for n in PART_INPUTS if n < p.linear.in_features]
        for tile in cost.token_tiles(p.grid_width):
            for inputs in (MAX_EXPANSION, *parts):
                yield dataclasses.replace(p, patch_tile=tile, expanded_inputs=inputs)

    def default_schedule(self) -> PatchEmbed:
        """A small tile."""
        return dataclasses.replace(self.params, patch_tile=4, expanded_inputs=192)

    @property
    def has_good_tile(self) -> bool:
        """Any tile; weights in parts that cost little more."""
        return cost.is_good_expansion(self)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Rows of a tile of patches."""
        p = self.params
        rows = row_capacity(min(p.patch_tile, p.grid_width))
        times = p.grid_height * tiles(p.grid_width, p.patch_tile)
        return tuple(of_layer(0, rows, Projection(p.linear), times))

    @property
    def work(self) -> Work:
        """Strips of tiles of patches."""
        p, found = self.params, Work()
        inputs, tile = p.linear.in_features, min(p.patch_tile, p.grid_width)
        expanded = expanded_inputs(expansion(inputs, p.expanded_inputs))
        found[Term.STRIP] += p.grid_height
        for rows, times in pieces.parts(p.grid_width, tile):
            count = p.grid_height * times
            found[Term.TILE_PATCHES] += count
            pieces.add_padding(found, rows, inputs, count)
            shape = LayerShape.of(p.linear)
            pieces.add_layer(found, shape, rows, self._store, expanded, count)
        for strip in range(p.grid_height):
            for column in range(0, p.grid_width, tile):
                self._add_gathering(found, strip, column, min(tile, p.grid_width - column))
        return found

    @property
    def _store(self) -> Store:
        p = self.params
        if p.pos is None:
            return Store.INT8 if p.output_bits == 8 else Store.INT16
        return Store.RESIDUAL_8 if p.output_bits == 8 else Store.RESIDUAL_8_16

    def _add_gathering(self, work: Work, strip: int, column: int, rows: int) -> None:
        """Runs of pixels, or element by element where a patch leaves the image."""
        p = self.params
        top, left = strip * p.stride_y - p.pad_top, column * p.stride_x - p.pad_left
        right = left + (rows - 1) * p.stride_x + p.patch_width
        planes, pixel = (p.channels, 1) if p.planes else (1, p.channels)
        run = p.patch_width * pixel
        is_inside = top >= 0 and top + p.patch_height <= p.image_height
        if is_inside and left >= 0 and right <= p.image_width and run % 2 == 0:
            work[Term.GATHER_RUN] += planes * p.patch_height
            pieces.add_widening(work, rows, run, planes * p.patch_height)
            return
        lines = min(p.image_height, top + p.patch_height) - max(0, top)
        pixels = 0
        for begin in range(left, left + rows * p.stride_x, p.stride_x):
            columns = min(p.image_width, begin + p.patch_width) - max(0, begin)
            pixels += max(0, columns) * max(0, lines) * p.channels
        work[Term.GATHER_PATCH] += rows
        work[Term.GATHER_PLANE] += rows * planes
        work[Term.GATHER_ROW] += rows * planes * p.patch_height
        work[Term.GATHER] += pixels
        work[Term.GATHER_FILL] += rows * planes * p.patch_height * run - pixels

    @property
    def schedule_text(self) -> str:
        """E.g. "4 patches"."""
        return f"{self.params.patch_tile} patches{cost.parts_text(self.params.expanded_inputs)}"

    @property
    def schedule_cost(self) -> Schedule:
        """Weights are read once per tile of a strip."""
        p = self.params
        traffic = cost.weight_traffic(Projection(p.linear), p.grid_width, p.patch_tile)
        return Schedule(p.grid_height * traffic, self.work.instructions)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all patches."""
        return self.params.patches * int(self.params.linear.weights.size)

    @property
    def reads_planes(self) -> bool:
        """As the parameters say."""
        return self.params.planes

    @property
    def streaming(self) -> Streaming | None:
        """The image's rows of patches, one after the other; None for planes, of which a row of
        patches needs all but the end."""
        p = self.params
        if p.planes:
            return None
        tops = [s * p.stride_y - p.pad_top for s in range(p.grid_height)]
        starts = tuple(max(0, top) for top in tops)
        ends = tuple(min(p.image_height, top + p.patch_height) for top in tops)
        rows = min(p.patch_height, p.image_height)
        return Streaming((p.image_height, p.image_width, p.channels), rows, starts, ends)

    @property
    def overwrite_margin(self) -> int:
        """How far before the image, at least, the tokens must begin for ``vit_patch_embed`` to
        write them over the consumed image: ``image address - token address`` in bytes, >= 0.

        The tokens of a tile of patches are written once those were read, and from then on only
        pixels from the next patch's first one on are read again. Hence the end of the tokens
        written so far must not pass the first pixel that is still to be read. Tiles of ROW_GROUP
        patches ask for the most: the places between larger tiles are among theirs. So the margin
        depends on no schedule.
        """
        op = self.params
        token_bytes = op.embed_dim * op.output_bits // 8
        first_patch = 0 if op.cls is None else 1
        margin = token_bytes * first_patch  # the class token is written before anything is read
        for strip in range(op.grid_height):
            for column in range(0, op.grid_width, ROW_GROUP):
                done = min(column + ROW_GROUP, op.grid_width)
                end = (first_patch + strip * op.grid_width + done) * token_bytes
                # What is still to be read: the rest of this strip, and the next strips.
                still = []
                if done < op.grid_width:
                    still.append(self._first_pixel(strip, done))
                if strip + 1 < op.grid_height:
                    still.append(self._first_pixel(strip + 1, 0))
                if still:
                    margin = max(margin, end - min(still))
        return margin

    def _first_pixel(self, strip: int, column: int) -> int:
        """Byte of the first pixel read by the patches from (strip, column) on in the strip."""
        op = self.params
        pixel = 1 if op.planes else op.channels  # of the first plane
        row = max(0, strip * op.stride_y - op.pad_top)
        return (row * op.image_width + max(0, column * op.stride_x - op.pad_left)) * pixel


def weightless(
    image: tuple[int, int],
    patch: int,
    grid: int,
    embed_dim: int,
    *,
    bits: int = 8,
    padding: int = 0,
    class_token: bool = False,
    stride: int = 0,
    position: bool = True,
) -> PatchEmbed:
    """One of these sizes without weights, to be planned but not run.

    Args:
      image: side and channels of the square image.
      patch, grid: side of a patch in pixels, of the grid in patches.
      padding: pixels before the first one.
      stride: from one patch to the next; 0: the side of a patch.
      position: with positions.
    """
    side, channels = image
    cls = zeros(residual_dtype(bits).__name__, embed_dim) if class_token else None
    return PatchEmbed(
        *(side, side, channels, patch, patch, stride or patch, stride or patch),
        *(padding, padding, grid, grid),
        embed_dim=embed_dim,
        input_zero_point=0,
        output_bits=bits,
        cls=cls,
        pos=zeros("int8", grid * grid, embed_dim) if position else None,
        pos_zero_point=0,
        pos_multiplier=1 << 30 if position else 0,
        pos_shift=2 if position else 0,
        linear=linear(patch * patch * channels, embed_dim),
    )
