# SPDX-License-Identifier: Apache-2.0
"""A file whose layer keeps the rule about sums of before (odd channels, no bias) reaches no device.

The cores add four channels in three streams (tflm_custom_ops/exact_sums.py). Everything that makes
something for a device looks at the weights, and so do TFLM's operators when they prepare.
"""

from __future__ import annotations

import dataclasses
import struct

import numpy as np
import pytest

import tflm_vit
from boards import get_board
from converter.compile import CompileError, compile_model
from converter.inspect.report import inspect_model
from converter.plan import plan_model
from converter.plan.device import device_plan
from converter.plan.metadata import PLAN_NAME, fingerprint
from converter.plan.strip import strip_model
from converter.runtimes import RuntimeUnavailableError, open_runtime
from converter.runtimes.tflm.errors import TflmModelError
from converter.runtimes.tflm.interpreter import TflmInterpreter
from converter.support import verdicts
from converter.tflite import TfliteError, parse, serialize
from firmware.errors import ModelError
from firmware.model import build_model, project_from_model
from firmware.tflm.model_files import write_model
from tests.converter.compile import fused_models
from tflm_custom_ops.exact_sums import exact_k_block
from tflm_custom_ops.ops import LinearOp, Params, encode

BOARD = get_board("stm32f746g_disco")
REFUSED = "whose sums can leave 24 bits; fuse the model again"
OLD = 768  # all inputs at once: what the old rule allowed for these weights


def ops(k_block: int | None = None) -> list[Params]:
    """Patch embedding and classifier; only the even channels of the first have large weights."""
    rng = np.random.default_rng(3)
    embed = fused_models.patch_embed(rng, fused_models.ImageShape(16, 16, 3, 16, 16), 12)
    weights = np.full((12, OLD), 127, np.int8)
    weights[1::2] = 1
    bias = np.zeros(12, np.int32)
    right = exact_k_block(weights, bias)
    assert int(np.abs(weights[1::2].astype(int)).sum(1).max()) * 128 < 1 << 23 < 127 * 128 * OLD
    assert right < OLD
    layer = dataclasses.replace(
        embed.linear, weights=weights, bias=bias, k_block=right if k_block is None else k_block
    )
    head = LinearOp(1, 1, fused_models.projection(rng, 12, 10))
    return [dataclasses.replace(embed, linear=layer), head]


@pytest.fixture(scope="module", params=[False, True], ids=["resident", "streamed"])
def old(request: pytest.FixtureRequest) -> bytes:
    """A planned file, its one word changed to the old block."""
    right, wrong = (encode(ops(k)[0])[0] for k in (None, OLD))
    count = len(right) // 4
    words = zip(struct.unpack(f"<{count}i", right), struct.unpack(f"<{count}i", wrong), strict=True)
    ((place, word),) = [(i, new) for i, (before, new) in enumerate(words) if before != new]
    model = parse(plan_model(fused_models.model_bytes(ops()), streamed=request.param).model_bytes)
    first, *rest = model.graph.operators
    options = bytearray(first.custom_options)
    struct.pack_into("<i", options, 4 * place, word)
    changed = dataclasses.replace(first, custom_options=bytes(options))
    graph = dataclasses.replace(model.graph, operators=(changed, *rest))
    plan = {m.name: m for m in model.metadata}[PLAN_NAME]
    words = np.frombuffer(plan.data, "<i4").copy()
    words[3] = fingerprint(graph)
    plans = tuple(
        dataclasses.replace(m, data=words.tobytes()) if m is plan else m for m in model.metadata
    )
    return serialize(dataclasses.replace(model, graph=graph, metadata=plans))


def test_no_command_takes_it(old, tmp_path, monkeypatch):
    for read in (plan_model, device_plan, inspect_model, strip_model):
        with pytest.raises(TfliteError, match=REFUSED):
            read(old)
    assert all(REFUSED in str(verdict) for verdict in verdicts(parse(old).graph))
    with pytest.raises(CompileError, match=REFUSED):
        compile_model(old)
    for runtime in ("reference", "host", "tflm", "emulated"):
        with pytest.raises(RuntimeUnavailableError, match=REFUSED):
            open_runtime(runtime, old)
    with pytest.raises(ModelError, match=REFUSED):
        build_model(old, BOARD, tmp_path / "firmware.elf")
    with pytest.raises(ModelError, match=REFUSED):
        project_from_model(old, BOARD, tmp_path / "work")
    with pytest.raises(ModelError, match=REFUSED):
        write_model(old, tmp_path / "tflm", external=False)
    with pytest.raises(TflmModelError, match=REFUSED):
        TflmInterpreter(old)
    with monkeypatch.context() as patch:  # a device, where no Python looks
        patch.setattr("converter.runtimes.tflm.interpreter.check_plans", lambda model: None)
        with pytest.raises(TflmModelError, match="VitPatchEmbed: options: sums of a layer can"):
            TflmInterpreter(old)
    for use in (tflm_vit.plan, tflm_vit.inspect, tflm_vit.compile):
        with pytest.raises(tflm_vit.Error, match=REFUSED):
            use(old)
    with pytest.raises(tflm_vit.Error, match=REFUSED):
        tflm_vit.export(old, tmp_path / "out", board=BOARD.name)
    assert not list(tmp_path.rglob("*.*"))
