# SPDX-License-Identifier: Apache-2.0
"""A streamed image gives the same logits as a whole one, from an arena without the image."""

from __future__ import annotations

import numpy as np
import pytest

from converter.plan.problem import PlanError
from converter.plan.strip import strip_model
from converter.runtimes.tflm import interpreter, op_models, streamed
from converter.runtimes.tflm.errors import TflmInvokeError, TflmModelError
from converter.runtimes.tflm.interpreter import TflmInterpreter
from tests.converter.runtimes.tflm.test_tflm_operators import input_spec, network, output_spec
from tests.tflm_custom_ops import generators
from tflm_custom_ops.ops import Params, PatchEmbed, run_reference


def chain(ops: list[Params], offsets: dict[int, int] | None = None) -> bytes:
    custom = [op_models.custom_op(op, output_spec(op)) for op in ops]
    return op_models.chain_model(input_spec(ops[0]), custom, offsets)


def image_for(op: Params, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-128, 128, input_spec(op).shape).astype(np.int8)


def patch_embeds() -> list[PatchEmbed]:
    """Every mix of stride, padding and overhang, where the image has more than one strip."""
    found = []
    for seed in range(60):
        op = generators.patch_embed(np.random.default_rng(seed), grid=3 + seed % 4)
        if op.patch_height < op.image_height:
            found.append(op)
    assert len(found) > 20
    assert any(op.pad_top for op in found)
    assert any(op.stride_y < op.patch_height for op in found)
    return found[:20]


@pytest.mark.parametrize("number", range(20))
def test_tokens_of_strips_are_those_of_the_image(number: int) -> None:
    op = patch_embeds()[number]
    rng = np.random.default_rng(number)
    interpreter = streamed.StripInterpreter(strip_model(chain([op])))
    for _ in range(2):
        image = image_for(op, rng)
        expected = run_reference(op, image[0])
        np.testing.assert_array_equal(interpreter.invoke(image)[0], expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_network_is_the_same_and_needs_no_image(bits: int) -> None:
    rng = np.random.default_rng(bits)
    ops = network(rng, bits, 0)
    image = image_for(ops[0], rng)
    tokens_bytes = 17 * 24 * bits // 8
    whole = TflmInterpreter(chain(ops))
    model = strip_model(chain(ops, {0: 0, 1: 512}), strip_offset=4096)
    parts = streamed.StripInterpreter(model)
    np.testing.assert_array_equal(parts.invoke(image), whole.invoke(image))
    assert parts.interpreter.arena_usage.head_bytes >= 4096  # the offset that was asked for
    small = streamed.StripInterpreter(strip_model(chain(ops)))
    np.testing.assert_array_equal(small.invoke(image), whole.invoke(image))
    assert tokens_bytes < small.interpreter.arena_usage.head_bytes
    # The patch embedding alone: tokens, scratch, and a strip instead of the image.
    alone = chain(ops[:1])
    image_bytes, strip_bytes = image.size, image.size * 4 // image.shape[1]
    saved = image_bytes // 16 * 16 - -(-strip_bytes // 16) * 16
    strip_head = streamed.StripInterpreter(strip_model(alone)).interpreter.arena_usage
    assert TflmInterpreter(alone).arena_usage.head_bytes - strip_head.head_bytes == saved


def test_an_image_that_was_broken_off_is_forgotten() -> None:
    op = patch_embeds()[0]
    rng = np.random.default_rng(1)
    interpreter = streamed.StripInterpreter(strip_model(chain([op])))
    strip = np.zeros(interpreter.interpreter.inputs[0].shape, np.int8)
    assert interpreter.interpreter.invoke_part(strip) is None
    interpreter.interpreter.reset()
    with pytest.raises(TflmInvokeError, match="in parts"):
        interpreter.interpreter.invoke(strip)
    image = image_for(op, rng)
    expected = run_reference(op, image[0])
    np.testing.assert_array_equal(interpreter.invoke(image)[0], expected)


def test_what_cannot_be_streamed_is_refused() -> None:
    rng = np.random.default_rng(2)
    with pytest.raises(PlanError, match="first VitPatchEmbed"):
        strip_model(chain([generators.gelu(rng)]))
    one_strip = generators.patch_embed(rng, patch=4, grid=1, pad=0, stride=4)
    with pytest.raises(PlanError, match="is one strip"):
        strip_model(chain([one_strip]))
    op = patch_embeds()[0]
    interpreter = streamed.StripInterpreter(strip_model(chain([op])))
    with pytest.raises(TflmInvokeError, match="image: got"):
        interpreter.invoke(np.zeros((1, 2, 2, 1), np.int8))


def test_strip_must_not_lie_under_the_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's check says so; without it the operator itself does."""
    op = patch_embeds()[0]
    model = strip_model(chain([op], {0: 0, 1: 0}), strip_offset=0)
    with pytest.raises(TflmModelError, match=r"unsafe plan: t0 .* share bytes"):
        streamed.StripInterpreter(model)
    monkeypatch.setattr(interpreter, "check_plans", lambda _: None)
    with pytest.raises(TflmInvokeError, match="overlaps input and output"):
        streamed.StripInterpreter(model).invoke(image_for(op, np.random.default_rng(0)))
