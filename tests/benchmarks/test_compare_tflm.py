# SPDX-License-Identifier: Apache-2.0
"""The comparison with TFLM's own kernels; what needs TFLM itself runs where TFLM_DIR has it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.networks import plain_model, synthetic_images
from benchmarks.plain_tflm import application
from converter.evaluate.evaluation import ends_of
from converter.runtimes.tflm.interpreter import TflmInterpreter
from converter.runtimes.tflm.plain_gelu import replace_gelu
from firmware.errors import FirmwareError
from firmware.tflm import model_files
from tests.commands import run_here
from tests.converter.compile import fused_models

TREE = Path(os.environ.get("TFLM_DIR", "/nonexistent"))
needs_tflm = pytest.mark.skipif(
    not application.libraries(TREE),
    reason="TFLM_DIR (a TFLM tree with a library for cortex-m7) is unset",
)


def test_skipped_with_one_line(monkeypatch):
    monkeypatch.delenv("TFLM_DIR", raising=False)
    done = run_here("benchmarks.compare_tflm")
    assert done.returncode == 0
    assert done.stdout.startswith("compare_tflm: skipped, TFLM_DIR is unset")
    assert done.stdout.count("\n") == 1


def test_tree_without_a_library(tmp_path, monkeypatch):
    monkeypatch.setenv("TFLM_DIR", str(tmp_path))
    done = run_here("benchmarks.compare_tflm")
    assert done.returncode == 1
    assert "compare_tflm: no library for Cortex-M7 in TFLM_DIR=" in done.stderr


def test_libraries_are_labelled(tmp_path):
    for build in ("cortex-m7+fp_default_gcc", "cortex-m7+fp_release_cmsis_nn_gcc", "cortex-m4_gcc"):
        folder = tmp_path / "gen" / f"cortex_m_generic_{build}" / "lib"
        folder.mkdir(parents=True)
        (folder / "libtensorflow-microlite.a").touch()
    found = application.libraries(tmp_path)
    labels = [application.kernels_of(library) for library in found]
    assert labels == ["TFLM + CMSIS-NN", "TFLM reference kernels"]


@needs_tflm
def test_counts_are_of_the_right_program():
    arch, plain = plain_model("vit_digits")
    model = replace_gelu(plain)
    real = synthetic_images(2, arch.image_size, arch.channels, 3)
    images = ends_of(plain).quantize(real)
    library = application.libraries(TREE)[0]
    run = application.run_plain(model, TREE, library, images)
    wheel = TflmInterpreter(model)
    expected = np.concatenate([wheel.invoke(image[None]).reshape(1, -1) for image in images])
    np.testing.assert_array_equal(run.logits, expected)
    assert len(np.unique(run.logits)) > 2
    again = application.run_plain(model, TREE, library, images)
    assert again.instructions == run.instructions
    if "_release" not in library.parts[-3]:
        # Only the interpreter's loop lies between the operators.
        within = sum(total.instructions for total in run.operators)
        assert 0.98 * run.instructions < within < run.instructions
        assert sum(total.count for total in run.operators) > 50
    assert 0 < run.stack_bytes < application.STACK_BYTES
    assert run.arena_bytes < application.ARENA_BYTES


@needs_tflm
def test_operators_that_tflm_lacks_are_named(monkeypatch):
    model = fused_models.model_bytes(fused_models.vit_ops())
    monkeypatch.setattr(model_files, "BY_CODE", {})
    with pytest.raises(FirmwareError, match="no TFLM operator for VitAttention"):
        application.run_plain(
            model, TREE, application.libraries(TREE)[0], np.zeros((1, 1), np.int8)
        )
