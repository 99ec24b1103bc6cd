# SPDX-License-Identifier: Apache-2.0
"""The compiled runtime on the host equals the operators' definition, and obeys its plan."""

from __future__ import annotations

import dataclasses
import functools
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.compile import compile_model
from converter.plan import Span
from converter.runtimes import host, host_build
from tests.converter.compile import fused_models
from tflm_custom_ops.ops import Params, run_reference
from toolchain import VARIABLE

VARIANTS = {
    "dense": {},
    "int16": {"bits": 16},
    "low rank": {"rank": 5, "with_cls": True},
    "overlapping patches": {"image": fused_models.ImageShape(18, 14, 3, 5, 3, 1), "bits": 16},
    "skipped rows": {"image": fused_models.ImageShape(20, 13, 1, 3, 5, 0)},
}


def images_for(ops: list[Params], count: int) -> np.ndarray:
    first = ops[0]
    shape = (count, first.image_height, first.image_width, first.channels)
    return np.random.default_rng(7).integers(-128, 128, shape).astype(np.int8)


def expected_logits(ops: list[Params], images: np.ndarray) -> np.ndarray:
    rows = [functools.reduce(lambda x, op: run_reference(op, x), ops, image) for image in images]
    return np.stack([row.reshape(-1) for row in rows])


@functools.cache
def model(variant: str, streamed: bool) -> host.HostModel:
    ops = fused_models.vit_ops(**VARIANTS[variant])
    plan = fused_models.stacked_plan(ops, streamed)
    return host.HostModel(fused_models.model_bytes(ops), plan)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_the_reference(variant, streamed):
    ops = fused_models.vit_ops(**VARIANTS[variant])
    images = images_for(ops, 9)
    logits = model(variant, streamed).run(images, threads=2)
    np.testing.assert_array_equal(logits, expected_logits(ops, images))
    assert len(np.unique(logits)) > 20  # not all clamped or constant
    np.testing.assert_array_equal(model(variant, streamed).run_checked(images[:3]), logits[:3])


def test_threads_do_not_disturb_each_other():
    images = images_for(fused_models.vit_ops(), 101)
    one = model("dense", True).run(images, threads=1)
    np.testing.assert_array_equal(model("dense", True).run(images, threads=5), one)
    assert model("dense", True).run(images[:0]).shape == (0, 10)


@settings(max_examples=25, deadline=None)
@given(
    pieces=st.lists(st.integers(0, 9), max_size=20),
    variant=st.sampled_from(["dense", "overlapping patches", "skipped rows"]),
)
def test_rows_may_come_in_any_pieces(pieces, variant):
    images = images_for(fused_models.vit_ops(**VARIANTS[variant]), 1)
    stream = model(variant, True).stream()
    assert stream.begin() == 0
    row = 0
    for count in [*pieces, images.shape[1]]:
        rows = images[0, row : row + count]
        assert stream.push_rows(rows) == 0
        row += len(rows)
    status, logits = stream.finish()
    assert status == 0
    np.testing.assert_array_equal(logits, model(variant, False).run(images)[0])


def test_misuse_of_the_stream_is_reported():
    image = images_for(fused_models.vit_ops(), 1)[0]
    expected = model("dense", False).run(image[None])[0]
    stream = model("dense", True).stream()
    not_begun, too_many, too_few = 1, 2, 3
    assert stream.push_rows(image) == not_begun
    assert stream.finish()[0] == not_begun
    assert stream.begin() == 0
    assert stream.finish()[0] == too_few
    assert stream.push_rows(image[:10]) == 0
    assert stream.push_rows(image[:7]) == too_many  # consumes nothing
    assert stream.finish()[0] == too_few
    assert stream.push_rows(image[10:]) == 0
    status, logits = stream.finish()
    assert status == 0
    np.testing.assert_array_equal(logits, expected)
    assert stream.finish()[0] == not_begun
    assert stream.begin() == 0  # and again, after half an image was thrown away
    assert stream.push_rows(image[:9]) == 0
    assert stream.begin() == 0
    assert stream.push_rows(image) == 0
    np.testing.assert_array_equal(stream.finish()[1], expected)
    with pytest.raises(ValueError, match="resident"):
        model("dense", False).stream()


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (np.zeros((2, 16, 12, 1), np.int8), r"expected int8 \[n, 16, 12, 3\]"),
        (np.zeros((16, 12, 3), np.int8), "expected int8"),
        (np.zeros((2, 16, 12, 3), np.float32), "got float32"),
    ],
)
def test_wrong_images(images, reason):
    with pytest.raises(ValueError, match=reason):
        model("dense", False).run(images)
    with pytest.raises(ValueError, match="threads"):
        model("dense", False).run(np.zeros((1, 16, 12, 3), np.int8), threads=0)


def test_scratch_that_is_planned_too_small_is_caught():
    """The operator then writes bytes that the plan says are dead."""
    ops = fused_models.vit_ops()
    plan = fused_models.stacked_plan(ops)
    small = tuple(Span(r.offset, 16) if i == 1 else r for i, r in enumerate(plan.scratch))
    bad = host.HostModel(fused_models.model_bytes(ops), dataclasses.replace(plan, scratch=small))
    with pytest.raises(host.PlanViolationError, match="operator 1 wrote a byte that the plan"):
        bad.run_checked(images_for(ops, 1))


def test_an_arena_that_is_too_small_is_caught():
    ops = fused_models.vit_ops()
    plan = fused_models.stacked_plan(ops)
    top = plan.scratch[0].offset
    scratch = tuple(Span(top, 16) for _ in ops)
    bad = host.HostModel(
        fused_models.model_bytes(ops),
        dataclasses.replace(plan, scratch=scratch, arena_bytes=top + 16),
    )
    with pytest.raises(host.PlanViolationError, match="outside the arena"):
        bad.run_checked(images_for(ops, 1))


def test_overwriting_what_is_not_read_yet_is_caught():
    """Tokens over the image's first rows: safe only if the planner leaves a margin."""
    ops = fused_models.vit_ops(image=fused_models.ImageShape(16, 12, 1, 4, 2, 0), dim=24)
    plan = fused_models.stacked_plan(ops)
    spans = [dataclasses.replace(s, offset=0) if i == 2 else s for i, s in enumerate(plan.tensors)]
    bad = host.HostModel(
        fused_models.model_bytes(ops), dataclasses.replace(plan, tensors=tuple(spans))
    )
    with pytest.raises(host.PlanViolationError, match="without overwriting"):
        bad.run_checked(images_for(ops, 2))


_READS_DEAD_BYTES = """
#define vit_mlp real_vit_mlp
#include "{source}"
#undef vit_mlp
void vit_mlp(const VitMlpParams* params, const void* x, void* y, void* scratch) {{
  real_vit_mlp(params, x, y, scratch);
  ((int8_t*)y)[0] = (int8_t)(((int8_t*)y)[0] ^ ((const int8_t*)x)[{distance}]);
}}
"""


def test_reading_a_dead_byte_is_caught(tmp_path, monkeypatch):
    """A kernel that reads behind its input: the two poison values give different logits."""
    mlp = next(p for p in host_build.kernel_sources("host") if p.name == "vit_mlp.c")
    fault = tmp_path / "vit_mlp.c"
    distance = 12 * 12 + 100  # in the unused bytes behind the tokens
    fault.write_text(_READS_DEAD_BYTES.format(source=mlp, distance=distance))
    sources = [fault if p.name == "vit_mlp.c" else p for p in host_build.kernel_sources("host")]
    monkeypatch.setattr(host_build, "kernel_sources", lambda core: sources)
    ops = fused_models.vit_ops()
    bad = host.HostModel(fused_models.model_bytes(ops), fused_models.stacked_plan(ops))
    with pytest.raises(host.PlanViolationError, match="reads bytes that the plan says are dead"):
        bad.run_checked(images_for(ops, 4))


def test_libraries_are_built_once(monkeypatch):
    ops = fused_models.vit_ops()
    compiled = compile_model(fused_models.model_bytes(ops), fused_models.stacked_plan(ops))
    path = host_build.build_library(compiled)
    monkeypatch.setattr(host_build, "run_tool", lambda *args: pytest.fail(f"built again: {args}"))
    assert host_build.build_library(compiled) == path
    assert not list(path.parent.glob(".building-*"))


def test_a_missing_compiler_is_one_clear_line(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    ops = fused_models.vit_ops()
    with pytest.raises(host_build.HostBuildError, match=r"no C compiler.*apt-get install") as info:
        host.HostModel(fused_models.model_bytes(ops), fused_models.stacked_plan(ops))
    assert "\n" not in str(info.value)


def test_an_unusable_cache_is_named(monkeypatch, tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    blocked.chmod(stat.S_IRUSR)
    monkeypatch.setenv(VARIABLE, str(blocked / "cache"))
    ops = fused_models.vit_ops()
    with pytest.raises(host_build.HostBuildError, match=rf"set \${VARIABLE} to"):
        host.HostModel(fused_models.model_bytes(ops), fused_models.stacked_plan(ops))
