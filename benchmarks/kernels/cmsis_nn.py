# SPDX-License-Identifier: Apache-2.0
"""CMSIS-NN's matrix product for Helium, counted in QEMU as this project's kernels are.

Nothing of CMSIS-NN is part of this project: a checkout of it is named.
"""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import numpy as np

from benchmarks.kernels import qemu
from benchmarks.kernels.workloads import linear
from tflm_custom_ops.builtins.params import quantize_multiplier
from tflm_custom_ops.builtins.rescale import rescale
from tflm_custom_ops.reference.requant import exact_matmul

FUNCTION = "arm_nn_mat_mult_nt_t_s8"
_SOURCE = Path("Source", "NNSupportFunctions", f"{FUNCTION}.c")
OPTIMISATION = "-Ofast"  # of its CMakeLists.txt
INPUT_OFFSET, OUTPUT_OFFSET = 5, 3


class CmsisNnError(ValueError):
    """A folder is no checkout of CMSIS-NN, or its product is another one."""


@dataclasses.dataclass(frozen=True)
class MatrixProduct:
    """The product in QEMU.

    Attributes:
      revision: commit of the checkout.
    """

    machine: qemu.QemuKernels
    revision: str

    def instructions(self, rows: int, k: int, n: int) -> int:
        """Of a layer of ``rows`` rows, k inputs and n channels.

        Raises:
          CmsisNnError: its output is not TFLite's.
        """
        op, x = linear(k, n, rows)
        layer = op.projection.up
        bias = layer.bias.astype(np.int32)
        sums = exact_matmul(x.astype(np.int64) + INPUT_OFFSET, layer.weights.T) + bias
        factor = quantize_multiplier(40 / float(sums.std()))
        machine = self.machine
        machine.reset_memory()
        multiplier = np.full(n, factor.multiplier, np.int32)
        arrays = (x, layer.weights, bias)
        y = machine.alloc(rows * n)
        a, w, b, m, s = (
            machine.put(v) for v in (*arrays, multiplier, np.full(n, factor.shift, np.int32))
        )
        call = machine.call(
            FUNCTION, a, w, b, y, m, s, rows, n, k, INPUT_OFFSET, OUTPUT_OFFSET, -128, 127, n, k
        )
        expected = rescale(sums, factor.multiplier, factor.shift) + OUTPUT_OFFSET
        found = machine.get(y, np.int8, (rows, n))
        if not np.array_equal(found, np.clip(expected, -128, 127)):
            raise CmsisNnError(f"{FUNCTION}: {rows}x{k}x{n} differs from TFLite's definition")
        return call.instructions


def matrix_product(folder: str) -> MatrixProduct:
    """Builds it for a Cortex-M55.

    Args:
      folder: a checkout of CMSIS-NN.

    Raises:
      CmsisNnError: it is none.
    """
    root = Path(folder)
    source = root / _SOURCE
    if not source.is_file():
        raise CmsisNnError(f"{folder}: no {_SOURCE}; expected a checkout of CMSIS-NN")
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    revision = done.stdout.strip()
    if done.returncode or not revision:
        raise CmsisNnError(f"{folder}: git does not know its commit; expected a clone")
    options = (OPTIMISATION, f"-I{root / 'Include'}")
    # The revision is in the command, so that the compile cache sees the headers of another one.
    defines = (f"CMSIS_NN_REVISION={revision}",)
    elf = qemu.build(qemu.CORES["cortex-m55"], options, defines, [source.resolve()])
    return MatrixProduct(qemu.QemuKernels(elf), revision)
