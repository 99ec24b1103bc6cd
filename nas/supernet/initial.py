# SPDX-License-Identifier: Apache-2.0
"""Whether a supernet can start from a trained folder; asked before data and TensorFlow are loaded.

A folder of `nas.train_supernet` is a supernet of another space, one of `keras_models.train` is one
network; `nas.supernet.inherit` and `nas.supernet.init_dense` copy them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from typing import Any

from keras_models.arch import ArchConfig
from keras_models.load import expect_one_stage, trained_network
from keras_models.training.fit import digest_of
from nas.space import SearchSpace, SpaceError
from nas.space.any_space import Searchable, load_space
from nas.space.any_space import expect_one_stage as expect_one_stage_of
from nas.space.staged_space import StagedSpace
from nas.supernet.files import SPACE_FILE, WEIGHTS_FILE, expect_ended_supernet
from nas.supernet.masks import Widths, widths_of
from tflm_vit.files import opened

SAME = ("image_size", "channels", "num_classes", "head_dim", "pool", "activation")
SAME_OF_STAGED = ("image_size", "channels", "num_classes", "stem", "activation", "norm_epsilon")
SAME_OF_STAGES = ("head_dim", "down", "stride", "position", "norm", "bias", "relative_position")
_OF_DATA = ("num_classes",)  # a space takes it from the data set


def is_supernet(directory: str) -> bool:
    return os.path.exists(os.path.join(directory, WEIGHTS_FILE))


def initial_network(directory: str) -> ArchConfig:
    """The network of a folder of `keras_models.train`.

    Raises:
      ModelNotFoundError: a file is missing, or it has several stages.
    """
    network = trained_network(directory)
    return expect_one_stage(network, f"--initial={directory}")  # type: ignore[arg-type]


def expect_initial(directory: str, space: Searchable) -> None:
    """Refuses a folder that supernets of a space cannot start from.

    The number of classes is compared where the weights are copied: a space's may still change.

    Raises:
      SpaceError, ModelNotFoundError: what differs, or is missing.
    """
    if is_supernet(directory):
        expect_ended_supernet(directory)
        old = load_space(os.path.join(directory, SPACE_FILE))
        if isinstance(old, StagedSpace) and isinstance(space, StagedSpace):
            expect_stages(old, space, _OF_DATA)
        else:
            theirs, mine = (expect_one_stage_of(s, f"--initial={directory}") for s in (old, space))
            expect_space(theirs, mine, _OF_DATA)
    else:
        flat = expect_one_stage_of(space, f"--initial={directory}")
        expect_network(initial_network(directory), flat, widths_of(flat), _OF_DATA)


def expect_stages(old: StagedSpace, new: StagedSpace, later: Collection[str] = ()) -> None:
    """Refuses the supernet of a space of other images, classes, stem or kinds of stages.

    Args:
      later: fields that are not compared.
    """
    pairs: list[tuple[Any, Any, str, str]]
    pairs = [(old, new, name, name) for name in SAME_OF_STAGED if name not in later]
    if len(old.stages) != len(new.stages):
        got, expected = len(old.stages), len(new.stages)
        raise SpaceError(f"supernet of {old.name}: {got} stages, expected {expected} ({new.name})")
    for i, (theirs, mine) in enumerate(zip(old.stages, new.stages, strict=True)):
        pairs += [(theirs, mine, name, f"stages[{i}].{name}") for name in SAME_OF_STAGES]
    for theirs, mine, name, text in pairs:
        got, expected = getattr(theirs, name), getattr(mine, name)
        if got != expected:
            raise SpaceError(
                f"supernet of {old.name}: {text} {got!r}, expected {expected!r} ({new.name})"
            )


def expect_space(old: SearchSpace, new: SearchSpace, later: Collection[str] = ()) -> None:
    """Refuses the supernet of a space of other images, classes, heads or linear layers.

    Args:
      later: fields that are not compared.
    """
    for name in SAME:
        if name not in later and not set(old.allowed(name)) & set(new.allowed(name)):
            got, expected = getattr(old, name), getattr(new, name)
            raise SpaceError(
                f"supernet of {old.name}: {name} {got!r}, expected {expected!r} ({new.name})"
            )
    if old.relative_position != new.relative_position:
        raise SpaceError(
            f"supernet of {old.name}: relative_position {old.relative_position}, expected "
            f"{new.relative_position} ({new.name})"
        )
    if (old.ranks is None) != (new.ranks is None):
        raise SpaceError(f"supernet of {old.name}: expected low ranks as in {new.name}, or none")


def expect_network(
    arch: ArchConfig, space: SearchSpace, widths: Widths, later: Collection[str] = ()
) -> None:
    """Refuses a network that does not fit into the supernet of a space, or computes otherwise.

    Args:
      widths: of the supernet.
      later: fields that are not compared.
    """

    def refuse(what: str, got: object, expected: str) -> None:
        raise SpaceError(f"initial model {arch.name}: {what} {got}, expected {expected}")

    for field in SAME:
        got, allowed = getattr(arch, field), space.allowed(field)
        if field not in later and got not in allowed:
            refuse(field, repr(got), f"{' or '.join(map(repr, allowed))} ({space.name})")
    if arch.attention != "packed":
        refuse("attention", repr(arch.attention), "'packed'")
    if arch.relative_position != (space.relative_position or 0):
        expected = f"{space.relative_position or 0}, as all networks of {space.name} have"
        refuse("relative_position", arch.relative_position, expected)
    for what, size, most in (
        ("embed_dim", arch.embed_dim, widths.dim),
        ("depth", arch.depth, widths.depth),
        ("heads", max(arch.heads), widths.heads),
        ("hidden units", max(arch.hidden_dim(b) for b in range(arch.depth)), widths.hidden),
    ):
        if size > most:
            refuse(what, size, f"at most {most} ({space.name})")
    if not any((p.size, p.stem) == (arch.patch_size, arch.stem) for p in space.patches):
        what = f"patch {arch.patch_size} with"
        refuse(what, f"{len(arch.stem)} convolutions", f"a patch embedding of {space.name}")


def initial_digest(directory: str) -> str:
    """16 hexadecimal digits of the weights of either kind of folder."""
    if not is_supernet(directory):
        return digest_of(directory)
    with opened(os.path.join(directory, WEIGHTS_FILE)) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
