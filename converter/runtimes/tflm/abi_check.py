# SPDX-License-Identifier: Apache-2.0
"""Has the wheel probed by `abi_probe`, once for each library.

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

from converter.runtimes.tflm.errors import TflmAbiError

_SECONDS = 120


def _wheel_digest() -> str:
    """Hash of the wheel's compiled runtime: a rebuilt wheel of the same version is probed anew."""
    spec = importlib.util.find_spec("tflite_micro.python.tflite_micro._runtime")
    if spec is None or spec.origin is None:
        raise TflmAbiError("tflite-micro: its compiled runtime is missing; install it again")
    return hashlib.sha256(pathlib.Path(spec.origin).read_bytes()).hexdigest()[:16]


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
            f"compiled for{crashed}: {lines[-1]}; reinstall the pinned wheel"
        )
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as temporary:
        pass
    os.replace(temporary.name, stamp)
