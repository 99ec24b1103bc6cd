# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.tflm_wheels`: the operators in each tested wheel of TensorFlow Lite Micro.

    python -m benchmarks.tflm_wheels --out=docs/results/tflm_wheels.json

Downloads the wheels from the index that pip is configured with and runs a small network in each,
in a process of its own; the results are compared with the NumPy reference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.versions import versions_of
from converter.plan.model import plan_model
from converter.runtimes import open_runtime
from converter.runtimes.tflm import abi
from converter.runtimes.tflm.interpreter import TflmInterpreter
from tests.converter.compile import fused_models
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("tflm_wheels", __doc__)
_OUT = flags.out(FLAGS, "JSON with a row for each wheel.")

ROOT = Path(__file__).resolve().parents[1]
INPUTS = 20


def row() -> dict[str, object]:
    """Of the wheel that this process has: whether its results are the reference's."""
    model = plan_model(fused_models.model_bytes(fused_models.vit_ops())).model_bytes
    tflm, reference = (open_runtime(name, model) for name in ("tflm", "reference"))
    rng = np.random.default_rng(0)
    equal = 0
    for _ in range(INPUTS):
        given = [rng.integers(-128, 128, i.shape).astype(i.dtype) for i in tflm.inputs]
        pairs = zip(tflm.run(*given), reference.run(*given), strict=True)
        equal += all(np.array_equal(one, other) for one, other in pairs)
    used = TflmInterpreter(model).arena_usage.total_bytes
    return {"wheel": abi.installed_wheel(), "inputs": INPUTS, "equal": equal, "arena_bytes": used}


def _row_of(version: str, folder: Path) -> dict[str, object]:
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
    subprocess.run([*words, f"tflite-micro=={version}"], check=True)
    (wheel,) = folder.glob(f"*{version}*.whl")
    place = folder / version
    zipfile.ZipFile(wheel).extractall(place)
    text = "import json; from benchmarks.tflm_wheels import row; print(json.dumps(row()))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(place), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"tflite-micro {version}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, object] = json.loads(done.stdout)
    return found


def _body() -> None:
    expect_writable(_OUT.value)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            {**_row_of(version, Path(folder)), "layout": layout.context}
            for layout in abi.LAYOUTS
            for version in layout.wheels
        ]
    for each in rows:
        print(each)
    record = {
        "command": typed_command("benchmarks.tflm_wheels"),
        "versions": versions_of("numpy"),
        "wheels": rows,
    }
    write_json(_OUT.value, record)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
