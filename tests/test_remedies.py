# SPDX-License-Identifier: Apache-2.0
"""What messages tell a user to type exists, and does what they say."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from converter.compile import CompileError, compile_model
from converter.fuse import __main__ as fuse_command
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import parse
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.tflite.test_reader_writer import two_functions
from tests.tflm_vit.test_commands import COMMANDS
from tflm_vit.flag_set import FlagSet
from tools.site.messages import messages

FLAG = re.compile(r"--([a-z][a-z0-9_]*)(?:=([a-z][a-z0-9_]*))?")
MODULE = re.compile(r"python -m ([a-z_.]+[a-z])")


def all_flags() -> dict[str, list[FlagSet]]:
    """Flag -> the commands that have it."""
    found: dict[str, list[FlagSet]] = {}
    for module in COMMANDS.values():
        flags = importlib.import_module(module).FLAGS
        for name in flags.names:
            found.setdefault(name, []).append(flags)
    return found


def takes(flags: FlagSet, name: str, value: str) -> bool:
    """Whether a value is one that a flag takes; only choices can say no."""
    choices = getattr(flags._values[name].parser, "enum_values", None)
    return choices is None or value in choices


def test_flags_and_modules_of_messages_exist() -> None:
    known = all_flags()
    named = 0
    for path, text in messages():
        for module in MODULE.findall(text):
            assert module in COMMANDS, f"{path}: python -m {module}"
        for name, value in FLAG.findall(text):
            named += 1
            if name == "help":
                continue
            holders = known.get(name) or known.get(name.removeprefix("no"))
            assert holders, f"{path}: no command has --{name}: {text}"
            assert not value or any(takes(f, name, value) for f in holders), f"{path}: {text}"
    assert named > 100


_LONG = 600  # more than fuse makes a layer of


def layer_and_sum() -> bytes:
    """A linear layer, and an operator that TFLM's wheel has and the compiled runtime has not."""
    g = PlainGraph(np.random.default_rng(0))
    y = g.linear(g.input(g.rng.normal(0, 1, (1, 4, 6))), _LONG)
    total = np.cumsum(g.value(y), axis=2)
    z = g.op("CUMSUM", [y, g.indices(2, scalar=True)], total, **options("CumsumOptions"))
    return g.finish(z)


def test_what_the_compiled_runtime_lacks_is_fused_and_run_in_tflm() -> None:
    plain = layer_and_sum()
    with pytest.raises(CompileError, match=r"CUMSUM; fuse it first \(python -m converter\.fuse\)"):
        compile_model(plain)
    fused = plan_model(fuse_model(plain).model_bytes).model_bytes
    with pytest.raises(CompileError, match=r"CUMSUM; run it with --runtime=tflm \(TFLM wheel\)"):
        compile_model(fused)
    x = np.random.default_rng(1).integers(-128, 128, (1, 4, 6)).astype(np.int8)
    (y,) = open_runtime("tflm", fused).run(x)
    assert y.shape == (1, 4, _LONG)
    assert len(np.unique(y)) > 1


def test_one_of_several_signatures_is_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "plain.tflite", tmp_path / "fused.tflite"
    path.write_bytes(two_functions(layer_and_sum()))
    command = [f"--model={path}", f"--out={out}"]
    with pytest.raises(SystemExit):
        fuse_command.main(command)
    line = capsys.readouterr().err
    assert "choose with --signature=NAME" in line
    assert not out.exists()
    fuse_command.main([*command, "--signature=logits"])
    assert [s.key for s in parse(out.read_bytes()).signatures] == ["logits"]
