# SPDX-License-Identifier: Apache-2.0
"""Compiled models under the address and undefined behaviour sanitizers, in an exact arena."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import numpy as np
import pytest

from converter import builtins, tflite
from converter.compile import (
    RUNTIME,
    CompiledModel,
    compile_model,
    include_dirs,
    kernel_headers,
    kernel_sources,
)
from tests.converter.compile import fused_models
from tests.tflm_custom_ops.builtins import combined
from tests.tflm_custom_ops.builtins.generators import GENERATORS
from tests.tflm_custom_ops.kernels.test_sanitizers import FLAGS
from tflm_custom_ops import host_library
from tflm_custom_ops.ops import run_reference
from toolchain import compiled, host_c

_MAIN = """
// Inputs on stdin, outputs on stdout.
#include <stdio.h>
#include <stdlib.h>
#include "vit_model.h"
int vit_host_run(uint8_t* arena, const uint8_t* inputs, uint8_t* outputs, size_t count);
int main(void) {
  uint8_t* arena = aligned_alloc(16, VIT_MODEL_ARENA_BYTES);
  uint8_t* inputs = malloc(VIT_MODEL_INPUT_BYTES);
  uint8_t* outputs = malloc(VIT_MODEL_OUTPUT_BYTES);
  while (fread(inputs, VIT_MODEL_INPUT_BYTES, 1, stdin) == 1) {
    const int status = vit_host_run(arena, inputs, outputs, 1);
    if (status != 0) return status;
    fwrite(outputs, VIT_MODEL_OUTPUT_BYTES, 1, stdout);
  }
  free(inputs);
  free(outputs);
  free(arena);
  return 0;
}
"""


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Sanitized objects of all kernels."""
    folder = tmp_path_factory.mktemp("kernels")
    probe = subprocess.run(
        ["cc", *FLAGS, "-x", "c", "-", "-o", str(folder / "probe")],
        input="int main(void) { return 0; }",
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode:
        pytest.skip(f"the sanitizers are not installed: {probe.stderr.strip()}")
    # The operators' kernels are those of test_sanitizers.py.
    sources, shared = kernel_sources("host"), set(host_library.kernel_sources())
    objects = host_library.objects(host_c(), FLAGS, [p for p in sources if p in shared])
    objects += compiled(
        "sanitized",
        host_c(),
        FLAGS,
        [p for p in sources if p not in shared],
        kernel_headers(),
        places=[f"-I{p}" for p in include_dirs()],
    )
    return [str(path) for path in objects]


def run(folder: Path, kernels: list[str], model: CompiledModel, inputs: bytes) -> bytes:
    model.write(folder)
    (folder / "main.c").write_text(_MAIN)
    includes = ["-I.", *(f"-I{p}" for p in include_dirs())]
    sources = ["main.c", "vit_model.c", "vit_model_weights.S", str(RUNTIME / "vit_host_driver.c")]
    command = ["cc", *FLAGS, *includes, *sources, *kernels, "-o", "model"]
    subprocess.run(command, cwd=folder, check=True)
    result = subprocess.run([str(folder / "model")], input=inputs, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()[:3000]
    return result.stdout


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"bits": 16, "with_cls": True},
        {"rank": 5, "image": fused_models.ImageShape(18, 14, 3, 5, 3, 1)},
    ],
    ids=["int16", "low rank"],
)
def test_fused_models(tmp_path, kernels, options, streamed):
    ops = fused_models.vit_ops(**options)
    first = ops[0]
    shape = (2, first.image_height, first.image_width, first.channels)
    images = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    layout = fused_models.stacked_plan(ops, streamed)
    model = compile_model(fused_models.model_bytes(ops), layout)
    rows = [functools.reduce(lambda x, op: run_reference(op, x), ops, x) for x in images]
    assert run(tmp_path, kernels, model, images.tobytes()) == np.stack(rows).tobytes()


@pytest.mark.parametrize("free_bytes", [0, 1 << 15])
def test_builtin_operators(tmp_path, kernels, free_bytes):
    rng = np.random.default_rng(100 + free_bytes)
    group = [generate(rng) for generate in GENERATORS for _ in range(5)]
    content, inputs = combined.combine(group)
    plan = combined.separate_buffers(content.graph, free_bytes)
    model = compile_model(tflite.serialize(content), plan)
    got = run(tmp_path, kernels, model, b"".join(x.tobytes() for x in inputs))
    want = [builtins.run_builtin(c.tensors, c.operator, *c.inputs) for c in group]
    assert got == b"".join(y.tobytes() for ys in want for y in ys)
