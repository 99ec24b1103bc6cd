# SPDX-License-Identifier: Apache-2.0
"""A PyTorch Vision Transformer to a fused int8 file.

    pip install torch litert-torch ai-edge-quantizer
    python -m examples.pytorch_vit --out=fused.tflite

`litert_torch` makes a float `.tflite` of the module, `ai_edge_quantizer` an int8 one with ranges
from sample images; the rest is this toolkit. The module takes images as PyTorch has them,
[1, channels, height, width]; the file takes [1, height, width, channels], as cameras give them:
with the first a TRANSPOSE and a second copy of the image would stand at the head of the network.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.contract import Contract, with_contract
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import parse, serialize
from keras_models.datasets.normalization import Normalization
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_atomic
from tflm_vit.run import run
from tflm_vit.stderr import captured_stderr

FLAGS = flags.FlagSet("pytorch_vit", __doc__)
_OUT = flags.out(FLAGS, "Where the fused .tflite goes.")
_SEED = flags.seed(FLAGS, "Of the weights, which are random, and of the images.")

SIZE, PATCH, WIDTH, HEADS, DEPTH, CLASSES = 32, 8, 32, 2, 2, 10
# What torchvision's networks take, in steps of a byte.
IMAGENET = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
Images = NDArray[np.uint8]


def network(seed: int) -> Any:
    """A pre-norm Vision Transformer with a class token, as timm and torchvision build it."""
    import torch
    from torch import nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
            self.out = nn.Linear(WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            shape = (1, -1, 3, HEADS, WIDTH // HEADS)
            q, k, v = self.qkv(x).reshape(shape).permute(2, 0, 3, 1, 4).unbind(0)
            scores = (q * (WIDTH // HEADS) ** -0.5) @ k.transpose(-2, -1)
            return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(1, -1, WIDTH))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.attention = Attention()
            self.mlp = nn.Sequential(
                nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)
            )

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
            tokens = (SIZE // PATCH) ** 2 + 1
            self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
            self.positions = nn.Parameter(torch.randn(1, tokens, WIDTH) * 0.5)
            self.blocks = nn.Sequential(*(Block() for _ in range(DEPTH)))
            self.norm = nn.LayerNorm(WIDTH)
            self.head = nn.Linear(WIDTH, CLASSES)

        def forward(self, image: Any) -> Any:
            x = self.patches(image).flatten(2).transpose(1, 2)
            x = torch.cat([self.token, x], 1) + self.positions
            return self.head(self.norm(self.blocks(x))[:, 0])

    torch.manual_seed(seed)
    return Network().eval()


def to_int8(module: Any, inputs: NDArray[np.float32]) -> bytes:
    """A plain int8 `.tflite` of a module.

    Args:
      module: takes one image [1, channels, height, width].
      inputs: float32 [n, height, width, channels], what it will see; ranges come from these.
    """
    import litert_torch
    import torch
    from ai_edge_quantizer import quantizer, recipe

    sample = torch.from_numpy(inputs[:1])
    channels_last = litert_torch.to_channel_last_io(module, args=[0])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.tflite"
        litert_torch.convert(channels_last, (sample,)).export(str(path))
        tool = quantizer.Quantizer(str(path))
        tool.load_quantization_recipe(recipe.static_wi8_ai8())
        ranges = tool.calibrate({"serving_default": [{"args_0": x[None]} for x in inputs]})
        return bytes(tool.quantize(ranges).quantized_model)


def fused(plain: bytes, normalization: Normalization) -> bytes:
    """The file with fused operators, memory plan, and how bytes of an image become its input."""
    described = serialize(with_contract(parse(plain), Contract(normalization)))
    return plan_model(fuse_model(described).model_bytes).model_bytes


def logits(content: bytes, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Real logits of the host library, of float or int8 files alike."""
    runtime = open_runtime("host", content)
    x, y = runtime.inputs[0], runtime.outputs[0]
    rows = []
    for value in inputs:
        given = value[None]
        if x.scale is not None and x.zero_point is not None:
            steps = np.rint(given / x.scale) + x.zero_point
            given = np.clip(steps, -128, 127).astype(x.dtype)
        got = runtime.run(given)[0].astype(np.float32).reshape(-1)
        if y.scale is not None and y.zero_point is not None:
            got = (got - y.zero_point) * y.scale
        rows.append(got)
    return np.stack(rows)


def images(seed: int, count: int = 16) -> Images:
    """Coarse noise in place of photographs."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, SIZE // 4, SIZE // 4, 3), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def _body() -> None:
    expect_writable(_OUT.value)
    import torch

    module = network(_SEED.value)
    inputs = IMAGENET.apply(images(_SEED.value))
    with captured_stderr():
        plain = to_int8(module, inputs)
    content = fused(plain, IMAGENET)
    with torch.no_grad():
        exact = np.concatenate([module(torch.from_numpy(x[None].transpose(0, 3, 1, 2).copy()))
                                for x in inputs])  # fmt: skip
    same = np.mean(exact.argmax(axis=1) == logits(content, inputs).argmax(axis=1))
    operators = [len(parse(file).graph.operators) for file in (plain, content)]
    write_atomic(_OUT.value, content)
    print(f"{operators[0]} operators -> {operators[1]}; {same:.0%} of the predictions of PyTorch")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
