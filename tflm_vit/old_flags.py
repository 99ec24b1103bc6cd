# SPDX-License-Identifier: Apache-2.0
"""Flags of version 0.1 whose spelling changed: what a command says to somebody who types them."""

from __future__ import annotations

from collections.abc import Container

# Old name -> the new ones; a command that lacks the old name names those of them that it has.
OLD: dict[str, tuple[str, ...]] = {
    "arch": ("network",),
    "calibration_images": ("calibration_count",),
    "capacity": ("arena",),
    "check": ("compare",),
    "count": ("samples",),
    "csv": ("problem",),
    "emulated_images": ("emulated_count",),
    "emulated_limit": ("emulated_count",),
    "external_weights": ("weights_in",),
    "firmware": ("sram", "arena"),
    "flash_budget": ("flash",),
    "float_model": ("network",),
    "force": ("overwrite",),
    "images": ("count",),
    "images_dir": ("images",),
    "layout": ("variant",),
    "limit": ("count", "limits"),
    "model": ("network",),
    "networks": ("samples",),
    "preset": ("network",),
    "presets": ("networks",),
    "qat_residual_bits": ("residual_bits",),
    "sram_budget": ("sram", "arena"),
    "steps": ("rounds",),
    "trained": ("network",),
    "weights": ("weights_in", "start"),
}


def replacement(name: str, known: Container[str]) -> str:
    """What to give instead of a flag that a command does not know, e.g. "--sram"; "" for nothing.

    Args:
      name: as typed, without dashes.
      known: the command's flags.
    """
    if name in known:
        return ""
    for old in (name, name.removeprefix("no")):
        new = [f"--{word}" for word in OLD.get(old, ()) if word in known]
        if new:
            return " or ".join(new)
    return ""
