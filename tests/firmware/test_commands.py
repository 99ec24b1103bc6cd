# SPDX-License-Identifier: Apache-2.0
"""The commands on bad input: one line that names the file, a status, and nothing half-written."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from converter import tflite
from converter.plan import plan_model
from firmware import board_table, build, client, emulate, export
from tests.converter.compile import fused_models
from tests.firmware.fake_model import FakeModel

ROOT = Path(__file__).parents[2]
COMMANDS = {"build": build, "export": export, "emulate": emulate, "client": client}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    errors: list[str]


def run_command(name: str, arguments: list[str], folder: Path, tools: str | None = None) -> Outcome:
    """Runs a command in a child of this process, which has the imports already."""
    log = folder.parent / "stderr.txt"
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.chdir(folder)
            with log.open("w") as stream:
                os.dup2(stream.fileno(), 2)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            if tools is not None:
                os.environ["PATH"] = tools
            COMMANDS[name].main(arguments)
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 99
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return Outcome(os.waitstatus_to_exitcode(status), log.read_text().splitlines())


def softmax_model() -> bytes:
    """A well-formed `.tflite` with an operator that the compiled runtime does not have."""
    quantization = tflite.Quantization.per_tensor(0.05, -5)
    tensors = tuple(
        tflite.Tensor(name, (1, 4, 4, 3), np.dtype(np.int8), quantization) for name in ("x", "y")
    )
    graph = tflite.Graph(tensors, (tflite.Operator("SOFTMAX", (0,), (1,)),), (0,), (1,))
    return tflite.serialize(tflite.Model(graph))


@pytest.fixture(scope="module")
def files(tmp_path_factory, build_fake):
    """Good and bad input in one folder."""
    folder = tmp_path_factory.mktemp("input")
    unplanned = fused_models.model_bytes(fused_models.vit_ops())
    good = plan_model(unplanned).model_bytes
    built = build_fake(FakeModel())
    elf = built.elf.read_bytes()
    hangs = build_fake(FakeModel(operator_zero_prologue='__asm volatile("1: b 1b");'))
    for name, content in (
        ("good.tflite", good),
        ("empty.tflite", b""),
        ("text.tflite", b"hello, I am no model"),
        ("truncated.tflite", good[: len(good) // 2]),
        ("head.tflite", good[:6]),
        ("softmax.tflite", softmax_model()),
        ("unplanned.tflite", unplanned),
        ("good.elf", elf),
        ("hangs.elf", hangs.elf.read_bytes()),
        ("empty.elf", b""),
        ("text.elf", b"hello, I am no image"),
        ("truncated.elf", elf[: len(elf) // 2]),
        ("head.elf", elf[:40]),
        ("bad.json", b'{"cpu": "cortex-m4"}'),
        ("empty.npy", b""),
        ("text.png", b"hello, I am no picture"),
        ("some_file", b"mine"),
    ):
        (folder / name).write_bytes(content)
    np.save(folder / "good.npy", np.zeros((1, 8, 6, 3), np.int8))
    np.save(folder / "shape.npy", np.zeros((1, 9, 6, 3), np.int8))
    (folder / "taken").mkdir()
    (folder / "taken" / "precious.txt").write_text("mine")
    return folder


MODELS = [
    ("missing.tflite", "missing.tflite: No such file or directory"),
    ("taken", "taken: got a folder, expected a file"),
    ("empty.tflite", "empty.tflite: got 0 bytes, expected a .tflite file"),
    ("head.tflite", "head.tflite: got 6 bytes, expected a .tflite file"),
    ("text.tflite", "text.tflite: got file identifier b'o, I', expected b'TFL3'"),
    ("truncated.tflite", " bytes that are no complete flatbuffer"),
    ("softmax.tflite", "softmax.tflite: "),
    ("unplanned.tflite", "unplanned.tflite: the model has no VitPlan metadata; plan it with"),
]
ELFS = [
    ("missing.elf", "cannot read missing.elf: No such file or directory"),
    ("empty.elf", "empty.elf: not an ELF file: got "),
    ("head.elf", "head.elf: not an ELF file: got "),
    ("text.elf", "text.elf: not an ELF file: got "),
    ("truncated.elf", "truncated.elf: not an ELF file: got "),
]
IMAGES = [
    ("missing.png", "no such image: missing.png"),
    ("text.png", "text.png: not an image: "),
    ("empty.npy", "empty.npy: not a .npy file: "),
    ("shape.npy", "shape.npy holds int8[1, 9, 6, 3], expected int8 or uint8 [N, 8, 6, 3]"),
    ("taken", "taken holds no image"),
]
BOARDS = [
    ("nothing", "unknown board 'nothing'; expected one of nucleo_h743zi2"),
    ("missing.json", "missing.json: No such file or directory"),
    ("bad.json", "bad.json: clock_hz is missing; expected 100000 to"),
]
LIBRARY = ["--model=good.tflite", "--out=lib", "--format=library", "--nocheck"]
EXPORT = ["--out=out", "--model=good.tflite"]
CASES = [
    *(("export", ["--out=out", f"--model={name}"], text) for name, text in MODELS),
    *(("build", ["--out=out.elf", f"--model={name}"], text) for name, text in MODELS),
    *(("emulate", [f"--model={name}"], text) for name, text in MODELS),
    *(
        ("client", ["--elf=good.elf", "--images=good.npy", f"--model={name}"], text)
        for name, text in MODELS
    ),
    *(("emulate", [f"--elf={name}"], text) for name, text in ELFS),
    *(("client", ["--images=good.npy", f"--elf={name}"], text) for name, text in ELFS),
    *(("emulate", ["--elf=good.elf", f"--images={name}"], text) for name, text in IMAGES),
    *(("client", ["--elf=good.elf", f"--images={name}"], text) for name, text in IMAGES),
    *(("export", [*EXPORT, f"--board={name}"], text) for name, text in BOARDS),
    *(("emulate", ["--elf=good.elf", f"--board={name}"], text) for name, text in BOARDS),
    *(
        (name, ["--elf=hangs.elf", "--images=good.npy", "--timeout=0.01"], text)
        for name in ("emulate", "client")
        for text in ("more than 2,160,000 instructions, pc 0x", "more with --timeout, or mend")
    ),
    ("emulate", ["--elf=good.elf", "--board=nucleo_h743zi2"], "nucleo_h743zi2"),
    ("emulate", [], "give either --elf (a built image) or --model"),
    *(
        ("emulate", ["--elf=good.elf", f"--{name}={value}"], f"--{name} says how --model is built")
        for name, value in (("weights_in", "internal"), ("runtime", "tflm"))
    ),
    ("emulate", ["--elf=good.elf", "--json=taken"], "taken: got a folder"),
    ("client", ["--images=good.npy"], "give either --port"),
    ("client", ["--elf=good.elf"], "--images is missing: image files, or folders of them"),
    ("client", ["--port=/dev/no_such_port", "--images=good.npy"], "/dev/no_such_port"),
    ("client", ["--port=socket://localhost:1", "--images=good.npy"], "cannot open serial port"),
    ("export", ["--out=out"], "--model is missing: fused and planned .tflite"),
    ("export", ["--model=good.tflite"], "--out is missing: folder to make"),
    ("export", ["--out=taken", "--model=good.tflite"], "taken exists; choose another --out or"),
    (
        "export",
        ["--out=some_file", "--model=good.tflite", "--overwrite"],
        "is a file, expected a fol",
    ),
    ("export", ["--out=some_file/out", "--model=good.tflite"], "some_file is a file, expected"),
    ("export", ["--out=/proc/out", "--model=good.tflite", "--nocheck"], "/proc"),
    ("export", [*EXPORT, "--name=a b"], "--name: project name 'a b': expected 1 to 64 letters"),
    ("export", [*EXPORT, "--name=all"], "--name: project name 'all' is a target of the build"),
    ("export", [*EXPORT, "--name=-x"], "no '-' first"),
    ("export", [*EXPORT, "--variant=legacy"], "--format=cmake has no variant 'legacy'"),
    ("export", [*LIBRARY, "--variant=legacy"], "--format=library has no variant 'legacy'"),
    ("export", [*LIBRARY[:3], "--runtime=tflm"], "without it: --nocheck, which guesses the arena"),
    (
        "export",
        [*LIBRARY, "--format=zephyr", "--runtime=tflm"],
        "--format=zephyr has the compiled runtime only; use --format=library",
    ),
    ("export", [*LIBRARY, "--name=a-b"], "--name: library name 'a-b': expected a letter, then"),
    ("export", [*LIBRARY, "--name=math"], "--name: library name 'math': a header has this name"),
    ("export", [*LIBRARY, "--name=test"], "--name: project name 'test' is a target of the build"),
    ("export", [*LIBRARY, "--name=vit_01234567_x"], "kernels have such names, expected another"),
    ("export", [*LIBRARY, "--out=taken"], "taken exists; choose another --out"),
    ("export", [*EXPORT, "--runtime=tflm"], "--runtime=tflm needs TFLM_DIR"),
    (
        "export",
        [*EXPORT, "--board=openmv_cam_m4", "--weights_in=external"],
        "has no external flash",
    ),
    ("export", [*EXPORT, "--board=openmv_cam_m4", "--format=mbed"], "Mbed OS has no target for"),
    ("export", [*EXPORT, "--json=some_file/report"], "some_file"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), CASES)
def test_bad_input(files, monkeypatch, name, arguments, message):
    monkeypatch.delenv("TFLM_DIR", raising=False)
    before = {path: path.stat().st_mtime_ns for path in files.rglob("*")}
    outcome = run_command(name, arguments, files)
    assert outcome.status == (2 if "is missing: " in message else 1)
    # A progress bar may have been begun.
    lines = [line for line in outcome.errors if "image" not in line or line.startswith(name)]
    assert len(lines) == 1, outcome.errors
    assert lines[0].startswith(f"{name}: ")
    assert message in lines[0]
    after = {path: path.stat().st_mtime_ns for path in files.rglob("*")}
    assert after == before, "something was left behind"


def test_build_writes_an_image_that_runs(files, tmp_path):
    elf = tmp_path / "new" / "firmware.elf"
    assert run_command("build", ["--model=good.tflite", f"--out={elf}"], files) == Outcome(0, [])
    assert sorted(p.name for p in elf.parent.iterdir()) == ["firmware.elf", "firmware.map"]
    assert run_command("emulate", [f"--elf={elf}"], files) == Outcome(0, [])


@pytest.mark.parametrize("name", ["export", "emulate"])
def test_missing_cross_compiler(files, tmp_path, name):
    out = [f"--out={tmp_path / 'out'}"] if name == "export" else []
    outcome = run_command(name, ["--model=good.tflite", *out], files, tools=str(tmp_path))
    assert (outcome.status, len(outcome.errors)) == (1, 1)
    assert "arm-none-eabi-gcc not found; install the cross compiler" in outcome.errors[0]
    assert not list(tmp_path.iterdir())


def test_export_without_a_cross_compiler(files, tmp_path):
    arguments = ["--model=good.tflite", f"--out={tmp_path / 'out'}", "--nocheck"]
    assert run_command("export", arguments, files, tools=str(tmp_path)) == Outcome(0, [])
    assert (tmp_path / "out" / "CMakeLists.txt").is_file()


def test_board_table_cannot_write(files, capsys):
    with pytest.raises(SystemExit) as found:
        board_table.main([f"--out={files / 'some_file' / 'boards.md'}"])
    assert found.value.code == 1
    assert "some_file" in capsys.readouterr().err


def _wait_for(found: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_interrupt_leaves_nothing(files, tmp_path):
    """While the compiler works, which here is a script that sleeps."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("gcc", "g++"):
        script = tools / f"arm-none-eabi-{tool}"
        script.write_text(
            "#!/bin/sh\n"
            'if [ "$1" = --version ]; then echo none; exit 0; fi\n'
            f"touch {tmp_path}/started\nexec sleep 1000\n"
        )
        script.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "firmware.export", f"--model={files / 'good.tflite'}",
         f"--out={work / 'out'}"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "TMPDIR": str(work)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell starts its background jobs with interrupts ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    _wait_for((tmp_path / "started").exists, 300)
    # To the command alone: a compiler that starts while Ctrl-C comes does not see it either.
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert errors.split("\n") == ["", "export: interrupted", ""]
    assert not list(work.iterdir())
