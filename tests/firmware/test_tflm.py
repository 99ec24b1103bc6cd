# SPDX-License-Identifier: Apache-2.0
"""`--runtime=tflm`: the same model in TFLM's interpreter on the emulated board.

What needs TFLM itself runs where TFLM_DIR names a tree with a library for Cortex-M7.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from converter.host import HostModel
from converter.plan import plan_model, read_plan
from firmware import tflm
from firmware.boards import get_board
from firmware.emulator.emulator import Emulator
from firmware.errors import FirmwareError
from firmware.export import export_project
from firmware.model import build_model, project_from_model
from tests.converter.compile import fused_models
from tests.firmware.test_export import readme_commands, run_commands

BOARD = get_board("stm32f746g_disco")
_PATTERN = "gen/cortex_m_generic_cortex-m7*/lib/libtensorflow-microlite.a"
needs_tflm = pytest.mark.skipif(
    not list(Path(os.environ.get("TFLM_DIR", "/nonexistent")).glob(_PATTERN)),
    reason="TFLM_DIR (a TFLM tree with a library for cortex-m7) is unset",
)


@pytest.fixture(scope="module")
def model():
    return plan_model(fused_models.model_bytes(fused_models.vit_ops(bits=16))).model_bytes


def test_unset_tflm_dir_is_one_line(model, tmp_path, monkeypatch):
    monkeypatch.delenv("TFLM_DIR", raising=False)
    with pytest.raises(FirmwareError, match="--runtime=tflm needs TFLM_DIR"):
        build_model(model, BOARD, tmp_path / "firmware.elf", runtime="tflm")
    monkeypatch.setenv("TFLM_DIR", str(tmp_path))
    with pytest.raises(FirmwareError, match=r"has no gen/cortex_m_generic_cortex-m7"):
        build_model(model, BOARD, tmp_path / "firmware.elf", runtime="tflm")


def test_generated_files_hold_plan_and_operators(model, tmp_path):
    plan = read_plan(model)
    assert tflm.write_model(model, tmp_path, external=False, tail_bytes=100) == plan.arena_bytes
    header = (tmp_path / "vit_model.h").read_text()
    assert f"#define VIT_MODEL_ARENA_BYTES {plan.arena_bytes + 112}\n" in header
    assert (tmp_path / "vit_model_weights.bin").read_bytes() == model
    resolver = (tmp_path / "vit_model_resolver.h").read_text()
    added = re.findall(r'AddCustom\("(\w+)"', resolver)
    assert added == ["VitAttention", "VitLayerNorm", "VitLinear", "VitMlp", "VitPatchEmbed"]
    assert "#define VIT_MODEL_RESOLVER_OPERATORS 5\n" in resolver
    table = (tmp_path / "vit_model_plan.h").read_text().split("= {")[1].split("}")[0]
    words = [int(word) for word in table.replace(",", " ").split()]
    buffers = np.array(words[7:]).reshape(-1, 6)
    planned = [s.offset for s in plan.tensors if s] + [s.offset for s in plan.scratch if s]
    assert buffers[:, 4].tolist() == planned
    # The tokens of each block overwrite those of the block before it.
    assert (buffers[2:6, 5] == [1, 2, 3, 4]).all()


def test_streamed_plans_are_refused(tmp_path):
    ops = fused_models.vit_ops()
    streamed = plan_model(fused_models.model_bytes(ops), streamed=True).model_bytes
    with pytest.raises(FirmwareError, match="plan the model without --streamed"):
        tflm.write_model(streamed, tmp_path, external=False)
    with pytest.raises(FirmwareError, match="plan"):
        tflm.write_model(fused_models.model_bytes(ops), tmp_path, external=False)


@needs_tflm
@pytest.mark.parametrize("weights", ["internal", "qspi"])
def test_tflm_equals_the_compiled_runtime(model, tmp_path, weights):
    elf = tmp_path / "tflm.elf"
    use = build_model(model, BOARD, elf, weights=weights, runtime="tflm")
    emulator = Emulator(BOARD, elf)
    shape = (4, *emulator.model.image_shape)
    images = np.random.default_rng(9).integers(-128, 128, shape, np.int8)
    got = np.stack([emulator.classify(image).logits for image in images])
    np.testing.assert_array_equal(got, HostModel(model).run(images))
    # The arena is exactly what TFLM took, rounded to its alignment.
    used = emulator.machine.read_u32(emulator.elf.address("vit_model_arena_used_bytes"))
    assert used <= use.arena_bytes < used + 16
    assert use.arena_bytes > read_plan(model).arena_bytes
    assert all(count.instructions > 0 for count in emulator.operator_counts())
    assert (use.external_flash_bytes > len(model) // 2) == (weights == "qspi")


@needs_tflm
@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_exported_project_needs_no_tree(model, tmp_path, monkeypatch):
    project = project_from_model(model, BOARD, tmp_path / "work", runtime="tflm", name="digits")
    use = export_project(project, "cmake", tmp_path / "out")
    with pytest.raises(FirmwareError, match="compiled runtime only"):
        export_project(project, "stm32cubeide", tmp_path / "ide", check=False)
    assert not (tmp_path / "ide").exists()
    shutil.rmtree(tmp_path / "work")
    monkeypatch.delenv("TFLM_DIR")
    run_commands(tmp_path / "out", readme_commands(tmp_path / "out", "Build"))
    emulator = Emulator(BOARD, tmp_path / "out" / "build" / "release" / "digits.elf")
    assert emulator.memory_use() == use
    image = np.full(emulator.model.image_shape, 7, np.int8)
    expected = HostModel(model).run(image[np.newaxis])[0]
    np.testing.assert_array_equal(emulator.classify(image).logits, expected)
