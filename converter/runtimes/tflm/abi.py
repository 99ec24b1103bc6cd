# SPDX-License-Identifier: Apache-2.0
"""Which layouts of TensorFlow Lite Micro's structs the operators can be compiled for.

The wheel exports no stable interface for operators, and ships no headers: `abi/` declares the
structs, in each of the layouts below. Which of them an installed wheel has is asked of the wheel:
`abi_check` has the operators' probe run in it. Nothing is loaded into a wheel that fails it.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata

from converter.runtimes.tflm.errors import TflmAbiError


@dataclasses.dataclass(frozen=True)
class WheelLayout:
    """A layout of the structs.

    Attributes:
      context: ``VIT_TFLM_CONTEXT`` of ``abi/tensorflow/lite/c/common.h``.
      mark: text in the compiled runtime of the wheels that have it, to try it first there.
      wheels: versions of ``tflite-micro`` in which everything was tested with it.
    """

    context: int
    mark: bytes
    wheels: tuple[str, ...]

    @property
    def flag(self) -> str:
        """For the compiler."""
        return f"-DVIT_TFLM_CONTEXT={self.context}"


LAYOUTS = (
    WheelLayout(1, b"N6tflite12MicroContextE", ("0.dev20260930204519", "0.dev20261002230103")),
    WheelLayout(
        2,
        b"N6tflite5micro12MicroContextE",
        ("0.dev20261009205824", "0.dev20261023182759"),
    ),
)

ABI_VERSION = 2
"""``VIT_TFLM_ABI_VERSION`` of ``abi/vit_tflm_abi.h``; raised together with it."""


def installed_wheel() -> str | None:
    """Version of the installed ``tflite-micro``, None if there is none."""
    try:
        return importlib.metadata.version("tflite-micro")
    except importlib.metadata.PackageNotFoundError:
        return None


def tested() -> tuple[str, ...]:
    """Versions of the wheel in which everything was tested, the newest last."""
    return tuple(sorted(version for layout in LAYOUTS for version in layout.wheels))


def check_wheel() -> None:
    """Raises TflmAbiError unless a wheel is installed. Imports nothing from it."""
    if installed_wheel() is None:
        raise TflmAbiError(
            f"tflite-micro: none is installed; run: pip install tflite-micro=={tested()[0]}"
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
