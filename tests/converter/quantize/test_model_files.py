# SPDX-License-Identifier: Apache-2.0
"""Models that other scripts saved: quantized as they are, or refused in one line that helps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converter.contract import Contract, ContractError, contract_of
from converter.quantize.__main__ import main
from converter.runtimes import open_runtime
from converter.tflite import parse
from keras_models.datasets.normalization import OWN, Normalization
from keras_models.model_file import _first_layers, kind_of, load
from tests.converter.fuse.checks import sqnr_db
from tflm_vit.stderr import captured_stderr

with captured_stderr():
    import keras
    from keras import layers

BYTES, UNIT = Normalization((0.0,), (1.0,)), Normalization((0.0,), (255.0,))


class Twice(layers.Layer):
    """A layer of the script's own."""

    def call(self, x: Any) -> Any:
        return 2 * x


def network(first: Any) -> Any:
    """A small transformer as a plain script writes it: float input and output, a softmax head."""
    x = image = keras.Input((12, 16, 3))
    x = layers.Reshape((12, 8))(layers.Conv2D(8, 4, 4)(first(x)))
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(y, y)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(image, layers.Dense(5, activation="softmax")(x))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models and pictures."""
    root = tmp_path_factory.mktemp("models")
    keras.utils.set_random_seed(1)
    with captured_stderr():
        model, own = network(layers.Rescaling(1 / 255)), network(Twice())
        for name in ("model.keras", "model.h5"):
            model.save(root / name)
        own.save(root / "own.keras")
        own.export(root / "own", verbose=False)
        model.save_weights(root / "model.weights.h5")
        a, b = keras.Input((4,)), keras.Input((4,))
        keras.Model([a, b], layers.Add()([a, b])).save(root / "two.keras")
        keras.Model(a, layers.Lambda(lambda x: 2 * x)(a)).save(root / "lambda.keras")
        x = keras.Input((None, None, 3))
        keras.Model(x, layers.Conv2D(2, 3)(x)).save(root / "open.keras")
        x = keras.Input((5,), dtype="int32")
        keras.Model(x, layers.Embedding(5, 3)(x)).save(root / "ids.keras")
    (root / "cut.keras").write_bytes((root / "model.keras").read_bytes()[:900])
    (root / "cut.h5").write_bytes((root / "model.h5").read_bytes()[:900])
    (root / "a.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    for number in range(8):
        pixels = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
    np.save(root / "x.npy", rng.uniform(0, 1, (9, 12, 16, 3)))
    return root


def quantized(folder: Path, name: str, *flags: str) -> bytes:
    out = folder / "out.tflite"
    main([f"--network={folder / name}", "--calibration_count=8", f"--out={out}", *flags])
    return out.read_bytes()


def refused(capsys: pytest.CaptureFixture[str], folder: Path, name: str, *flags: str) -> str:
    """The one line."""
    with pytest.raises(SystemExit):
        quantized(folder, name, *flags)
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def error_db(content: bytes, model: Any, images: np.ndarray[Any, Any]) -> float:
    """SQNR of the file's outputs against the model's."""
    runtime = open_runtime("reference", content)
    x, y = runtime.inputs[0], runtime.outputs[0]
    got = []
    for image in images:
        q = np.clip(np.rint(image / x.scale) + x.zero_point, -128, 127).astype(np.int8)
        got.append((runtime.run(q[None])[0].astype(np.float64) - y.zero_point) * y.scale)
    return sqnr_db(np.asarray(model(images)), np.concatenate(got))


def test_keras_file_with_a_rescaling_takes_bytes(folder: Path) -> None:
    content = quantized(folder, "model.keras", f"--calibration_dir={folder / 'images'}")
    assert contract_of(content) == Contract(BYTES)
    graph = parse(content).graph
    assert [graph.tensors[i].shape for i in (*graph.inputs, *graph.outputs)] == [
        (1, 12, 16, 3), (1, 5),
    ]  # fmt: skip
    images = np.random.default_rng(1).integers(0, 256, (4, 12, 16, 3)).astype(np.float32)
    assert error_db(content, keras.models.load_model(folder / "model.keras"), images) > 25


def test_layers_of_its_own_go_by_the_folder_that_the_refusal_asks_for(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    line = refused(capsys, folder, "own.keras", f"--calibration_file={folder / 'x.npy'}")
    assert "layer 'Twice' that Keras does not know" in line
    assert "model.export('FOLDER') and give --network=FOLDER" in line
    content = quantized(folder, "own", f"--calibration_file={folder / 'x.npy'}")
    images = np.load(folder / "x.npy")[:4].astype(np.float32)
    model = keras.models.load_model(folder / "own.keras", custom_objects={"Twice": Twice})
    assert error_db(content, model, images) > 25
    with pytest.raises(ContractError, match="--mean=0 --std=255"):
        contract_of(content)


def test_images_need_to_be_told_what_nobody_says(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    """Also executes the remedies: each of the three scalings in the line is taken."""
    images = f"--calibration_dir={folder / 'images'}"
    line = refused(capsys, folder, "own", images)
    assert "nothing says how an image becomes its input" in line
    remedy = "--mean=0 --std=255"
    assert remedy in line
    content = quantized(folder, "own", images, *remedy.split())
    assert contract_of(content).normalization == UNIT


@pytest.mark.parametrize(
    ("name", "flags", "reason"),
    [
        ("lambda.keras", [], r"Lambda layer.*model\.export"),
        ("cut.keras", [], r"damaged \(.*save it again"),
        ("cut.h5", [], r"damaged \(.*save it again"),
        ("model.weights.h5", [], r"weights alone.*model\.save\('model\.keras'\)"),
        ("two.keras", [], "got 2 inputs, expected one"),
        ("open.keras", [], r"got an input of \[\?, \?, \?, 3\]"),
        ("ids.keras", [], "got an input of int32"),
        ("a.tflite", [], r"got a \.tflite file"),
        ("model.keras", ["--qat"], "--qat fine-tunes networks of this toolkit"),
        ("model.keras", ["--weights=random"], "leave --weights out"),
        ("model.keras", [], "give one of --calibration_dir"),
        ("model.keras", ["--mean=1", "--std=2"], "its first layer takes images as mean 0, std 1"),
        ("model.keras", ["--dataset=digits"], "takes images of 12 x 16"),
        ("model.keras", ["--calibration_file=model.h5"], r"model\.h5: not a \.npy file"),
    ],
)
def test_refusals(
    capsys: pytest.CaptureFixture[str], folder: Path, name: str, flags: list[str], reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)
    line = refused(capsys, folder, name, *flags)
    assert re.search(reason, line), line


def test_keras_2_and_hdf5_files(folder: Path) -> None:
    with captured_stderr():
        import tf_keras

        old = tf_keras.Sequential(
            [tf_keras.layers.Input((8, 8, 1)), tf_keras.layers.Conv2D(2, 3),
             tf_keras.layers.Flatten(), tf_keras.layers.Dense(3)]
        )  # fmt: skip
        old.save(folder / "old.h5")
        for name, shape, outputs in (("model.h5", (12, 16, 3), 5), ("old.h5", (8, 8, 1), 3)):
            kind = kind_of(str(folder / name))
            assert kind is not None
            found = load(str(folder / name), kind)
            assert (found.input_shape, found.output_size) == (shape, outputs)


def _normalization(mean: float, std: float) -> Any:
    return layers.Normalization(mean=[mean] * 3, variance=[std**2] * 3)


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (layers.Rescaling(1 / 255), BYTES),
        (layers.Rescaling(1 / 127.5, -1), BYTES),
        (layers.Rescaling(2.0, -1.0), UNIT),
        (layers.Rescaling(0.5, 0.5), OWN),
        (layers.Rescaling(3.0), None),
        (_normalization(120, 60), BYTES),
        (_normalization(-0.1, 0.8), OWN),
        (_normalization(0.9, 0.1), UNIT),
        (_normalization(0.45, 0.25), None),  # of 0..1 or of -1..1
        (_normalization(500, 60), None),
        (layers.ReLU(), None),
    ],
)
def test_what_first_layers_say_of_the_input(first: Any, expected: Normalization | None) -> None:
    image = keras.Input((4, 4, 3))
    inner = keras.Sequential([first])
    model = keras.Model(image, layers.Flatten()(inner(image)))
    assert _first_layers(model, 3) == expected
