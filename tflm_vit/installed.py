# SPDX-License-Identifier: Apache-2.0
"""Whether all of the toolkit is there, and what installs what is not."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

ROOMS = (
    "boards", "converter", "firmware", "keras_models", "nas", "tflm_custom_ops", "toolchain",
)  # fmt: skip
# The extras that install a package, by the name that it is imported under; pyproject.toml lists
# them. What the core needs is installed with it.
EXTRAS: dict[str, tuple[str, ...]] = {
    "PIL": ("train", "emulator", "tflm"),
    "ai_edge_litert": ("tflm",),
    "altair": ("report",),
    "keras": ("train",),
    "matplotlib": ("train",),
    "optuna": ("search",),
    "serial": ("emulator",),
    "sklearn": ("train",),
    "tensorboard": ("train",),
    "tensorflow": ("train",),
    "tensorflow_datasets": ("train",),
    "tensorflow_model_optimization": ("train",),
    "tf_keras": ("train",),
    "tflite_micro": ("tflm",),
    "tqdm": ("train", "emulator", "tflm"),
    "unicorn": ("emulator",),
    "vl_convert": ("report",),
}
# The extra that has all of a command.
_OF_COMMAND = {"client": "emulator", "emulate": "emulator"}
_HERE = Path(__file__).resolve().parents[1]


class InstallError(ValueError):
    """Part of the toolkit is missing, or is another package's; the message says what to do."""


def missing_line(module: str, command: str = "") -> str:
    """What a command says of a package that it needs and that is not installed.

    Args:
      module: that was to be imported.
      command: that needs it; its own extra is named, where that has the package.
    """
    package = module.partition(".")[0]
    if package in ROOMS:
        return (
            f"got no module {module!r} in this toolkit, which has one: another package has taken "
            "its place, or the installation is damaged; install tflm-vit in an environment of its "
            "own"
        )
    extras = EXTRAS.get(package, ())
    own = _OF_COMMAND.get(command, "")
    extra = own if own in extras else next(iter(extras), "")
    remedy = f"; run: pip install 'tflm-vit[{extra}]'" if extra else ""
    return f"needs the Python package {package!r}, which is not installed{remedy}"


def expect_own_rooms() -> None:
    """Raises InstallError where Python would import another package's module for one of ours."""
    for room in ROOMS:
        found = _place(importlib.util.find_spec(room))
        if found is None:
            raise InstallError(missing_line(room))
        if found != _HERE / room:
            raise InstallError(
                f"Python finds another module {room!r} ({found}) before this toolkit's "
                f"({_HERE / room}); install tflm-vit in an environment of its own, or start it in "
                "another folder"
            )


def _place(spec: ModuleSpec | None) -> Path | None:
    """Folder of a package, or file of a module."""
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin or "").resolve()
