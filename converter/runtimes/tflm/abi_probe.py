# SPDX-License-Identifier: Apache-2.0
"""Checks by experiment that the wheel passes operators the structs that ``abi/`` declares.

A tiny model with the probe operator (abi_probe.cc) reports every field the operators read; the
values are compared with what Python put into the model. `abi_check` runs it, as a process.
"""

from __future__ import annotations

import pathlib
import struct
import sys

import numpy as np

from converter.runtimes.tflm import op_models
from converter.runtimes.tflm.errors import TflmAbiError, TflmError, TflmModelError
from converter.runtimes.tflm.interpreter import TflmInterpreter
from converter.runtimes.tflm.library import open_library

_SHAPE = (1, 5, 7)
_SCRATCH_BYTES = 1000
_FAIL_TEXT = "VitAbiProbe: fail is 1, text is readable"
_INT8, _UINT8, _INT32 = 9, 3, 2  # TfLiteType


def _expected(x: np.ndarray, blob: bytes) -> dict[str, int]:
    """What the probe must report, in the order of ProbeWord in abi_probe.cc."""
    names = (
        ("inputs", 2),
        ("outputs", 1),
        ("input type", _INT8),
        ("input rank", 3),
        ("input dimension 0", _SHAPE[0]),
        ("input dimension 1", _SHAPE[1]),
        ("input dimension 2", _SHAPE[2]),
        ("blob type", _UINT8),
        ("blob dimension 0", len(blob)),
        ("output type", _INT32),
        ("output dimension 0", 0),
        ("custom options bytes", 8),
        ("custom options bytes in Init", 8),
        ("user data in Prepare", 1),
        ("activation without address in Prepare", 1),
        ("constant with address in Prepare", 1),
        ("scratch aligned", 1),
        ("scratch holds its bytes", 1),
        ("persistent buffer holds its bytes", 1),
        ("input sum", int(x.astype(np.int32).sum())),
        ("blob sum", int(np.frombuffer(blob, np.int8).astype(np.int32).sum())),
    )
    expected = dict(names)
    expected["output dimension 0"] = len(names)
    return expected


def _probe_model(fail: bool, words: int, blob: bytes) -> bytes:
    options = struct.pack("<2i", _SCRATCH_BYTES, int(fail))
    output = op_models.Activation((words,), "int32")
    op = op_models.CustomOp("VitAbiProbe", options, blob, output)
    return op_models.chain_model(op_models.Activation(_SHAPE), [op])


def run_probe(path: pathlib.Path) -> None:
    """Runs the probe in this process.

    Raises:
      TflmAbiError: names the first field that does not hold what Python put in.
    """
    rng = np.random.default_rng(20260930)
    x = rng.integers(-128, 128, _SHAPE).astype(np.int8)
    blob = rng.integers(0, 256, 48).astype(np.uint8).tobytes()
    expected = _expected(x, blob)
    library = open_library(path)
    model = _probe_model(False, len(expected), blob)
    interpreter = TflmInterpreter(model, library=library)
    got = interpreter.invoke(x)
    for (name, wanted), value in zip(expected.items(), got, strict=True):
        if value != wanted:
            raise TflmAbiError(f"probe: {name}: the wheel passed {value}, expected {wanted}")
    try:
        TflmInterpreter(_probe_model(True, len(expected), blob), library=library)
    except TflmModelError as error:
        if _FAIL_TEXT not in str(error):
            raise TflmAbiError(
                f"probe: error text: got '{error}', expected '{_FAIL_TEXT}'"
            ) from error
    else:
        raise TflmAbiError("probe: Prepare returned an error and the wheel went on")


def main(arguments: list[str]) -> int:
    """Entry of the probing process: one argument, the library."""
    try:
        run_probe(pathlib.Path(arguments[0]))
    except TflmError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
