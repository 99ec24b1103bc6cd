# SPDX-License-Identifier: Apache-2.0
"""Vision Transformers of timm, torchvision and AutoFormer as `ArchConfig` and weights.

A library names its weights, so that names say the layout and shapes say most of the architecture.
What neither says is asked for (`Told`): heads, and how bytes of an image became what the network
was trained on, which is folded into the patch embedding. A weight that nothing here takes is an
error: the network would not be the one that was trained.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from keras_models.arch import ArchConfig
from keras_models.checkpoints.tensors import CheckpointFormatError, Tensors
from keras_models.datasets.normalization import OWN, Normalization
from keras_models.parts import PATCHES

Floats = NDArray[np.float32]
IMAGENET = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


@dataclasses.dataclass(frozen=True)
class Told:
    """What a state dict does not say.

    Attributes:
      name: of the network.
      heads: of each block's attention.
      normalization: of its training; None for the layout's own, where there is one.
      pool: "cls", "patches" or "mean"; "" for what the weights show.
      activation: one of `ACTIVATIONS`.
      norm_epsilon: None for the layout's own.
      interleaved: whether AutoFormer's qkv has the rows of q, k and v in turn (--change_qkv).
    """

    name: str
    heads: int
    normalization: Normalization | None = None
    pool: str = ""
    activation: str = "gelu"
    norm_epsilon: float | None = None
    interleaved: bool = True


@dataclasses.dataclass(frozen=True)
class LibraryLayout:
    """Names of a library; `{}` is a block's number, and "" is for what it does not have."""

    library: str
    patch: str
    cls: str
    position: str
    block: str
    norm1: str
    qkv: str  # of .weight and .bias, or of _weight and _bias
    proj: str
    norm2: str
    fc1: str
    fc2: str
    norm: str
    head: str
    epsilon: float
    normalization: Normalization | None
    scales: tuple[str, str] = ("", "")  # LayerScale behind proj and fc2
    # Tables of relative keys and values: of row and of column distances.
    relative: tuple[tuple[str, str], ...] = ()


LAYOUTS = (
    LibraryLayout(
        "timm", "patch_embed.proj", "cls_token", "pos_embed", "blocks.{}.", "norm1", "attn.qkv.",
        "attn.proj", "norm2", "mlp.fc1", "mlp.fc2", "norm", "head", 1e-6, None,
        ("ls1.gamma", "ls2.gamma"),
    ),
    LibraryLayout(
        "torchvision", "conv_proj", "class_token", "encoder.pos_embedding",
        "encoder.layers.encoder_layer_{}.", "ln_1", "self_attention.in_proj_",
        "self_attention.out_proj", "ln_2", "mlp.0", "mlp.3", "encoder.ln", "heads.head", 1e-6,
        IMAGENET,
    ),
    LibraryLayout(
        "AutoFormer", "patch_embed_super.proj", "cls_token", "pos_embed", "blocks.{}.",
        "attn_layer_norm", "attn.qkv.", "attn.proj", "ffn_layer_norm", "fc1", "fc2", "norm", "head",
        1e-5, IMAGENET,
        relative=tuple(
            (f"attn.rel_pos_embed_{part}.embeddings_table_v",
             f"attn.rel_pos_embed_{part}.embeddings_table_h")
            for part in "kv"
        ),
    ),
)  # fmt: skip

# Before 0.14 torchvision's MLP had names where it has numbers.
_RENAMED = ((".mlp.linear_1.", ".mlp.0."), (".mlp.linear_2.", ".mlp.3."))

# Parts of a network that no ArchConfig has, by a piece of their names.
_FOREIGN = (
    ("rel_pos_embed", "relative position"),
    ("relative_position", "relative position"),
    ("dist_token", "a distillation token"),
    ("head_dist", "a distillation token"),
    ("reg_token", "register tokens"),
    ("fc_norm", "a norm behind the mean over the tokens"),
    ("q_norm", "norms of queries and keys"),
    ("attn_pool", "pooling by attention"),
    ("pre_logits", "a layer before the classifier"),
)


@dataclasses.dataclass
class _Source:
    """Tensors that are taken one after the other; each once."""

    tensors: Tensors
    taken: set[str] = dataclasses.field(default_factory=set)

    def has(self, name: str) -> bool:
        return bool(name) and name in self.tensors

    def shape(self, name: str) -> tuple[int, ...]:
        if name not in self.tensors:
            raise CheckpointFormatError(f"{name} is missing")
        return self.tensors[name].shape

    def take(self, name: str, shape: tuple[int, ...]) -> Floats:
        if self.shape(name) != shape:
            raise CheckpointFormatError(f"{name}: shape {self.shape(name)}, expected {shape}")
        self.taken.add(name)
        try:
            return self.tensors[name].numbers()
        except ValueError as error:
            raise CheckpointFormatError(f"{name}: {error}") from error

    def linear(self, name: str, inputs: int, outputs: int, separator: str = ".") -> list[Floats]:
        """Kernel (inputs, outputs) and bias; zeros where the layer has none."""
        kernel = self.take(f"{name}{separator}weight", (outputs, inputs)).T
        bias = f"{name}{separator}bias"
        return [kernel, self.take(bias, (outputs,)) if self.has(bias) else np.zeros(outputs, "f4")]

    def norm(self, name: str, width: int) -> list[Floats]:
        return [self.take(f"{name}.{part}", (width,)) for part in ("weight", "bias")]

    def expect_known(self, layout: LibraryLayout) -> None:
        """Refuses parts that no `ArchConfig` has, before anything is made of the others."""
        tables = [name for pair in layout.relative for name in pair]
        for piece, what in _FOREIGN:
            names = [n for n in self.tensors if piece in n and not n.endswith(tuple(tables))]
            if names:
                raise CheckpointFormatError(f"it has {what} ({names[0]}), which no ArchConfig has")

    def expect_empty(self) -> None:
        """Refuses a network with weights that nothing took."""
        left = [name for name in self.tensors if name not in self.taken]
        if left:
            names = ", ".join([*left[:3], "..."] if len(left) > 3 else left)
            raise CheckpointFormatError(f"unknown weights ({names})")


def imported(tensors: Tensors, told: Told) -> tuple[str, ArchConfig, list[Floats]]:
    """The library's name, the architecture, and weights in the order of `build_vit`'s model.

    Raises:
      CheckpointFormatError: not a Vision Transformer of one of the layouts, one with parts that no
        `ArchConfig` has, or something is not told; the message says what to give.
    """
    renamed = {_current(name): tensor for name, tensor in tensors.items()}
    layout = _layout_of(renamed)
    source = _Source(renamed)
    source.expect_known(layout)
    arch = _arch_of(source, layout, told)
    weights = _weights(source, layout, arch, told)
    source.expect_empty()
    return layout.library, arch, weights


def _current(name: str) -> str:
    for old, new in _RENAMED:
        name = name.replace(old, new)
    return name


def _layout_of(tensors: Tensors) -> LibraryLayout:
    for layout in LAYOUTS:
        if f"{layout.patch}.weight" in tensors:
            return layout
    wanted = ", ".join(f"{layout.patch}.weight of {layout.library}" for layout in LAYOUTS)
    raise CheckpointFormatError(f"no Vision Transformer in it: expected {wanted}")


def _arch_of(source: _Source, layout: LibraryLayout, told: Told) -> ArchConfig:
    """From the shapes, as far as they say it."""
    patch = source.shape(f"{layout.patch}.weight")
    if len(patch) != 4 or patch[2] != patch[3]:
        raise CheckpointFormatError(f"{layout.patch}.weight: {patch}, expected square patches")
    depth = 0
    while source.has(f"{layout.block.format(depth)}{layout.norm1}.weight"):
        depth += 1
    if not depth or not source.has(f"{layout.head}.weight"):
        missing = "blocks" if not depth else "classifier"
        raise CheckpointFormatError(f"no {missing} in it")
    blocks = [layout.block.format(block) for block in range(depth)]
    largest, head_dim = _relative(source, layout, told)
    heads = []
    for block in blocks:
        inner, rest = divmod(source.shape(f"{block}{layout.qkv}weight")[0], 3)
        count = told.heads if not head_dim else inner // head_dim
        if rest or not count or inner % count or (block == blocks[0] and count != told.heads):
            expected = f"{count} of {head_dim}" if head_dim else f"a divisor of {inner}"
            raise CheckpointFormatError(f"--heads={told.heads}: expected {expected}")
        heads.append(count)
        head_dim = head_dim or inner // count
    hidden = [source.shape(f"{block}{layout.fc1}.weight")[0] for block in blocks]
    width, grid = patch[0], _grid(source, layout)
    epsilon = layout.epsilon if told.norm_epsilon is None else told.norm_epsilon
    return ArchConfig(
        name=told.name,
        image_size=grid * patch[2],
        channels=patch[1],
        num_classes=source.shape(f"{layout.head}.weight")[0],
        patch_size=patch[2],
        embed_dim=width,
        heads=tuple(heads),
        head_dim=head_dim,
        mlp_ratio=tuple(each / width for each in hidden),
        pool=_pool(source, layout, told),
        activation=told.activation,
        norm_epsilon=epsilon,
        relative_position=largest,
    )


def _relative(source: _Source, layout: LibraryLayout, told: Told) -> tuple[int, int]:
    """Largest distance of the relative tables, and the width of a head; 0 and 0 without."""
    names = [f"{layout.block.format(0)}{name}" for pair in layout.relative for name in pair]
    if not any(source.has(name) for name in names):
        return 0, 0
    shape = source.shape(names[0])
    if len(shape) != 2 or shape[0] < 4 or shape[0] % 2:
        raise CheckpointFormatError(f"{names[0]}: shape {shape}, expected two entries a distance")
    return shape[0] // 2 - 1, shape[1]


def _grid(source: _Source, layout: LibraryLayout) -> int:
    """Patches along a side; the class token has a position of its own or none."""
    shape = source.shape(layout.position)
    tokens = shape[1] if len(shape) == 3 else 0
    for count in (tokens, tokens - 1) if source.has(layout.cls) else (tokens,):
        if count > 0 and math.isqrt(count) ** 2 == count:
            return math.isqrt(count)
    raise CheckpointFormatError(f"{layout.position}: shape {shape}, expected a square of patches")


def _pool(source: _Source, layout: LibraryLayout, told: Told) -> str:
    shown = "cls" if source.has(layout.cls) else "mean"
    if layout.library == "AutoFormer" and not told.pool:
        raise CheckpointFormatError(
            "AutoFormer's files do not say what the classifier sees: give --pool=patches if it was "
            "trained with the option gp, as those that were published, else --pool=cls"
        )
    if shown == "cls" and told.pool == PATCHES:
        return PATCHES
    if told.pool not in ("", shown):
        raise CheckpointFormatError(f"--pool={told.pool}: its weights show {shown}")
    return shown


def _weights(source: _Source, layout: LibraryLayout, arch: ArchConfig, told: Told) -> list[Floats]:
    width = arch.embed_dim
    out = _patches(source, layout, arch, told)
    if arch.class_token:
        out.append(source.take(layout.cls, (1, 1, width)))
    out.append(_position(source, layout, arch))
    for block in range(arch.depth):
        out += _block(source, layout, arch, block, told)
    out += source.norm(layout.norm, width)
    return out + source.linear(layout.head, width, arch.num_classes)


def _patches(source: _Source, layout: LibraryLayout, arch: ArchConfig, told: Told) -> list[Floats]:
    """Kernel and bias that take images in [-1, 1] as the project's networks do.

    The library's network sees v = (u - mean) / std of a byte u, this one x = u / 127.5 - 1, so that
    v = x own / std + (own - mean) / std with own = 127.5.
    """
    theirs = told.normalization or layout.normalization
    if theirs is None:
        raise CheckpointFormatError(
            f"{layout.library} does not store how images were normalized: give --mean and --std in "
            f"steps of a byte ({_shown(IMAGENET)} is ImageNet's, {_shown(OWN)} is -1 to 1)"
        )
    theirs.check_channels(arch.channels)
    mean, std = (
        np.broadcast_to(np.asarray(values, np.float64), arch.channels)
        for values in (theirs.mean, theirs.std)
    )
    shape = (arch.embed_dim, arch.channels, arch.patch_size, arch.patch_size)
    kernel = source.take(f"{layout.patch}.weight", shape).transpose(2, 3, 1, 0).astype(np.float64)
    bias = f"{layout.patch}.bias"
    shift = source.take(bias, (arch.embed_dim,)) if source.has(bias) else np.zeros(arch.embed_dim)
    own = np.float64(OWN.std[0])
    shift = shift + np.einsum("yxcd,c->d", kernel, (OWN.mean[0] - mean) / std)
    scaled = kernel * (own / std)[:, None]
    return [scaled.astype(np.float32), shift.astype(np.float32)]


def _shown(normalization: Normalization) -> str:
    mean, std = (
        ",".join(f"{value:g}" for value in values)
        for values in (normalization.mean, normalization.std)
    )
    return f"--mean={mean} --std={std}"


def _position(source: _Source, layout: LibraryLayout, arch: ArchConfig) -> Floats:
    """(1, tokens, width); without a position of the class token it gets zeros."""
    patches = arch.grid**2
    shape = source.shape(layout.position)
    found = source.take(layout.position, shape).reshape(1, -1, arch.embed_dim)
    if arch.class_token and found.shape[1] == patches:
        return np.concatenate([np.zeros((1, 1, arch.embed_dim), np.float32), found], axis=1)
    return found


def _block(
    source: _Source, layout: LibraryLayout, arch: ArchConfig, block: int, told: Told
) -> list[Floats]:
    start = layout.block.format(block)
    width, inner, hidden = arch.embed_dim, arch.inner_dim(block), arch.hidden_dim(block)
    qkv = source.linear(f"{start}{layout.qkv}"[:-1], width, 3 * inner, layout.qkv[-1])
    if layout.library == "AutoFormer" and told.interleaved:
        qkv = [np.concatenate([each[..., i::3] for i in range(3)], axis=-1) for each in qkv]
    proj = source.linear(f"{start}{layout.proj}", inner, width)
    fc2 = source.linear(f"{start}{layout.fc2}", hidden, width)
    scaled = []
    for name, layer in zip(layout.scales, (proj, fc2), strict=True):
        scale = np.ones(width, np.float32)
        if name and source.has(f"{start}{name}"):
            scale = source.take(f"{start}{name}", (width,))
        scaled.append([layer[0] * scale, layer[1] * scale])
    return [
        *source.norm(f"{start}{layout.norm1}", width),
        *qkv,
        *_tables(source, layout, arch, start),
        *scaled[0],
        *source.norm(f"{start}{layout.norm2}", width),
        *source.linear(f"{start}{layout.fc1}", width, hidden),
        *scaled[1],
    ]


def _tables(source: _Source, layout: LibraryLayout, arch: ArchConfig, start: str) -> list[Floats]:
    """Relative keys and values of a block, (2, entries, head_dim) each; none without."""
    if not arch.relative_position:
        return []
    shape = (2 * arch.relative_position + 2, arch.head_dim)
    return [
        np.stack([source.take(f"{start}{name}", shape) for name in pair])
        for pair in layout.relative
    ]
