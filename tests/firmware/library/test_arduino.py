# SPDX-License-Identifier: Apache-2.0
"""Arduino's own builder compiles a sketch with two libraries, and the sketch runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from boards import get_board
from converter.runtimes import open_runtime
from firmware.formats import arduino
from firmware.library import library_from_model
from tests.firmware.library import models
from tests.firmware.library.builds import ARDUINO_H

PLATFORM = """\
name=Host
version=1.0.0
recipe.c.o.pattern=gcc -c -std=gnu11 {includes} "{source_file}" -o "{object_file}"
recipe.cpp.o.pattern=g++ -c {includes} "{source_file}" -o "{object_file}"
recipe.S.o.pattern=gcc -c {includes} "{source_file}" -o "{object_file}"
recipe.ar.pattern=ar rcs "{archive_file_path}" "{object_file}"
recipe.c.combine.pattern=g++ -o "{build.path}/s.elf" {object_files} "{build.path}/{archive_file}"
recipe.size.pattern=size "{build.path}/s.elf"
recipe.size.regex=^([0-9]+)
recipe.preproc.macros=g++ -x c++ -E -CC {includes} "{source_file}" -o "{preprocessed_file_path}"
archive_file=core.a
"""
MAIN = """\
#include "Arduino.h"
void setup();
void loop();
int main() {
  setup();
  loop();
}
"""
BOTH = """\
#include "first.h"
#include "second.h"
static first_state a;
static second_state b;
static FIRST_ALIGNED uint8_t a_arena[FIRST_ARENA_BYTES];
static SECOND_ALIGNED uint8_t b_arena[SECOND_ARENA_BYTES];
static int8_t image[FIRST_INPUT_BYTES + SECOND_INPUT_BYTES];
void setup() {
  size_t best[2] = {99, 99};
  if (first_init(&a, a_arena, sizeof a_arena) == FIRST_OK && first_run(&a, image) == FIRST_OK) {
    first_best_class(&a, &best[0]);
  }
  if (second_init(&b, b_arena, sizeof b_arena) == SECOND_OK && second_run(&b, image) == SECOND_OK) {
    second_best_class(&b, &best[1]);
  }
  Serial.print("classes ");
  Serial.print(best[0]);
  Serial.print(" ");
  Serial.println(best[1]);
}
void loop() {}
"""


@pytest.mark.skipif(
    shutil.which("arduino-builder") is None,
    reason="arduino-builder is not installed (Debian: apt-get install arduino-builder)",
)
def test_two_libraries_in_a_sketch(tmp_path):
    """With a platform that compiles for the host, so that the sketch runs here."""
    for name in ("first", "second"):
        model = getattr(models, name)()
        library = library_from_model(model, name, get_board("stm32f746g_disco"), check=False)
        for file in arduino.files(library):
            file.write(tmp_path / "libraries" / name)
    host = tmp_path / "hardware" / "test" / "host"
    core = host / "cores" / "stub"
    for folder in (core, tmp_path / "build", tmp_path / "sketch"):
        folder.mkdir(parents=True)
    (host / "platform.txt").write_text(PLATFORM)
    (host / "boards.txt").write_text("pc.name=Host\npc.build.core=stub\npc.build.board=HOST\n")
    (core / "Arduino.h").write_text(ARDUINO_H)
    (core / "main.cpp").write_text(MAIN)
    (tmp_path / "sketch" / "sketch.ino").write_text(BOTH)
    builder = shutil.which("arduino-builder")
    own = Path(builder).resolve().parents[1] / "share" / "arduino-builder"
    done = subprocess.run(
        [builder, "-compile", "-fqbn", "test:host:pc", "-hardware", tmp_path / "hardware",
         "-hardware", own, "-tools", own, "-libraries", tmp_path / "libraries",
         "-build-path", tmp_path / "build", tmp_path / "sketch" / "sketch.ino"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    sketch = tmp_path / "build" / "s.elf"
    shown = subprocess.run([sketch], capture_output=True, text=True, check=True)
    best = []
    for model in (models.first(), models.second()):
        runtime = open_runtime("reference", model)
        best.append(int(np.argmax(runtime.run(np.zeros(runtime.inputs[0].shape, np.int8))[0])))
    assert shown.stdout == f"classes {best[0]} {best[1]}\n"
