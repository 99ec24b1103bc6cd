# SPDX-License-Identifier: Apache-2.0
"""Which TensorFlow Lite Micro wheel the operator library is for.

The wheel exports no stable interface for operators: `abi/` declares the structs as they are in
one wheel. Nothing is loaded into another one.
"""

from __future__ import annotations

import importlib.metadata

from converter.runtimes.tflm.errors import TflmAbiError

PINNED_WHEEL = "0.dev20260930204519"
"""Version of the ``tflite-micro`` distribution whose structs `abi/` mirrors."""

ABI_VERSION = 1
"""``VIT_TFLM_ABI_VERSION`` of ``abi/vit_tflm_abi.h``; raised together with it."""


def installed_wheel() -> str | None:
    """Version of the installed ``tflite-micro``, None if there is none."""
    try:
        return importlib.metadata.version("tflite-micro")
    except importlib.metadata.PackageNotFoundError:
        return None


def check_wheel() -> None:
    """Raises TflmAbiError unless the pinned wheel is installed. Imports nothing from the wheel."""
    found = installed_wheel()
    if found != PINNED_WHEEL:
        got = "none is installed" if found is None else f"got {found}"
        raise TflmAbiError(
            f"tflite-micro: {got}, expected exactly {PINNED_WHEEL} (the custom operators are "
            f"compiled for its struct layout); run: pip install tflite-micro=={PINNED_WHEEL}"
        )


def check_library_version(found: int | None, library: str) -> None:
    """Raises TflmAbiError unless an operator library has this loader's ABI version.

    Args:
      found: what the library's ``vit_tflm_abi_version`` returned, None if it lacks the function.
      library: the library's path, for the message.
    """
    if found != ABI_VERSION:
        got = (
            "no version (not an operator library of this project)" if found is None else f"{found}"
        )
        raise TflmAbiError(
            f"{library}: operator ABI version: got {got}, expected {ABI_VERSION}; "
            "delete the file and load again, it is then rebuilt from the sources"
        )
