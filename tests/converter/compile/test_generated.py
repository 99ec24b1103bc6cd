# SPDX-License-Identifier: Apache-2.0
"""The generated files: deterministic, formatted, warning-free, equal to what the parser reads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from converter.compile import compile_model, include_dirs, kernel_sources
from tests.converter.compile import fused_models
from tflm_custom_ops.ops import (
    LayerNorm,
    LinearOp,
    Norm,
    PatchEmbed,
    Pool,
    encode,
    operator_of,
)
from tflm_custom_ops.sources import kernel_files

ROOT = Path(__file__).resolve().parents[3]
VARIANTS = {
    "dense": {},
    "int16": {"bits": 16},
    "low rank": {"rank": 5},
    "class token": {"with_cls": True},
}


def compiled(variant: str, streamed: bool = False, external: bool = False):
    ops = fused_models.vit_ops(**VARIANTS[variant])
    layout = fused_models.stacked_plan(ops, streamed)
    return compile_model(fused_models.model_bytes(ops), layout, external)


def run(command: list[str], cwd: Path) -> str:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_same_model_gives_the_same_bytes():
    assert compiled("low rank", True).files == compiled("low rank", True).files


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("debug", [[], ["-DVIT_MODEL_DEBUG"]])
@pytest.mark.parametrize(
    "compiler",
    [
        ["cc", "-std=c99", "-Wpedantic"],
        ["cc", "-std=c11", "-Wconversion"],
        ["arm-none-eabi-gcc", "-std=c11", "-mcpu=cortex-m7", "-mthumb"],
        ["arm-none-eabi-gcc", "-std=c11", "-mcpu=cortex-m0plus", "-mthumb"],
    ],
)
def test_compiles_without_warnings(tmp_path, compiler, debug, streamed):
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not installed")
    compiled("class token", streamed).write(tmp_path)
    includes = [f"-I{p}" for p in include_dirs()]
    for source in ("vit_model.c", "vit_model_debug.c", "vit_model_weights.S"):
        run([*compiler, "-Wall", "-Wextra", "-Werror", *debug, *includes, "-c", source], tmp_path)


@pytest.mark.parametrize("streamed", [False, True])
def test_is_formatted(tmp_path, streamed):
    if shutil.which("clang-format") is None:
        pytest.skip("clang-format is not installed")
    compiled("low rank", streamed).write(tmp_path)
    style = f"--style=file:{ROOT / '.clang-format'}"
    names = sorted(p.name for p in tmp_path.glob("*.[ch]"))
    run(["clang-format", "--dry-run", "-Werror", style, *names], tmp_path)


_PARSER = """
#include <stdio.h>
#include "vit_model.c"
#include "vit_parse.h"
%(arrays)s
int main(void) {
  int wrong = 0;
%(checks)s
  return wrong;
}
"""
_CHECK = """
  {
    %(ctype)s params;
    memset(&params, 0, sizeof(params));
    VitStatus status = %(parse)s(options%(i)d, sizeof(options%(i)d), vit_model_weights + %(at)d,
                                 %(size)d, &params);
%(fix)s    if (status != kVitOk || memcmp(&params, &kOp%(i)d, sizeof(params)) != 0) {
      printf("operator %(i)d differs, status %%d\\n", (int)status);
      wrong = 1;
    }
  }
"""
# The parser points absent arrays at the blob; the generated structs have NULL.
_ABSENT_ARRAYS = """
    if (!params.has_cls) params.cls = NULL;
    if (!params.has_pos) params.pos = NULL;
"""


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_are_what_the_parser_reads(tmp_path, variant):
    """Each generated struct equals, byte for byte, the one that vit_parse.c makes of the file."""
    ops = fused_models.vit_ops(**VARIANTS[variant])
    model = compiled(variant)
    model.write(tmp_path)
    weights = (tmp_path / "vit_model_weights.bin").read_bytes()
    arrays, checks = "", ""
    for i, op in enumerate(ops):
        options, blob = encode(op)
        values = ", ".join(str(b) for b in options)
        arrays += f"static const uint8_t options{i}[] = {{{values}}};\n"
        ctype, parse = op.C_TYPE, f"vit_parse_{operator_of(op).NAME}"
        place = {"i": i, "at": weights.index(blob), "size": len(blob), "fix": ""}
        if isinstance(op, PatchEmbed):
            place["fix"] = _ABSENT_ARRAYS
        checks += _CHECK % {"ctype": ctype, "parse": parse, **place}
    (tmp_path / "main.c").write_text(_PARSER % {"arrays": arrays, "checks": checks})
    sources = ["main.c", "vit_model_weights.S", *(str(p) for p in kernel_files(".c"))]
    includes = ["-I.", *(f"-I{p}" for p in include_dirs())]
    run(["cc", "-std=c11", "-O0", *includes, *sources, "-o", "check"], tmp_path)
    run(["./check"], tmp_path)


def test_the_header_states_the_interface(tmp_path):
    ops = fused_models.vit_ops()
    layout = fused_models.stacked_plan(ops, streamed=True)
    text = compiled("dense", streamed=True).files[0].content.decode()
    lines = text.splitlines()
    assert f"#define VIT_MODEL_ARENA_BYTES {layout.arena_bytes + 16}" in lines
    assert "#define VIT_MODEL_INPUT_BYTES 576" in lines
    assert "#define VIT_MODEL_STREAMED 1" in lines
    assert "#define VIT_MODEL_CLASSES 10" in lines
    assert "#define VIT_MODEL_INPUT_SCALE 0.05f" in lines
    assert "#define VIT_MODEL_INPUT_ZERO_POINT (-5)" in lines
    assert "vit_model_invoke" not in text
    assert "vit_model_begin" not in compiled("dense").files[0].content.decode()


def test_weights_are_aligned_and_shared():
    ops = fused_models.vit_ops()
    model = compiled("dense")
    blobs = {encode(op)[1] for op in ops}
    assert model.weights_bytes == sum(len(b) for b in blobs)
    weights = next(f.content for f in model.files if f.name == "vit_model_weights.bin")
    assert all(weights.index(blob) % 16 == 0 for blob in blobs)


def test_external_weights_change_the_section_only():
    internal, external = (
        {f.name: f.content for f in compiled("dense", external=e).files} for e in (False, True)
    )
    changed = [name for name in internal if internal[name] != external[name]]
    assert changed == ["vit_model_weights.S"]
    assert b".extflash.vit_weights" in external["vit_model_weights.S"]
    assert b".rodata.vit_weights" in internal["vit_model_weights.S"]


def test_extreme_numbers_survive_as_literals(tmp_path):
    """INT32_MIN, and 64-bit words whose low half looks negative."""
    rng = np.random.default_rng(3)
    ops = fused_models.vit_ops()
    gamma = np.full(12, -(1 << 31), np.int32)
    wide = (5 << 32) + 0xFFFFFFFE
    norm = Norm(gamma, np.zeros_like(gamma), wide)
    pooled = LayerNorm(12, 12, 8, Pool.MEAN, -128, -(1 << 31), 1, norm)
    ops[-2:] = [pooled, LinearOp(1, 1, fused_models.projection(rng, 12, 10))]
    model = compile_model(fused_models.model_bytes(ops), fused_models.stacked_plan(ops))
    text = next(f.content for f in model.files if f.name == "vit_model.c").decode()
    assert f".epsilon = INT64_C({wide})," in text
    assert ".pool_multiplier = INT32_MIN," in text


def test_assembly_is_for_dsp_cores_only():
    def suffixes(core: str) -> set[str]:
        return {p.suffix for p in kernel_sources(core)}

    assert suffixes("cortex-m7") == suffixes("cortex-m4") == {".c", ".S"}
    assert suffixes("host") == suffixes("cortex-m3") == suffixes("cortex-m0plus") == {".c"}
    with pytest.raises(ValueError, match="cortex-m7"):
        kernel_sources("cortex-a72")
