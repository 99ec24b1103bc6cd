# SPDX-License-Identifier: Apache-2.0
"""A Vision Transformer typed from its keras.io page, from training to firmware projects.

    python -m benchmarks.keras_io_vit --data_dir=cifar10 --json=docs/results/keras_io_vit.json

The page is "Image classification with Vision Transformer" (keras.io/examples/vision). What a reader
of it does is done here: his layers, images as bytes 0..255, `TFLiteConverter.from_keras_model` to
int8. Then this toolkit: fuse, host library, every project format for two boards, emulated boards.
--data_dir has CIFAR-10 as folders of images, `train/CLASS` and `test/CLASS`.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_record import Recorded, fused, paired_loss, recorded, write_json
from boards import get_board
from converter.evaluate.metrics import sqnr_db
from converter.runtimes import open_runtime
from converter.tflite import parse
from firmware.export import export_project
from firmware.formats import PROJECT_NAMES
from firmware.model import project_from_model
from firmware.runtime import EmulatedRuntime
from keras_models.datasets import load_dataset
from keras_models.tasks.accuracy import wilson_interval
from tflm_vit import flags
from tflm_vit.files import expect_writable
from tflm_vit.run import run
from tflm_vit.stderr import captured_stderr

BOARDS = ("stm32f746g_disco", "nucleo_h743zi2")
FLAGS = flags.FlagSet("keras_io_vit", __doc__)
_DATA_DIR = flags.data_dir(FLAGS)
_EPOCHS = flags.epochs(FLAGS, "Passes over --train_count images; without it 2.")
_TRAIN_COUNT = FLAGS.integer("train_count", 10000, "Training images, drawn with --seed.", 1)
_COUNT = flags.count(FLAGS, "Test images, drawn with --seed.", 1000, 1)
_EMULATED = flags.emulated_count(FLAGS, 2, "Of them on each emulated board.", 1)
_SEED = flags.seed(FLAGS, "Of weights, draws and shuffling.")
_JSON = flags.json(FLAGS)

Images = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Shape:
    """The constants at the head of the page; its own but for the depth and the head.

    The page has 8 layers, and 2048 and 1024 units in the head: 21 MB of weights for 72 x 72 pixels.
    With these both boards' internal flash holds the network, so that every format can be exported.
    The page drops half of its head's units; of 48 and 32 that leaves too few to learn anything.
    """

    num_classes: int = 10
    input_size: int = 32
    image_size: int = 72
    patch_size: int = 6
    projection_dim: int = 64
    num_heads: int = 4
    transformer_layers: int = 4
    mlp_head_units: tuple[int, ...] = (48, 32)
    head_dropout: float = 0.1

    @property
    def num_patches(self) -> int:
        return (self.image_size // self.patch_size) ** 2


def classifier(shape: Shape, train_images: Images) -> Any:
    """The page's `create_vit_classifier`, its layers and data augmentation."""
    import keras
    from keras import layers, ops

    def mlp(x: Any, hidden_units: Sequence[int], dropout_rate: float) -> Any:
        for units in hidden_units:
            x = layers.Dense(units, activation=keras.activations.gelu)(x)
            x = layers.Dropout(dropout_rate)(x)
        return x

    class Patches(layers.Layer):
        def __init__(self, patch_size: int) -> None:
            super().__init__()
            self.patch_size = patch_size

        def call(self, images: Any) -> Any:
            batch_size, height, width, channels = ops.shape(images)
            num_patches_h = height // self.patch_size
            num_patches_w = width // self.patch_size
            patches = ops.image.extract_patches(images, size=self.patch_size)
            return ops.reshape(
                patches,
                (batch_size, num_patches_h * num_patches_w, self.patch_size**2 * channels),
            )

    class PatchEncoder(layers.Layer):
        def __init__(self, num_patches: int, projection_dim: int) -> None:
            super().__init__()
            self.num_patches = num_patches
            self.projection = layers.Dense(units=projection_dim)
            self.position_embedding = layers.Embedding(
                input_dim=num_patches, output_dim=projection_dim
            )

        def call(self, patch: Any) -> Any:
            positions = ops.expand_dims(ops.arange(start=0, stop=self.num_patches, step=1), axis=0)
            return self.projection(patch) + self.position_embedding(positions)

    data_augmentation = keras.Sequential(
        [
            layers.Normalization(),
            layers.Resizing(shape.image_size, shape.image_size),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(factor=0.02),
            layers.RandomZoom(height_factor=0.2, width_factor=0.2),
        ],
        name="data_augmentation",
    )
    data_augmentation.layers[0].adapt(train_images)

    inputs = keras.Input(shape=(shape.input_size, shape.input_size, 3))
    augmented = data_augmentation(inputs)
    patches = Patches(shape.patch_size)(augmented)
    encoded_patches = PatchEncoder(shape.num_patches, shape.projection_dim)(patches)
    for _ in range(shape.transformer_layers):
        x1 = layers.LayerNormalization(epsilon=1e-6)(encoded_patches)
        attention_output = layers.MultiHeadAttention(
            num_heads=shape.num_heads, key_dim=shape.projection_dim, dropout=0.1
        )(x1, x1)
        x2 = layers.Add()([attention_output, encoded_patches])
        x3 = layers.LayerNormalization(epsilon=1e-6)(x2)
        units = [shape.projection_dim * 2, shape.projection_dim]
        x3 = mlp(x3, hidden_units=units, dropout_rate=0.1)
        encoded_patches = layers.Add()([x3, x2])
    representation = layers.LayerNormalization(epsilon=1e-6)(encoded_patches)
    representation = layers.Flatten()(representation)
    representation = layers.Dropout(shape.head_dropout)(representation)
    features = mlp(
        representation, hidden_units=shape.mlp_head_units, dropout_rate=shape.head_dropout
    )
    logits = layers.Dense(shape.num_classes)(features)
    return keras.Model(inputs=inputs, outputs=logits)


def _epochs() -> int:
    return 2 if _EPOCHS.value is None else _EPOCHS.value


def train(model: Any, images: Images, labels: NDArray[Any], epochs: int, batch: int = 32) -> None:
    """The page's `run_experiment`, without its split."""
    import keras

    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate=0.001, weight_decay=0.0001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    model.fit(images.astype(np.float32), labels, batch_size=batch, epochs=epochs, verbose=2)


def to_int8(model: Any, images: Images) -> bytes:
    """What the reader of TensorFlow's page on integer quantization types."""
    import tensorflow as tf

    def representative_dataset() -> Iterator[list[NDArray[np.float32]]]:
        for image in images:
            yield [image[None].astype(np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative_dataset
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def to_inputs(content: bytes, images: Images) -> NDArray[np.int8]:
    """Bytes 0..255 as integers of the network's input, [n, 1, ...]: its own scaling."""
    graph = parse(content).graph
    x = graph.tensors[graph.inputs[0]]
    q = np.floor(images[:, None] / x.scale + 0.5) + x.zero_point
    return np.asarray(np.clip(q, -128, 127).astype(np.int8))


def logits_of(content: bytes, runtime: str, images: Images) -> NDArray[np.float32]:
    """Real logits, a row an image."""
    engine = open_runtime(runtime, content, 2)
    (y,) = engine.run_batch(to_inputs(content, images))
    output = engine.outputs[0]
    assert output.scale is not None
    assert output.zero_point is not None
    real = (y.reshape(len(images), -1).astype(np.float32) - output.zero_point) * output.scale
    return np.asarray(real, np.float32)


@dataclasses.dataclass(frozen=True)
class Exported:
    """Projects and an emulated run on one board.

    Attributes:
      formats: that were exported.
      images: emulated, whose logits are the host library's.
      instructions: of one inference.
    """

    board: str
    weights_in: str
    formats: tuple[str, ...]
    flash_bytes: int
    sram_bytes: int
    images: int
    instructions: int


def export_all(content: bytes, name: str) -> tuple[str, ...]:
    """Writes the project in every format and discards it; the formats' names."""
    with tempfile.TemporaryDirectory() as work:
        project = project_from_model(content, get_board(name), Path(work) / "model")
        for format_name in PROJECT_NAMES:
            export_project(project, format_name, Path(work) / format_name, check=False)
    return PROJECT_NAMES


def on_board(content: bytes, name: str, images: Images) -> Exported:
    """Every project format, and the emulated board against the host library."""
    emulated = EmulatedRuntime(content, board=get_board(name))
    x = to_inputs(content, images)
    (got,), (want,) = emulated.run_batch(x), open_runtime("host", content).run_batch(x)
    np.testing.assert_array_equal(got, want)
    assert emulated.last is not None
    return Exported(
        name,
        "external" if emulated.memory.external_flash_bytes else "internal",
        export_all(content, name),
        emulated.memory.flash_bytes + emulated.memory.external_flash_bytes,
        emulated.emulators[0].sram_total_bytes(),
        len(images),
        emulated.last.instructions,
    )


@dataclasses.dataclass(frozen=True)
class Score:
    """A network on the test images; fractions, the loss against the float model with its 95 %."""

    name: str
    top1: float
    low: float
    high: float
    loss: float
    loss_low: float
    loss_high: float
    agreement: float
    sqnr_db: float | None


@dataclasses.dataclass(frozen=True)
class Record:
    """The run.

    Attributes:
      parameters: of the float model.
      ops_before, ops_after: operators of the plain and the fused file.
      arena_bytes: planned.
    """

    recorded: Recorded
    shape: Shape
    parameters: int
    epochs: int
    train_images: int
    train_seconds: float
    test_images: int
    ops_before: int
    ops_after: int
    scores: tuple[Score, ...]
    boards: tuple[Exported, ...]


def score(
    name: str, logits: NDArray[Any], labels: NDArray[Any], exact: NDArray[Any] | None = None
) -> Score:
    """One network's logits against the labels and the float model's."""
    guess = logits.argmax(axis=1)
    right = guess == labels
    float_guess = guess if exact is None else exact.argmax(axis=1)
    top1 = wilson_interval(int(right.sum()), len(right))
    loss = paired_loss(float_guess == labels, right)
    agreement = float(np.mean(guess == float_guess))
    return Score(
        name,
        float(right.mean()),
        top1.low,
        top1.high,
        *loss,
        agreement,
        None if exact is None else sqnr_db(exact, logits),
    )


def _run() -> Record:
    with captured_stderr():
        import keras
    keras.utils.set_random_seed(_SEED.value)
    data = load_dataset("image_folder", _DATA_DIR.value, image_size=32, channels=3)
    images, labels = data.train.draw(_TRAIN_COUNT.value, _SEED.value).load(slice(None))
    tests, truth = data.test.draw(_COUNT.value, _SEED.value).load(slice(None))
    shape = Shape(num_classes=data.num_classes)
    model = classifier(shape, images.astype(np.float32))
    started = time.monotonic()
    train(model, images, labels, _epochs())
    seconds = time.monotonic() - started
    with captured_stderr():
        plain = to_int8(model, images[:100])
    content = fused(plain, 8)
    exact = model.predict(tests.astype(np.float32), batch_size=50, verbose=0)
    scores = [score("float, Keras", exact, truth)]
    for name, file, runtime in (
        ("plain int8", plain, "litert"), ("fused int8", content, "host"),
    ):  # fmt: skip
        scores.append(score(name, logits_of(file, runtime, tests), truth, exact))
    return Record(
        recorded("benchmarks.keras_io_vit"),
        shape,
        int(model.count_params()),
        _epochs(),
        len(images),
        round(seconds, 1),
        len(tests),
        len(parse(plain).graph.operators),
        len(parse(content).graph.operators),
        tuple(scores),
        tuple(on_board(content, name, tests[: _EMULATED.value]) for name in BOARDS),
    )


def _body() -> None:
    expect_writable(_JSON.value)
    record = _run()
    for entry in (*record.scores, *record.boards):
        print(entry)
    if _JSON.value:
        write_json(_JSON.value, record)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
