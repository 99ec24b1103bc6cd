# SPDX-License-Identifier: Apache-2.0
"""What files, folders, disks and databases can cause: one line that names them."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from converter.plan.model import plan_model
from firmware.errors import FirmwareError
from firmware.images import find_images
from keras_models.arch import ArchConfig
from keras_models.datasets.core import DatasetError
from keras_models.datasets.images import read_image
from keras_models.training.checkpoint import CheckpointError, Progress, read_progress
from nas.search.storage import StudyError, open_study
from nas.space import SpaceError
from nas.space.presets import get_space
from nas.supernet.retraining import network_of
from tests.converter.compile import fused_models

ROOT = Path(__file__).parents[2]
ARCH = ArchConfig.uniform(
    name="tiny", image_size=8, channels=1, num_classes=10, patch_size=4, embed_dim=8, depth=1,
    heads=1, head_dim=8, mlp_ratio=2.0,
)  # fmt: skip
DEEP = "[" * 200_000


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: object
    errors: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs a command in this process, which has the imports already."""

    def run(module: str, *words: str) -> Ended:
        room = importlib.import_module(module)
        if hasattr(room, "__path__"):  # a package, whose command is its __main__
            room = importlib.import_module(f"{module}.__main__")
        with pytest.raises(SystemExit) as found:
            room.main(list(words))
        return Ended(found.value.code, capsys.readouterr().err)

    return run


def one_line(ended: Ended, *parts: str) -> None:
    assert ended.status == 1
    lines = ended.errors.strip().splitlines()
    assert len(lines) == 1, ended.errors
    for part in parts:
        assert part in lines[0]


# ---- JSON ---------------------------------------------------------------------------------------

ODD_JSON = [
    ("", "not JSON"),
    (DEEP, "nested too deeply"),
    ("[]", "expected a JSON object"),
    ('{"name": Infinity}', "Infinity is no number"),
    ('{"embed_dim": 1e999}', "the number 1e999 is out of range"),
    ('{"embed_dim": ' + "9" * 30 + "}", "is out of range"),
]


@pytest.mark.parametrize(("text", "reason"), ODD_JSON)
@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("keras_models.train", ["--network={file}", "--out={out}"]),
        ("converter.quantize", ["--network={file}", "--weights=random", "--out={out}"]),
        ("nas.report", ["--space={file}"]),
    ],
)
def test_odd_json(
    command: Callable[..., Ended],
    tmp_path: Path,
    module: str,
    words: list[str],
    text: str,
    reason: str,
) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text)
    names = {"file": path, "out": tmp_path / "out"}
    one_line(command(module, *(w.format(**names) for w in words)), f"{path}: ", reason)
    assert [p.name for p in tmp_path.iterdir()] == ["odd.json"]


@pytest.mark.parametrize("text", [text for text, _ in ODD_JSON] + ['{"front": 3}', '{"front": []}'])
def test_odd_front(tmp_path: Path, text: str) -> None:
    path = tmp_path / "front.json"
    path.write_text(text)
    with pytest.raises(SpaceError, match=f"^{path}: not a front.json of nas.search: "):
        network_of(str(path), None)


# ---- folders of networks ------------------------------------------------------------------------


def _folder(path: Path, kind: str) -> Path:
    """A folder of a network of which one file is missing or odd."""
    path.mkdir()
    arch, weights = path / "arch.json", path / "model.weights.h5"
    if kind == "pipe":
        os.mkfifo(arch)
    elif kind == "folder":
        arch.mkdir()
    elif kind != "empty":
        ARCH.save(arch)
    if kind == "weights":
        weights.write_bytes(b"hello")
    elif kind == "folder of weights":
        weights.mkdir()
    return path


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("empty", "arch.json"), ("pipe", "arch.json"), ("folder", "arch.json"),
        ("no weights", "model.weights.h5"), ("weights", "model.weights.h5"),
        ("folder of weights", "model.weights.h5"),
    ],
)  # fmt: skip
def test_odd_folders(command: Callable[..., Ended], tmp_path: Path, kind: str, file: str) -> None:
    place = _folder(tmp_path / "odd", kind)
    ARCH.save(tmp_path / "pupil.json")
    words = [f"--network={tmp_path / 'pupil.json'}", "--epochs=1", f"--out={tmp_path / 'out'}"]
    teacher = ["--distill=0.5", f"--teacher={place}"]
    one_line(command("keras_models.train", *words, *teacher), f"{place / file}: ")
    assert not (tmp_path / "out").exists()
    words = [f"--network={place}", "--dataset=digits"]
    one_line(command("converter.sensitivity", *words), f"{place / file}: ")


# ---- archives -----------------------------------------------------------------------------------


def checkpoint(path: Path) -> bytes:
    progress = Progress(1, 2.0, [{"loss": 1.0}], "{}")
    np.savez(
        path, progress=np.asarray(json.dumps(dataclasses.asdict(progress))), weight0=np.ones(99)
    )
    return path.read_bytes()


def test_every_flipped_byte_of_a_checkpoint_is_an_error_with_its_name_or_none(
    tmp_path: Path,
) -> None:
    path = tmp_path / "checkpoint.npz"
    content = checkpoint(path)
    refused = 0
    for place in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with contextlib.suppress(CheckpointError):
            read_progress(str(path))  # any other exception ends the test
            continue
        refused += 1
    assert refused > 20


@pytest.mark.parametrize("size", [0, 1, 30, 200])
def test_a_cut_checkpoint(tmp_path: Path, size: int) -> None:
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(checkpoint(path)[:size])
    with pytest.raises(CheckpointError, match=f"^{path}: not a checkpoint: "):
        read_progress(str(path))


def test_resume_on_a_damaged_checkpoint(command: Callable[..., Ended], tmp_path: Path) -> None:
    ARCH.save(tmp_path / "a.json")
    out = tmp_path / "out"
    out.mkdir()
    (out / "checkpoint.npz").write_bytes(b"PK\x03\x04" + b"\0" * 100)
    ended = command(
        "keras_models.train", f"--network={tmp_path / 'a.json'}", f"--out={out}", "--resume"
    )
    one_line(ended, f"{out / 'checkpoint.npz'}: not a checkpoint: ")


def test_weights_that_are_no_hdf5(command: Callable[..., Ended], tmp_path: Path) -> None:
    ARCH.save(tmp_path / "a.json")
    for name, content in (
        ("empty", b""),
        ("text", b"hello"),
        ("cut", b"\x89HDF\r\n\x1a\n" + b"\0" * 40),
    ):
        path = tmp_path / f"{name}.weights.h5"
        path.write_bytes(content)
        ended = command(
            "converter.quantize",
            f"--network={tmp_path / 'a.json'}",
            f"--weights={path}",
            "--dataset=digits",
            f"--out={tmp_path / 'out.tflite'}",
        )
        one_line(ended, f"{path}: not weights of 'tiny': ")


def test_weights_without_layers_are_refused_not_warned_of(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    """Keras would leave such layers as they were drawn."""
    ARCH.save(tmp_path / "a.json")
    path = tmp_path / "odd.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("layers", data=3)
    words = [f"--network={tmp_path / 'a.json'}", f"--weights={path}", "--dataset=digits"]
    ended = command("converter.quantize", *words, f"--out={tmp_path / 'out.tflite'}")
    one_line(ended, f"{path}: not weights of 'tiny': ")


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.full((4, 8, 8, 1), np.nan, np.float32), "got values that are not finite"),
        (np.zeros((4, 8, 8), np.float32), "got shape [4, 8, 8], expected"),
        (np.zeros((4, 8, 8, 1), np.float32), "all 4 are constant"),
    ],
    ids=["not finite", "shape", "constant"],
)
def test_samples_that_calibrate_nothing_name_their_file(
    command: Callable[..., Ended], tmp_path: Path, samples: np.ndarray, reason: str
) -> None:
    ARCH.save(tmp_path / "a.json")
    path = tmp_path / "samples.npy"
    np.save(path, samples)
    words = [f"--network={tmp_path / 'a.json'}", "--weights=random", f"--calibration_file={path}"]
    ended = command("converter.quantize", *words, f"--out={tmp_path / 'out.tflite'}")
    one_line(ended, f"{path}: calibration images: {reason}")


# ---- images and arrays --------------------------------------------------------------------------


def test_a_picture_that_is_a_bomb(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20000, 20000)).save(path)
    with pytest.raises(DatasetError, match=f"^{path}: not an image: Image size"):
        read_image(str(path), 8, 1)
    with pytest.raises(FirmwareError, match=f"^{path}: not an image: Image size"):
        find_images([str(path)], (8, 8, 1))[0].pixels()


def test_an_array_that_promises_terabytes_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "huge.npy"
    np.save(path, np.zeros((1, 8, 8, 1), np.uint8))
    content = (
        path.read_bytes()
        .replace(b"(1, 8, 8, 1)", b"(9999999999, 8, 8, 1)")
        .replace(b"}         ", b"}", 1)
    )
    path.write_bytes(content)
    with pytest.raises(FirmwareError, match=rf"^{path}: not a \.npy file: "):
        find_images([str(path)], (8, 8, 1))


@pytest.mark.parametrize("head", ["(" * 100, "'", "{'descr': '|i1'", "\\"])
def test_an_array_whose_head_no_tokenizer_takes(tmp_path: Path, head: str) -> None:
    path = tmp_path / "odd.npy"
    text = head.ljust(127).encode() + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    with pytest.raises(FirmwareError, match=rf"^{path}: not a \.npy file: "):
        find_images([str(path)], (8, 8, 1))


def test_an_image_between_a_warning_and_a_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (10000, 9000)).save(path)
    with pytest.raises(DatasetError, match=f"^{path}: not an image: Image size"):
        read_image(str(path), 8, 1)


@pytest.mark.parametrize("size", [(1, 4_000_000), (4_000_000, 1)])
def test_a_strip_that_would_fill_the_memory_once_scaled_is_refused(
    size: tuple[int, int], tmp_path: Path
) -> None:
    """Eight kilobytes of a file became 17 GB: the shorter side is scaled to the crop's."""
    path = tmp_path / "strip.png"
    Image.new("1", size).save(path)
    with pytest.raises(DatasetError, match=f"^{path}: not an image: got .* pixels, which would be"):
        read_image(str(path), 32, 3)


@pytest.mark.parametrize("count", [0, 3])
def test_an_array_without_images_or_with_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr("firmware.images._MOST_IMAGES", 2)
    path = tmp_path / "images.npy"
    np.save(path, np.zeros((count, 8, 8, 1), np.uint8))
    with pytest.raises(FirmwareError, match=f"^{path} holds {count} images, expected 1 to 2"):
        find_images([str(path)], (8, 8, 1))


def test_an_archive_that_is_called_an_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    path = (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(FirmwareError, match=f"^{path}: got an archive of arrays"):
        find_images([str(path)], (8, 8, 1))


def test_an_array_is_read(tmp_path: Path) -> None:
    path = tmp_path / "two.npy"
    pixels = np.arange(128, dtype=np.uint8).reshape(2, 8, 8, 1)
    np.save(path, pixels)
    found = find_images([str(path)], (8, 8, 1))
    np.testing.assert_array_equal(np.stack([image.pixels() for image in found]), pixels)


# ---- databases ----------------------------------------------------------------------------------


def test_a_database_out_of_reach_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"^sqlite:////nonexistent/x\.db: not a study: ") as found:
        open_study("sqlite:////nonexistent/x.db", "{}", False)
    assert "\n" not in str(found.value)
    with pytest.raises(StudyError, match=r"^postgresql://localhost:1/x: not a study: ") as found:
        open_study("postgresql://me:secret@localhost:1/x", "{}", False)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize(
    "text", ["hello\n", '{"op_code": 0}\n', '{"op_code": 99, "worker_id": 1}\n', "[]\n"]
)
def test_a_damaged_journal_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.log"
    path.write_text(text)
    with pytest.raises(StudyError, match=f"^{path}: not a study: "):
        open_study(str(path), "{}", True)


# ---- disks --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.tflite"
    path.write_bytes(plan_model(fused_models.model_bytes(fused_models.vit_ops())).model_bytes)
    return path


WRITERS = [
    ("plan", "out.tflite", "--out={out}"),
    ("inspect", "out.json", "--json={out}"),
    ("inspect", "out.html", "--html={out}"),
    ("inspect", "out.png", "--png={out}"),
    ("compile", "out", "--out={out}"),
]


@pytest.mark.parametrize(("name", "out", "word"), WRITERS, ids=[f"{w[0]}-{w[1]}" for w in WRITERS])
def test_a_full_disk_leaves_the_old_file(
    model: Path, tmp_path: Path, name: str, out: str, word: str
) -> None:
    """A limit of the size of files is what a process can have of a full disk without a mount."""
    path = tmp_path / out
    if out != "out":
        path.write_text("old")
    done = subprocess.run(
        [sys.executable, "-m", f"converter.{name}", f"--model={model}", word.format(out=path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200)),
    )
    assert done.returncode == 1
    assert done.stderr == f"{name}: {path}: File too large\n"
    if out == "out":
        assert not path.exists() or not list(path.iterdir())
    else:
        assert [p.name for p in tmp_path.iterdir()] == [out]
        assert path.read_text() == "old"


@pytest.mark.parametrize(("name", "out", "word"), WRITERS, ids=[f"{w[0]}-{w[1]}" for w in WRITERS])
@pytest.mark.parametrize("folder", ["/proc/nowhere", "/dev/null/below"])
def test_where_nothing_can_be_written(
    command: Callable[..., Ended], model: Path, name: str, out: str, word: str, folder: str
) -> None:
    module = {"plan": "converter.plan.__main__", "compile": "converter.compile.__main__"}
    words = [f"--model={model}", word.format(out=f"{folder}/{out}")]
    one_line(command(module.get(name, f"converter.{name}"), *words), folder.rsplit("/", 1)[0])


def test_spaces_are_there() -> None:
    assert get_space("digits_8").size > 0
