# SPDX-License-Identifier: Apache-2.0
"""The keras.io ViT as its page has it, but small: trained, converted, fused, on two boards."""

from __future__ import annotations

import numpy as np

from benchmarks import keras_io_vit as page
from benchmarks.accuracy_record import fused
from converter.tflite import parse
from tflm_vit.stderr import captured_stderr

SHAPE = page.Shape(
    num_classes=3, input_size=16, image_size=24, patch_size=6, projection_dim=8, num_heads=2,
    transformer_layers=2, mlp_head_units=(16, 8),
)  # fmt: skip


def pictures(count: int) -> tuple[page.Images, np.ndarray]:  # type: ignore[type-arg]
    """Noise of three colours, and which one."""
    rng = np.random.default_rng(count)
    labels = rng.integers(0, 3, count)
    images = rng.integers(0, 100, (count, 16, 16, 3))
    images[np.arange(count), :, :, labels] += 150
    return images.astype(np.uint8), labels


def test_from_the_page_to_two_boards() -> None:
    with captured_stderr():
        import keras

        keras.utils.set_random_seed(0)
        images, labels = pictures(320)
        model = page.classifier(SHAPE, images.astype(np.float32))
        page.train(model, images, labels, epochs=8, batch=16)
        plain = page.to_int8(model, images[:32])
    content = fused(plain, 8)
    codes = [op.name for op in parse(content).graph.operators]
    assert codes.count("VitAttention") == SHAPE.transformer_layers
    tests, truth = pictures(100)
    exact = model.predict(tests.astype(np.float32), verbose=0)
    float_score = page.score("float", exact, truth)
    logits = page.logits_of(content, "host", tests)
    score = page.score("fused", logits, truth, exact)
    assert float_score.top1 > 0.6
    assert score.agreement >= 0.97
    assert score.loss_low <= 0.0 <= score.loss_high
    emulated, other = page.BOARDS
    exported = page.on_board(content, emulated, tests[:1])  # the logits are the host's
    assert exported.formats == page.export_all(content, other) == ("cmake", "stm32cubeide", "mbed")
