# SPDX-License-Identifier: Apache-2.0
"""Random small architectures: what a search could propose, and sizes that no kernel likes.

Drawn with ``RandomState``, whose numbers NumPy has promised never to change (NEP 19), so that a
seed names the same network for ever.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_models.arch import ACTIVATIONS, ArchConfig, BlockRanks, StemLayer

RandomState = np.random.RandomState

_STEM_ACTIVATIONS = ("relu", "gelu", "none")
_MAX_TOKENS = 50


@dataclasses.dataclass(frozen=True)
class RandomForm:
    """A random network and the form it takes.

    Attributes:
      seed: of everything about it.
      arch: its architecture.
      residual_bits: 8 or 16.
      streamed: whether the image is pushed row by row.
    """

    seed: int
    arch: ArchConfig
    residual_bits: int
    streamed: bool

    def describe(self) -> str:
        """One line for people."""
        a = self.arch
        blocks = " ".join(f"{h}h{a.hidden_dim(i)}" for i, h in enumerate(a.heads))
        stem = "".join(f"{s.kernel}x{s.channels}/{s.stride} " for s in a.stem)
        ranks = " ".join("-".join(map(str, dataclasses.astuple(r))) for r in a.ranks)
        return (
            f"{a.image_size}x{a.image_size}x{a.channels}, {f'stem {stem}' if stem else ''}"
            f"patch {a.patch_size}+{a.patch_padding}, {a.tokens} tokens x {a.embed_dim}, head_dim "
            f"{a.head_dim}, blocks {blocks}, {f'ranks {ranks}, ' if ranks else ''}{a.attention}, "
            f"{a.activation}, {a.pool}, {a.num_classes} classes, residual {self.residual_bits}"
            f"{', streamed' if self.streamed else ''}"
        )


def _pick(rng: RandomState, *values: int) -> int:
    return values[rng.randint(len(values))]


def _stem(rng: RandomState, side: int) -> tuple[StemLayer, ...]:
    layers = []
    for _ in range(rng.randint(1, 3)):
        stride = 2 if side % 2 == 0 and side > 4 and rng.rand() < 0.6 else 1
        activation = _STEM_ACTIVATIONS[rng.randint(len(_STEM_ACTIVATIONS))]
        layers.append(StemLayer(_pick(rng, 1, 3, 5), stride, int(rng.randint(2, 18)), activation))
        side //= stride
    return tuple(layers)


def _rank(rng: RandomState, limit: int) -> int:
    """0 (dense), or a rank up to the limit."""
    return int(rng.randint(1, limit + 1)) if rng.rand() < 0.6 else 0


def _block_ranks(rng: RandomState, dim: int, inner: int, hidden: int) -> BlockRanks:
    narrow, wide = min(dim, inner), min(dim, hidden)
    return BlockRanks(*(_rank(rng, limit) for limit in (narrow, narrow, wide, wide)))


def _patches(rng: RandomState, side: int) -> tuple[int, int]:
    """Patch size and padding that divide the side, mostly without padding where that exists."""
    choices = [
        (patch, pad)
        for patch in range(1, min(side, 9) + 1)
        for pad in range(patch)
        if (side + 2 * pad) % patch == 0 and ((side + 2 * pad) // patch) ** 2 <= _MAX_TOKENS
    ]
    bare = [choice for choice in choices if choice[1] == 0]
    if bare and rng.rand() < 0.7:
        choices = bare
    return choices[rng.randint(len(choices))]


def random_form(seed: int) -> RandomForm:
    """The network of a seed; about one in five has a stem, one in three low ranks."""
    rng = RandomState(seed)
    side = int(rng.randint(5, 25))
    stem = _stem(rng, side) if rng.rand() < 0.2 else ()
    inner_side = side
    for layer in stem:
        inner_side //= layer.stride
    patch, padding = _patches(rng, inner_side)
    depth, dim, head_dim = rng.randint(1, 4), int(rng.randint(4, 65)), int(rng.randint(1, 33))
    heads = tuple(int(rng.randint(1, 5)) for _ in range(depth))
    hidden = tuple(int(rng.randint(4, 3 * dim)) for _ in range(depth))
    ranks: tuple[BlockRanks, ...] = ()
    if rng.rand() < 0.35:
        ranks = tuple(
            _block_ranks(rng, dim, h * head_dim, width)
            for h, width in zip(heads, hidden, strict=True)
        )
    arch = ArchConfig(
        name=f"random_{seed:03d}",
        image_size=side,
        channels=_pick(rng, 1, 2, 3),
        num_classes=int(rng.randint(2, 20)),
        patch_size=patch,
        patch_padding=padding,
        stem=stem,
        embed_dim=dim,
        heads=heads,
        mlp_ratio=tuple(width / dim for width in hidden),
        head_dim=head_dim,
        ranks=ranks,
        pool="cls" if rng.rand() < 0.4 else "mean",
        activation=ACTIVATIONS[rng.randint(len(ACTIVATIONS))],
        attention="packed" if rng.rand() < 0.6 else "separate",
    )
    streamed = bool(rng.rand() < 0.5) and not stem and patch < side
    return RandomForm(seed, arch, _pick(rng, 8, 16), streamed)
