# SPDX-License-Identifier: Apache-2.0
"""Every command, with each kind of bad file: one line that names it, and nothing written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converter.contract import Contract, with_contract
from converter.plan.model import plan_model
from converter.tflite import parse, serialize
from keras_models.arch import ArchConfig
from keras_models.datasets.normalization import Normalization
from tests.commands import run_here
from tests.converter.compile import fused_models

ARCH = ArchConfig.uniform(
    name="tiny", image_size=8, channels=1, num_classes=2, patch_size=4, embed_dim=8, depth=1,
    heads=1, head_dim=8, mlp_ratio=2.0,
)  # fmt: skip

# The commands that read a model, with what they need besides it.
READERS = {
    "fuse": ("--out=out.tflite", "--json=out.json"),
    "plan": ("--out=out.tflite", "--json=out.json"),
    "inspect": ("--json=out.json", "--html=out.html", "--csv=out.csv"),
    "compile": ("--out=out", "--json=out.json"),
    "evaluate": ("--dataset=image_folder", "--data_dir=images", "--json=out.json"),
}
QUANTIZE = ("--network=a.json", "--weights=random", "--calibration_count=3")
FOLDER = ("--dataset=image_folder", "--data_dir=images")

CASES = [
    # command, its flags, the file that the line must begin with
    *(
        (command, (f"--model={name}", *rest), name)
        for command, rest in READERS.items()
        for name in ("truncated.tflite", "empty.tflite", "picture.tflite")
    ),
    # The last name of each path is below a file, where nobody can write, root included.
    ("fuse", ("--model=good.tflite", "--out=a.json/out"), "a.json"),
    ("plan", ("--model=good.tflite", "--out=a.json/out"), "a.json"),
    ("inspect", ("--model=good.tflite", "--png=a.json/out"), "a.json"),
    ("compile", ("--model=good.tflite", "--out=a.json/out"), "a.json"),
    ("evaluate", ("--model=good.tflite", *FOLDER, "--json=a.json/out"), "a.json"),
    ("quantize", (*QUANTIZE, *FOLDER, "--out=a.json/out"), "a.json"),
    ("quantize", (*QUANTIZE, "--calibration_dir=images", "--out=out"), "images/"),
    ("quantize", (*QUANTIZE, *FOLDER, "--out=out"), "images/"),
    ("quantize", (*QUANTIZE, *FOLDER, "--qat", "--out=out"), "images/"),
    ("evaluate", ("--model=good.tflite", *FOLDER, "--json=out"), "images/"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good model, bad ones, and class folders of files that are no images."""
    folder = tmp_path_factory.mktemp("bad")
    image = fused_models.ImageShape(8, 8, 1, 2, 2, 0)
    ops = fused_models.vit_ops(image=image, classes=2)
    # The input takes -6 to 6, and the file says how images become that.
    stated = Contract(Normalization((123.0,), (20.0,)))
    content = serialize(with_contract(parse(fused_models.model_bytes(ops)), stated))
    good = plan_model(content).model_bytes
    (folder / "good.tflite").write_bytes(good)
    (folder / "truncated.tflite").write_bytes(good[: len(good) // 2])
    (folder / "empty.tflite").write_bytes(b"")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "picture.tflite", "PNG")
    ARCH.save(str(folder / "a.json"))
    picture = (folder / "picture.tflite").read_bytes()
    for name in ("cat", "dog"):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(10):
            bad = picture[: len(picture) // 2] if i % 2 else b"not an image"
            (folder / "images" / name / f"{i}.png").write_bytes(bad)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("command", "arguments", "name"), CASES, ids=[f"{c[0]}-{c[2]}-{i}" for i, c in enumerate(CASES)]
)
def test_one_line_names_the_file(
    folder: Path,
    command: str,
    arguments: tuple[str, ...],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents(folder)
    monkeypatch.chdir(folder)
    done = run_here(f"converter.{command}", *arguments)
    assert done.returncode == 1, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    start, _, reason = lines[0].removeprefix(f"{command}: ").partition(": ")
    assert name in start
    assert reason
    assert contents(folder) == before
