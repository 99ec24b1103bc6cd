# SPDX-License-Identifier: Apache-2.0
"""Names of inputs and outputs in a header, and what a header has no place for."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from pathlib import Path

import pytest

from boards import get_board
from converter.contract import Contract, with_contract
from converter.fuse import fuse_model
from converter.plan.model import plan_model
from converter.tflite import parse, serialize
from converter.tflite.model import Signature
from firmware import export
from firmware.formats import get_library_format
from firmware.library import library_from_model
from firmware.library.said import said_by
from keras_models.datasets.normalization import Normalization
from tests.converter.fuse.gate.networks import network
from tests.converter.fuse.test_int8_io import with_ends
from tests.firmware.library import models
from tests.firmware.library.builds import ARDUINO_H
from toolchain import host_c, host_cxx

NAMES = ("left eye", 'a "quoted" name', "??/ \\ größe\n")


def named() -> bytes:
    """The model of three inputs, with a signature that lists them in an order of its own."""
    model = parse(models.third())
    inputs = tuple(zip(NAMES, model.graph.inputs, strict=True))
    signature = Signature("serving", inputs[::-1], (("sum", model.graph.outputs[1]),))
    return plan_model(serialize(dataclasses.replace(model, signatures=(signature,)))).model_bytes


def test_inputs_and_outputs_have_the_names_of_the_signature(tmp_path: Path) -> None:
    content = named()
    graph = parse(content).graph
    library = library_from_model(content, "sums", get_board("stm32f746g_disco"), check=False)
    own = [graph.tensors[i].name for i in graph.outputs]
    assert library.facts.said.inputs == NAMES
    assert library.facts.said.outputs == (own[0], "sum", own[2])
    for file in library.files:
        file.write(tmp_path)
    (tmp_path / "main.c").write_text(
        '#include "sums.h"\n#include <stdio.h>\nint main(void) {\n'
        '  return puts(SUMS_INPUT0_NAME "|" SUMS_INPUT1_NAME "|" SUMS_INPUT2_NAME) < 0;\n}\n'
    )
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{tmp_path / 'include'}"]
    built = tmp_path / "main"
    subprocess.run([host_c().path, *flags, tmp_path / "main.c", "-o", built], check=True)
    shown = subprocess.run([built], capture_output=True, check=True).stdout.decode()
    assert shown == "|".join(NAMES) + "\n"


def test_what_the_header_has_no_place_for_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A float classifier's class names: its rows are no int8 image."""
    stated = Contract(Normalization((0.0,), (60.0,)), class_names=tuple(map(str, range(10))))
    plain = serialize(with_contract(parse(with_ends(network(), "uint8", "float32")), stated))
    file = tmp_path / "fused.tflite"
    file.write_bytes(plan_model(fuse_model(plain).model_bytes).model_bytes)
    words = [f"--model={file}", "--format=library", "--name=digits", "--nocheck"]
    export.main([*words, f"--out={tmp_path / 'out'}", f"--json={tmp_path / 'out.json'}"])
    line = "not in the header: class names and scaling of pixels, which it has for one int8 image"
    shown = capsys.readouterr().out
    assert line in shown
    assert "sources, not measured (--nocheck);" in shown
    header = (tmp_path / "out/include/digits.h").read_text(encoding="utf-8")
    assert "no floating point but where float\n// inputs and outputs become integers" in header
    report = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert report["left_out"] == ["class names", "scaling of pixels"]


def test_nothing_is_left_out_of_a_classifier() -> None:
    library = library_from_model(
        models.first(), "first", get_board("stm32f746g_disco"), check=False
    )
    said = said_by(models.first(), library.facts.interface)
    assert said.left_out == ()
    assert said.class_names == models.NAMES


@pytest.mark.parametrize("name", ["zephyr", "arduino"])
@pytest.mark.parametrize("model", ["first", "third"])
def test_a_sample_names_a_class_where_there_are_classes(
    tmp_path: Path, name: str, model: str
) -> None:
    content = {"first": models.first, "third": models.third}[model]()
    library = library_from_model(content, model, get_board("stm32f746g_disco"), check=False)
    for file in get_library_format(name).files(library):
        file.write(tmp_path)
    (sample,) = [*tmp_path.glob("samples/*/src/main.c"), *tmp_path.glob("examples/*/*.ino")]
    text = sample.read_text(encoding="utf-8")
    assert (", class" in text) == (model == "first")
    if name == "zephyr":
        assert len(re.findall("%[ud]", text)) == text.count("(int)status") + text.count("(unsigned")
        return
    program = tmp_path / "main.cpp"
    (tmp_path / "Arduino.h").write_text(ARDUINO_H)
    program.write_text(f'#include "Arduino.h"\n{text}')
    places = [f"-I{tmp_path}", f"-I{tmp_path / 'src'}"]
    subprocess.run([host_cxx().path, "-Wall", "-fsyntax-only", *places, program], check=True)
