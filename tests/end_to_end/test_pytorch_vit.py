# SPDX-License-Identifier: Apache-2.0
"""The example of a PyTorch network, where PyTorch and litert-torch are installed."""

from __future__ import annotations

import numpy as np
import pytest

from converter.evaluate.metrics import sqnr_db
from converter.tflite import parse
from examples import pytorch_vit as example

WHY = "needs PyTorch: pip install torch litert-torch (docs/your_model.md)"
torch = pytest.importorskip("torch", reason=WHY)
pytest.importorskip("litert_torch", reason=WHY)


def test_a_pytorch_network_is_fused_whole() -> None:
    module = example.network(0)
    inputs = example.IMAGENET.apply(example.images(0))
    content = example.fused(example.to_int8(module, inputs), example.IMAGENET)
    codes = [op.name for op in parse(content).graph.operators]
    assert codes == [
        "VitPatchEmbed", *("VitAttention", "VitMlp") * example.DEPTH, "VitLayerNorm", "VitLinear",
    ]  # fmt: skip
    with torch.no_grad():
        planes = [torch.from_numpy(x[None].transpose(0, 3, 1, 2).copy()) for x in inputs]
        exact = np.concatenate([module(x).numpy() for x in planes])
    assert sqnr_db(exact, example.logits(content, inputs)) > 20.0
