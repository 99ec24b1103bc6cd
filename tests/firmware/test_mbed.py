# SPDX-License-Identifier: Apache-2.0
"""Mbed projects, as far as they can be checked without Mbed's sources.

A stand-in for the mbed-os folder offers the names that the project uses: the CMake files, the
targets, `mbed.h`. Against it the project configures, compiles and links for the real core.
"""

from __future__ import annotations

import json
import shutil

import pytest

from boards import get_board
from firmware.elf import Elf
from firmware.errors import FirmwareError
from firmware.export import export_project
from firmware.project import make_project
from tests.firmware import fake_model
from tests.firmware.fake_model import FakeModel
from tests.firmware.test_export import run_commands

_TOOLCHAIN = """\
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
set(CMAKE_ASM_COMPILER arm-none-eabi-gcc)
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
"""
_TARGETS = """\
add_library(mbed-baremetal INTERFACE)
target_include_directories(mbed-baremetal INTERFACE ${CMAKE_CURRENT_SOURCE_DIR})
set(core -mcpu=cortex-m7 -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard -Wall -Wextra -Werror)
target_compile_options(mbed-baremetal INTERFACE ${core} -ffunction-sections -fdata-sections)
target_link_options(mbed-baremetal INTERFACE ${core} --specs=nosys.specs -Wl,--gc-sections
  -Wl,--no-warnings -Wl,--defsym=__StackTop=0x20050000 -Wl,--defsym=__StackLimit=0x2004e000)
"""
_POST_BUILD = "function(mbed_set_post_build target)\nendfunction()\n"
_HEADER = """\
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
enum PinName { CONSOLE_TX, CONSOLE_RX };
inline volatile int stand_in = 0;
namespace mbed {
class BufferedSerial {
 public:
  BufferedSerial(PinName, PinName, int) {}
  ssize_t write(const void*, size_t count) { return static_cast<ssize_t>(count); }
  // Unknown to the compiler, so that nothing is optimised away.
  ssize_t read(void*, size_t) { return stand_in; }
  bool readable() const { return stand_in != 0; }
  int set_blocking(bool) { return 0; }
};
}  // namespace mbed
"""


def make_stand_in(folder):
    tools = folder / "mbed-os" / "tools" / "cmake"
    tools.mkdir(parents=True)
    for name, text in (
        ("tools/cmake/mbed_toolchain_setup.cmake", _TOOLCHAIN),
        ("tools/cmake/mbed_project_setup.cmake", _POST_BUILD),
        ("tools/cmake/app.cmake", _TOOLCHAIN + _POST_BUILD),
        ("CMakeLists.txt", _TARGETS),
        ("mbed.h", _HEADER),
    ):
        (folder / "mbed-os" / name).write_text(text)


def make(tmp_path, board="stm32f746g_disco", model=FakeModel()):  # noqa: B008
    directory, kernels = fake_model.write(tmp_path / "generated", model)
    return make_project(get_board(board), directory, kernels, name="digits")


@pytest.mark.skipif(shutil.which("ninja") is None, reason="ninja is not installed")
@pytest.mark.parametrize("layout", ["", "legacy"], ids=["ce", "legacy"])
def test_builds_against_a_stand_in_for_mbed(tmp_path, layout):
    out = tmp_path / "out"
    export_project(make(tmp_path), "mbed", out, check=False, variant=layout)
    shutil.rmtree(tmp_path / "generated")
    make_stand_in(out)
    command = "cmake -S . -B build -GNinja -DMBED_TARGET=DISCO_F746NG -DCMAKE_BUILD_TYPE=Release"
    run_commands(out, [command, "cmake --build build"])
    elf = Elf(next(p for p in (out / "build").iterdir() if p.name in ("digits", "digits.elf")))
    for name in ("main", "vit_model_invoke", "fake_loop", "meter_operator", "vit_model_weights"):
        assert elf.has_symbol(name), name
    # The arena is zero-initialised memory, not bytes in the image.
    assert elf.section_bytes(".arena") == 0
    assert elf.section_bytes(".bss") > 512
    # No start-up of ours beside Mbed's.
    assert not elf.has_symbol("reset_handler")
    assert not elf.has_symbol("clock_init")


def test_ce_layout(tmp_path):
    out = tmp_path / "out"
    export_project(make(tmp_path), "mbed", out, check=False)
    text = (out / "mbed_app.json5").read_text()
    content = json.loads(text.split("\n", 1)[1])
    overrides = content["target_overrides"]["*"]
    assert overrides["platform.stdio-baud-rate"] == 115200
    assert overrides["target.application-profile"] == "bare-metal"
    lists = (out / "CMakeLists.txt").read_text()
    order = [
        lists.index(part)
        for part in (
            "set(MBED_APP_JSON_PATH mbed_app.json5)",
            "include(mbed-os/tools/cmake/mbed_toolchain_setup.cmake)",
            "project(digits",
            "include(mbed_project_setup)",
            "add_subdirectory(mbed-os)",
            "add_executable(digits",
            "target_link_libraries(digits PRIVATE mbed-baremetal)",
            "mbed_set_post_build(digits)",
        )
    ]
    assert order == sorted(order)
    assert "-DMBED_TARGET=DISCO_F746NG" in (out / "README.md").read_text()
    assert not (out / "board" / "linker.ld").exists()


def test_legacy_layout(tmp_path):
    out = tmp_path / "out"
    export_project(make(tmp_path), "mbed", out, check=False, variant="legacy")
    assert (out / "mbed-os.lib").read_text().startswith("https://github.com/ARMmbed/mbed-os/#")
    assert json.loads((out / "mbed_app.json").read_text())["requires"] == ["bare-metal"]
    assert "mbed-tools compile -m DISCO_F746NG -t GCC_ARM" in (out / "README.md").read_text()


def test_what_mbed_cannot_have_is_refused(tmp_path):
    with pytest.raises(FirmwareError, match="Mbed OS has no target for openmv_cam_m4"):
        export_project(make(tmp_path / "a", "openmv_cam_m4"), "mbed", tmp_path / "x", check=False)
    external = make(tmp_path / "b", model=FakeModel(section=".extflash.vit_weights"))
    with pytest.raises(FirmwareError, match="internal flash only"):
        export_project(external, "mbed", tmp_path / "x", check=False)
    with pytest.raises(FirmwareError, match="--format=cmake has no variant 'legacy'"):
        export_project(make(tmp_path / "c"), "cmake", tmp_path / "x", variant="legacy")
    assert not (tmp_path / "x").exists()
