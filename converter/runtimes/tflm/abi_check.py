# SPDX-License-Identifier: Apache-2.0
"""Has the wheel probed by `abi_probe`, once for each library, and finds the layout that it has.

That is a process of its own, because a layout that differs can crash. What has passed is remembered
beside the library.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable

from converter.runtimes.tflm.abi import LAYOUTS, WheelLayout, installed_wheel, tested
from converter.runtimes.tflm.errors import TflmAbiError

_SECONDS = 120


def _wheel_runtime() -> bytes:
    """The wheel's compiled runtime."""
    spec = importlib.util.find_spec("tflite_micro.python.tflite_micro._runtime")
    if spec is None or spec.origin is None:
        raise TflmAbiError("tflite-micro: its compiled runtime is missing; install it again")
    return pathlib.Path(spec.origin).read_bytes()


def _wheel_digest() -> str:
    """Hash of the wheel's compiled runtime: a rebuilt wheel of the same version is probed anew."""
    return hashlib.sha256(_wheel_runtime()).hexdigest()[:16]


def library_for_wheel(build: Callable[[WheelLayout], pathlib.Path]) -> pathlib.Path:
    """The operators in the layout of the installed wheel: the first that passes its probe.

    Args:
      build: makes the library in a layout, or finds it in the cache.

    Raises:
      TflmAbiError: the wheel has none of them. TflmBuildError: from ``build``.
    """
    runtime = _wheel_runtime()
    failures = []
    for layout in sorted(LAYOUTS, key=lambda layout: layout.mark not in runtime):
        path = build(layout)
        try:
            check_wheel_layout(path)
        except TflmAbiError as error:
            failures.append(f"layout {layout.context}: {error}")
            continue
        return path
    raise TflmAbiError(
        f"tflite-micro {installed_wheel()} has none of the layouts that the operators can be "
        f"compiled for ({'; '.join(failures)}); tested are {', '.join(tested())}: "
        f"run: pip install tflite-micro=={tested()[0]}"
    )


def check_wheel_layout(path: pathlib.Path) -> None:
    """Probes the wheel with the library at ``path``, unless this pair has passed before.

    Raises:
      TflmAbiError: the probe failed or crashed; the process that found out was not this one.
    """
    stamp = path.with_name(f"{path.stem}.probed-{_wheel_digest()}")
    if stamp.exists():
        return
    environment = dict(os.environ)
    root = str(pathlib.Path(__file__).resolve().parents[3])
    environment["PYTHONPATH"] = os.pathsep.join([root, environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "converter.runtimes.tflm.abi_probe", str(path)]
    try:
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise TflmAbiError(f"ABI probe does not run: {error}") from error
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        crashed = " (it crashed)" if result.returncode < 0 else ""
        raise TflmAbiError(
            f"the installed tflite-micro does not have the struct layout that the operators were "
            f"compiled for{crashed}: {lines[-1]}"
        )
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as temporary:
        pass
    os.replace(temporary.name, stamp)
