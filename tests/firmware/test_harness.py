# SPDX-License-Identifier: Apache-2.0
"""MLPerf Tiny's serial protocol, spoken from outside with a board in the emulator."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest

from boards import get_board
from converter.contract import Contract, with_contract
from converter.plan.model import plan_model
from converter.tflite import serialize
from converter.tflite.schema import schema
from firmware.emulator.emulator import Emulator
from firmware.emulator.serial_line import EmulatedSerial
from firmware.errors import FirmwareError, ModelError
from firmware.harness import energy_board
from firmware.model import build_model, project_from_model
from keras_models.tasks import TASKS
from tests.commands import run_here
from tests.tflm_custom_ops.builtins import one_op

BOARD = "stm32f746g_disco"
SCALE, ZERO_POINT = 1 / 127.5, -1
SENT_BYTES = 31  # of a command of the runner


def pooled(
    side: int = 32, channels: int = 3, *, contract: bool = True, task: str = "classification"
) -> bytes:
    """A network of one value a channel: the mean of the picture."""
    ends = [
        one_op.activation(name, (1, height, height, channels), SCALE, ZERO_POINT)
        for name, height in (("x", side), ("y", 1))
    ]
    axes = one_op.constant("axes", np.array([1, 2], np.int32))
    options = schema.ReducerOptionsT()
    options.keepDims = True
    model = one_op.model("MEAN", options, [ends[0], axes], ends[1])
    if contract:
        model = with_contract(
            model, Contract(class_names=tuple("abc"[:channels]), task=TASKS[task])
        )
    return plan_model(serialize(model)).model_bytes


class Device:
    """What the runner does with a device: commands, and lines until it is ready."""

    def __init__(self, emulator: Emulator) -> None:
        self._line = EmulatedSerial(emulator)
        self.started = emulator.banner.splitlines()

    def send(self, command: str) -> list[str]:
        self._line.write(f"{command}%".encode())
        lines = self._line.read(0.0).decode().split("\r\n")
        assert lines[-2:] == ["m-ready", ""]
        return lines[:-2]

    def load(self, data: bytes) -> list[str]:
        said = self.send(f"db load {len(data)}")
        for start in range(0, len(data), SENT_BYTES):
            said += self.send(f"db {data[start : start + SENT_BYTES].hex()}")
        return said


def seconds_between(lines: list[str]) -> float:
    laps = [int(m[1]) for line in lines if (m := re.fullmatch(r"m-lap-us-(\d+)", line))]
    assert len(laps) == 2
    return (laps[1] - laps[0]) / 1e6


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    elf = tmp_path_factory.mktemp("harness") / "f.elf"
    build_model(pooled(), get_board(BOARD), elf, harness="ic01")
    return Emulator(get_board(BOARD), elf)


@pytest.fixture
def device(emulator: Emulator) -> Device:
    emulator.reset()
    return Device(emulator)


def test_what_a_device_says_of_itself(device: Device) -> None:
    assert device.started[0] == "m-timestamp-mode-performance"
    assert re.fullmatch(r"m-lap-us-\d+", device.started[1])
    assert device.started[2:] == ["m-init-done", "m-ready"]
    assert device.send("name") == [f"m-name-dut-[{BOARD}]"]
    assert device.send("profile") == [
        "m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[ic01]"
    ]  # fmt: skip
    assert len(device.send("help")) == 2
    assert device.send("\r\nname\r\n") == device.send("name")


def test_accuracy_mode(device: Device) -> None:
    """Each picture once, without warm-up, as the runner asks."""
    rng = np.random.default_rng(0)
    for _ in range(2):
        picture = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
        picture[..., rng.integers(3)] //= 2
        assert device.load(picture.tobytes()) == ["m-[Expecting 3072 bytes]", "m-load-done"]
        lines = device.send("infer 1 0")
        assert lines[:3] == ["m-warmup-start-0", "m-warmup-done", "m-infer-start-1"]
        assert lines[-2] == "m-infer-done"
        said = [float(x) for x in re.fullmatch(r"m-results-\[(.*)\]", lines[-1])[1].split(",")]
        means = picture.reshape(-1, 3).mean(axis=0) / 127.5 - 1
        np.testing.assert_allclose(said, means, atol=1.01 * SCALE + 0.0005)
        assert np.argmin(said) == np.argmin(means)
        assert device.send("results") == lines[-1:]


def test_performance_mode(emulator: Emulator, device: Device) -> None:
    picture = np.full((32, 32, 3), 200, np.uint8)
    device.load(picture.tobytes())
    one, many = (device.send(f"infer {count} 2") for count in (1, 11))
    assert one[-1] == many[-1]  # the input is there for each of them
    ten = seconds_between(many) - seconds_between(one)
    counts = device.send("operators")
    cycles = [int(re.fullmatch(r"m-operator-(\d+)-\[.+\]", line)[1]) for line in counts]
    assert len(cycles) == 1
    clock = get_board(BOARD).clock.system_hz
    assert cycles[0] < ten / 10 * clock < 1.6 * cycles[0] + 20_000
    ready = seconds_between(device.send("timestamp") + device.send("timestamp"))
    assert 0 <= ready < 0.01


def test_time_goes_on_for_days(emulator: Emulator, device: Device) -> None:
    """All cycles times a million were more than 64 bits after 24 hours at 216 MHz."""
    hours = 100
    cycles = hours * 3600 * get_board(BOARD).clock.system_hz
    emulator.machine.write(emulator.elf.address("clock_cycles"), struct.pack("<Q", cycles))
    (line,) = device.send("timestamp")
    assert int(line.removeprefix("m-lap-us-")) == pytest.approx(hours * 3600e6, abs=1e6)


def test_what_makes_no_sense_is_an_error(device: Device) -> None:
    def error(command: str) -> str:
        (line,) = device.send(command)
        assert line.startswith("e-[")
        return line[3:-1]

    assert error("sleep") == "Unknown command: sleep"
    assert device.send("") == device.send("  ") == []
    assert error("results") == "No results: nothing was inferred"
    assert error("infer 1 0") == "Input incomplete: 0 bytes"
    assert error("db") == "Command 'db' requires a subcommand"
    assert error("db 00") == "Command 'db load' must come first"
    for command in ("db load", "db load 3071", "db load x", "db load 99999999999"):
        assert error(command) == "Command 'db load' must be of 3072 bytes"
    device.send("db load 3072")
    assert error("db 0") == "Insufficient number of hex digits"
    assert error("db 0g") == "Invalid hex digit"
    assert device.send("db 00ff80") == []
    assert device.send("db print") == ["m-buffer-80-7e-00"]  # as the model takes them
    assert error("infer 1 0") == "Input incomplete: 3 bytes"
    assert error("infer 0") == "Inference iterations must be >0"
    assert error("infer 1 -1") == "Inference warmup must be >=0"
    assert error("x" * 81) == "Command longer than 80 bytes"
    assert error("x" * 80) == f"Unknown command: {'x' * 80}"
    assert device.load(bytes(3072))[-1] == "m-load-done"
    assert device.send("db ff") == []  # more than was asked for
    assert device.send("infer 1 0")[-1] == "m-results-[-0.996,-0.996,-0.996]"


def test_the_runner_s_words_do_not_disturb_the_emulator_s_window(emulator: Emulator) -> None:
    emulator.reset()
    image = np.full((32, 32, 3), 7, np.int8)
    assert emulator.classify(image).logits.tolist() == [7, 7, 7]
    emulator.close_window()
    assert Device(emulator).send("name") == [f"m-name-dut-[{BOARD}]"]


def test_energy_mode(tmp_path: Path) -> None:
    """Times are falling edges of a pin, of some microseconds each, and the line is a slow one."""
    elf, pin = tmp_path / "f.elf", 8
    build_model(pooled(), get_board(BOARD), elf, harness="ic01", timestamp_pin=f"PA{pin}")
    board, found = energy_board(get_board(BOARD), f"PA{pin}")
    assert (found.port, found.number) == ("A", pin)
    emulator = Emulator(board, elf)
    device = Device(emulator)

    def edges() -> list[int]:
        bits = [
            w.value for w in emulator.machine.chip.log if w.block == "GPIOA" and w.offset == 0x18
        ]
        return [1 if value == 1 << pin else 0 if value == 1 << (pin + 16) else -1 for value in bits]

    assert device.started == ["m-timestamp-mode-energy", "m-init-done", "m-ready"]
    assert edges() == [1, 0, 1]  # released first
    device.load(bytes(3072))
    lines = device.send("infer 2 1")
    assert not any("lap" in line for line in lines)
    assert lines[-1] == "m-results-[-0.996,-0.996,-0.996]"
    assert edges()[3:] == [0, 1, 0, 1]
    assert device.send("timestamp") == []
    assert edges()[7:] == [0, 1]
    for words, message in (
        (("PA9", "ic01"), "stm32f746g_disco uses it: give another pin"),
        (("A8", "ic01"), "expected a pin such as PC6"),
        (("PA8", ""), "goes with --harness: give both"),
    ):
        with pytest.raises(FirmwareError, match=message):
            project_from_model(
                pooled(), get_board(BOARD), tmp_path, timestamp_pin=words[0], harness=words[1]
            )


def test_inputs_of_the_benchmark_are_the_model_s(tmp_path: Path) -> None:
    board = get_board(BOARD)
    for harness, model, message in (
        ("vww01", pooled(), "the model takes 32x32x3, the benchmark sends 96x96x3: give"),
        ("kws01", pooled(), "the model takes 32x32x3, the benchmark sends 49x10x1: give"),
        ("ic01", pooled(task="segmentation"), "the model is for segmentation, .*: give a class"),
    ):
        with pytest.raises(ModelError, match=message):
            project_from_model(model, board, tmp_path, harness=harness)
    with pytest.raises(FirmwareError, match="--harness is for the compiled runtime: leave"):
        project_from_model(pooled(), board, tmp_path, harness="ic01", runtime="tflm")
    path = tmp_path / "m.tflite"
    path.write_bytes(pooled())
    words = ("firmware.export", f"--model={path}", f"--out={tmp_path}/out", "--harness=ic01")
    refused = run_here(*words, "--format=library", "--name=mean")
    assert "--format=library is no application: leave --harness out" in refused.stderr
    done = run_here(*words, "--nocheck")
    assert done.returncode == 0, done.stderr
    names = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.?")}
    assert {"src/harness/harness.c", "src/harness/main.c", "board/harness_config.h"} <= names
    assert "src/app/main.c" not in names
