# SPDX-License-Identifier: Apache-2.0
"""A network is never scored on images scaled in another way than it takes them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converter.contract import (
    Contract,
    Stated,
    chosen,
    contract_of,
    input_range,
    rewritten,
)
from converter.contract.contract import ContractError, check_assumed, check_stated
from converter.contract_flags import ContractFlags
from converter.tflite import parse
from keras_models.datasets.normalization import OWN, Normalization
from tests.commands import run_here
from tests.converter.contract import images_0_to_255
from tflm_vit.files import FileError
from tflm_vit.flag_set import FlagSet


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a network that takes 0..255, without metadata."""
    path = tmp_path_factory.mktemp("contract") / "plain.tflite"
    path.write_bytes(images_0_to_255.int8_file())
    return path


def command(module: str, *arguments: str) -> tuple[int, str, str]:
    done = run_here(module, *arguments)
    return done.returncode, done.stdout, done.stderr


def top1(path: Path) -> float:
    return float(json.loads(path.read_text())["runtimes"]["reference"]["top1"])


def test_bytes_as_they_are(taken: Path, tmp_path: Path) -> None:
    """The case of a plain Keras script: 10 % were reported where the truth is far above."""
    image = parse(taken.read_bytes()).graph.tensors[0]
    assert (image.scale, image.zero_point) == (1.0, -128)
    report = tmp_path / "report.json"
    evaluate = ("converter.evaluate", "--dataset=digits", "--runtime=reference",
                f"--json={report}")  # fmt: skip
    status, _, errors = command(*evaluate, f"--model={taken}")
    assert status != 0
    assert not report.exists()
    line = errors.strip().splitlines()[-1]
    assert "the input takes 0 to 255" in line
    remedy = re.findall(r"--(?:mean|std)=\S+", line)
    assert command(*evaluate, f"--model={taken}", *remedy)[0] == 0
    truth = images_0_to_255.trained()[1]
    assert top1(report) == pytest.approx(truth, abs=0.02)
    # Fused with the same flags, the file says it by itself.
    fused = tmp_path / "fused.tflite"
    labels = tmp_path / "names.txt"
    labels.write_text("".join(f"digit {n}\n" for n in range(10)))
    assert command("converter.fuse", f"--model={taken}", f"--out={fused}", *remedy,
                   f"--labels={labels}")[0] == 0  # fmt: skip
    found = contract_of(fused.read_bytes())
    assert found.normalization == Normalization((0.0,), (1.0,))
    assert found.class_names[3] == "digit 3"
    status, _, errors = command(*evaluate, f"--model={fused}")
    assert status == 1  # the data set calls its classes otherwise
    assert "--allow_other_data" in errors
    assert command(*evaluate, f"--model={fused}", "--allow_other_data")[0] == 0
    assert top1(report) == pytest.approx(truth, abs=0.02)


def test_the_board_gets_the_same_bytes(taken: Path, tmp_path: Path) -> None:
    from firmware.images import InputSteps
    from firmware.model_info import ModelInfo

    info = ModelInfo(1, 8, 8, 1, 10, False, 1, 0, 1.0, -128, 1.0, 0)
    with pytest.raises(FileError, match=rf"{taken.name}: .*the input takes 0 to 255"):
        InputSteps.of(info, str(taken), Stated())
    given = Stated(Normalization((0.0,), (1.0,)))
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8, 1) * 4
    steps = InputSteps.of(info, "", given).steps(pixels)
    assert np.array_equal(steps, (pixels.astype(int) - 128).astype(np.int8))
    Image.fromarray(pixels[..., 0]).save(tmp_path / "one.png")
    fused = tmp_path / "fused.tflite"
    assert command("converter.fuse", f"--model={taken}", f"--out={fused}")[0] == 0
    emulate = ("firmware.emulate", f"--model={fused}", f"--images={tmp_path / 'one.png'}")
    status, _, errors = command(*emulate)
    assert status != 0
    assert "the input takes 0 to 255" in errors
    status, out, errors = command(*emulate, "--mean=0", "--std=1")
    assert status == 0, errors
    assert "one.png: class" in out


@pytest.mark.parametrize(
    ("scale", "zero_point", "fits"),
    [
        (1 / 127.5, 0, True),
        (1 / 127.5, -1, True),
        (1.9 / 255, -5, True),  # calibrated on images of little contrast
        (1.0, -128, False),  # 0..255
        (1 / 255, -128, False),  # 0..1
        (4.8 / 255, -14, False),  # ImageNet's mean and standard deviation
        (2 / 255, -128, False),  # 0..2
        (0.5 / 127.5, 0, False),
    ],
)
def test_what_may_be_assumed(scale: float, zero_point: int, fits: bool) -> None:
    got = input_range(scale, zero_point, -128, 127)
    if fits:
        assert chosen(Stated(), Stated(), got, 1, (1, 10)) == Contract()
    else:
        with pytest.raises(ContractError, match="give --mean and --std"):
            check_assumed(got)


def test_metadata_that_cannot_be_true_is_refused() -> None:
    with pytest.raises(ContractError, match=r"metadata says mean 127\.5.*--mean=0 --std=1"):
        check_stated(OWN, (0.0, 255.0))
    check_stated(OWN, (-1.0, 0.2))
    # A flag is what the user means.
    flag = Stated(Normalization((10.0,), (5.0,)))
    assert chosen(flag, Stated(OWN), (0.0, 255.0), 1, (1, 2)).normalization == flag.normalization


@pytest.mark.parametrize(
    ("flag", "got", "remedy"),
    [
        (OWN, (0.0, 255.0), "--mean=0 --std=1"),
        (Normalization((0.0,), (1.0,)), (-1.0, 1.0), "--mean=127.5 --std=127.5"),
        (Normalization((0.0,), (1.0,)), (-2.1, 2.6), r"\(u - mean\) / std"),
        (Normalization((0.0,), (255.0,)), (1.0, 2.0), r"\(u - mean\) / std"),
    ],
)
def test_flags_that_saturate_every_image_are_refused(
    flag: Normalization, got: tuple[float, float], remedy: str
) -> None:
    with pytest.raises(ContractError, match=f"--mean and --std: got mean.*{remedy}"):
        chosen(Stated(flag), Stated(), got, 1, (1, 2))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["--mean=0.485,0.456,0.406", "--std=0.229,0.224,0.225"],
            "they are --mean=123.675,116.28,103.53 --std=58.395,57.12,57.375",
        ),
        (["--mean=0"], "--std is missing: --mean and --std go together"),
        (["--mean=0", "--std=0"], "--std: got 0, expected numbers above 0"),
        (["--mean=a", "--std=1"], "--mean: got 'a', expected numbers"),
        (["--mean=nan", "--std=1"], "--mean: got nan, expected finite numbers"),
        (["--mean=1,2", "--std=1"], "mean: got 2 values, expected 1 or 1"),
        (["--color_order=BGR", "--mean=0", "--std=1"], "got BGR for 1 channels"),
        (["--labels=/nowhere"], "/nowhere"),
    ],
)
def test_unusable_flags(taken: Path, words: list[str], reason: str) -> None:
    flags = FlagSet("fuse", "")
    contract = ContractFlags(flags, labels=True)
    flags.parse(words)
    with pytest.raises((ContractError, FileNotFoundError), match=re.escape(reason)):
        rewritten(taken.read_bytes(), contract.given())


def test_a_refused_contract_leaves_nothing(taken: Path, tmp_path: Path) -> None:
    out = tmp_path / "fused.tflite"
    status, _, errors = command("converter.fuse", f"--model={taken}", f"--out={out}", "--mean=0")
    assert status == 1
    assert errors.strip().endswith("--std is missing: --mean and --std go together")
    assert len(errors.strip().splitlines()) == 1
    assert not out.exists()
