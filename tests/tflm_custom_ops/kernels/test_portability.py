# SPDX-License-Identifier: Apache-2.0
"""The kernels are plain C11: no heap, no variable-length array, no float, any Cortex-M."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.kernels import emulator
from boards.core import Core
from tests.tflm_custom_ops import arm_kernels
from tflm_custom_ops import host_library
from tflm_custom_ops.sources import KERNELS, kernel_files

STACK_LIMIT = 3584  # bytes; the SRAM budget of a network is its arena and 8 KB
ASSEMBLY_FRAME = 128  # bytes, more than any function in a .S file pushes
ALLOWED_INCLUDES = {"stdint.h", "stddef.h", "string.h", "stdbool.h"}
# What the compiler may call: memory functions, and 64-bit arithmetic where a core has none.
ALLOWED_SYMBOLS = re.compile(
    r"mem(cpy|set|move)|__aeabi_(u?l?idiv(mod)?|u?ldivmod|lmul|lasr|lsl|llsl|llsr|lcmp|ulcmp|mem\w+)"
    r"|__gnu_thumb1_case_\w+|__clzsi2"
)
COMPILER = shutil.which("arm-none-eabi-gcc")
needs_arm = pytest.mark.skipif(COMPILER is None, reason="no arm-none-eabi-gcc")


def portable_sources() -> list[Path]:
    return host_library.kernel_sources()


def test_includes() -> None:
    for path in [*portable_sources(), *kernel_files(".h")]:
        for name in re.findall(r"#include <(.*)>", path.read_text()):
            of_helium = name == "arm_mve.h" and path.stem.endswith("_mve")
            assert of_helium or name in ALLOWED_INCLUDES, f"{path.name} includes <{name}>"


def test_no_floating_point() -> None:
    for path in portable_sources():
        code = re.sub(r"//.*|\"[^\"]*\"", "", path.read_text())
        assert not re.search(r"\b(float|double)\b", code), path.name


@needs_arm
@pytest.mark.parametrize("core", emulator.CORES.values(), ids=lambda core: core.name)
def test_compiles_without_warnings_and_needs_no_library(core: Core, tmp_path: Path) -> None:
    objects = arm_kernels.objects(core)  # whose warnings are errors
    merged = tmp_path / "kernels.o"
    subprocess.run(["arm-none-eabi-ld", "-r", "-o", merged, *objects], check=True)
    listing = subprocess.run(
        ["arm-none-eabi-nm", "--undefined-only", merged], check=True, capture_output=True, text=True
    ).stdout
    for line in listing.splitlines():
        name = line.split()[-1]
        assert ALLOWED_SYMBOLS.fullmatch(name), f"{core.name}: the kernels call {name}"
    # Constant data only: nothing is kept between calls.
    sizes = subprocess.run(
        ["arm-none-eabi-size", "-A", merged], check=True, capture_output=True, text=True
    ).stdout
    for line in sizes.splitlines():
        if line.startswith((".data", ".bss")):
            assert int(line.split()[1]) == 0, line


@needs_arm
def test_compiles_for_the_cortex_m55(tmp_path: Path) -> None:
    """Without rows of weights (tests/tflm_custom_ops/mve): what its extensions select compiles."""
    core = ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard")
    for source in kernel_files(".c", ".S"):
        done = subprocess.run(
            [
                str(COMPILER), *core, "-std=c11", "-Wall", "-Wextra", "-Werror", "-Wvla",
                f"-I{KERNELS}", "-c", str(source), "-o", str(tmp_path / "out.o"),
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@needs_arm
def test_a_warning_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "vit_narrow.c"
    source.write_text("signed char narrow(int x);\nsigned char narrow(int x) { return x; }\n")
    with pytest.raises(emulator.EmulationError, match="conversion"):
        arm_kernels.build(sources=[source])


def call_graph(directory: Path) -> tuple[dict[str, int], dict[str, set[str]]]:
    """Stack bytes of each function, and what it calls, from gcc's -fcallgraph-info=su."""
    stack: dict[str, int] = {}
    calls: dict[str, set[str]] = {}
    for path in directory.glob("*.ci"):
        text = path.read_text()
        for name, label in re.findall(r'node: \{ title: "([^"]+)" label: "([^"]*)"', text):
            size = re.search(r"(\d+) bytes \((\w+)\)", label)
            if size:
                assert size.group(2) == "static", f"{name} has a {size.group(2)} stack frame"
                stack[name] = int(size.group(1))
        for caller, callee in re.findall(
            r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', text
        ):
            calls.setdefault(caller, set()).add(callee)
    return stack, calls


@needs_arm
@pytest.mark.parametrize("extra", [(), ("-DVIT_NO_DSP",)], ids=["dsp", "portable"])
def test_stack_of_every_kernel(extra: tuple[str, ...], tmp_path: Path) -> None:
    """The deepest call chain of any kernel keeps within the stack limit."""
    sources = [*portable_sources(), *(() if extra else kernel_files(".S"))]
    for source in sources:
        target = str(tmp_path / f"{source.stem}_{source.suffix[1:]}.o")
        command = [str(COMPILER), *emulator.CORTEX_M7.compiler_flags(), "-O2", "-std=c11", *extra]
        command += ["-fcallgraph-info=su", f"-I{KERNELS}", "-c", str(source), "-o", target]
        subprocess.run(command, check=True, capture_output=True)
    stack, calls = call_graph(tmp_path)
    stores = {name for name in stack if "vit_store_" in name}
    assert len(stores) >= 9

    def depth(name: str, path: tuple[str, ...] = ()) -> int:
        assert name not in path, f"recursion: {path}"
        callees = set(calls.get(name, ()))
        if "__indirect_call" in callees:  # a VitStoreFunction, the only function pointer
            callees = (callees - {"__indirect_call"}) | stores
        below = max((depth(c, (*path, name)) for c in callees), default=0)
        return stack.get(name, ASSEMBLY_FRAME) + below

    entries = ("attention", "mlp", "layer_norm", "gelu", "linear", "patch_embed")
    for entry in entries:
        assert f"vit_{entry}" in stack
        assert depth(f"vit_{entry}") <= STACK_LIMIT, entry
