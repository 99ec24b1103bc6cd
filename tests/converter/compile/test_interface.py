# SPDX-License-Identifier: Apache-2.0
"""Compiled models with several inputs and outputs, of any rank: equal to the reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.compile import CompileError, c_text, compile_model
from converter.contract import Contract, ContractError
from converter.contract.metadata_writing import with_contract
from converter.plan import plan_model
from converter.plan.problem import PlanError
from converter.plan.strip import strip_model
from converter.runtimes import open_runtime
from converter.runtimes.host import HostModel
from converter.tflite import parse
from keras_models.datasets.normalization import OWN
from tests.converter.compile import fused_models
from tests.converter.runtimes.edges import INT8, INT16, UINT8, Edges, int8_then, random_array

Y = (0.11, 4)


def sums(shape=(2, 3)):
    """y0 = a + b, y1 = y0 + c, y2 = a + c: inputs die at different times."""
    graph = Edges()
    a, b, c = (graph.x(shape, np.int8, INT8) for _ in range(3))
    y0 = graph.op("ADD", (a, b), shape, np.int8, Y, "AddOptions")
    y1 = graph.op("ADD", (y0, c), shape, np.int8, Y, "AddOptions")
    y2 = graph.op("ADD", (a, c), shape, np.int8, Y, "AddOptions")
    return graph.content(y2, y0, y1)


@pytest.mark.parametrize("shape", [(7,), (2, 3), (1, 4, 5), (1, 3, 4, 2)], ids=str)
def test_several_inputs_and_outputs_of_any_rank(shape):
    model = plan_model(sums(shape)).model_bytes
    host, reference = open_runtime("host", model), open_runtime("reference", model)
    rng = np.random.default_rng(2)
    stacks = [random_array(rng, (5, *shape), np.int8) for _ in range(3)]
    got, expected = host.run_batch(*stacks), reference.run_batch(*stacks)
    for y, z in zip(got, expected, strict=True):
        np.testing.assert_array_equal(y, z)
    one = host.run(*(stack[3] for stack in stacks))
    np.testing.assert_array_equal(one[1], expected[1][3])
    checked = HostModel(model).run_stacks_checked(stacks)
    np.testing.assert_array_equal(checked[2], expected[2])


@pytest.mark.parametrize("shape", [(7,), (1, 3, 4, 2)], ids=str)
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(np.float32, None), (np.uint8, UINT8), (np.int16, INT16), (np.int8, (0.07, 5))],
    ids=["float32", "uint8", "int16", "int8"],
)
def test_every_type_at_the_edges(shape, dtype, scale):
    model = plan_model(int8_then(shape, dtype, scale)).model_bytes
    host, reference = open_runtime("host", model), open_runtime("reference", model)
    stack = random_array(np.random.default_rng(2), (20, *shape), dtype)
    got, expected = host.run_batch(stack), reference.run_batch(stack)
    assert len(np.unique(expected[0])) > 1
    for y, z in zip(got, expected, strict=True):
        assert y.dtype == z.dtype
        np.testing.assert_array_equal(y, z)
    np.testing.assert_array_equal(HostModel(model).run_stacks_checked([stack])[0], expected[0])


def test_float_values_beyond_every_range_saturate():
    model = plan_model(int8_then((6,), np.float32, None)).model_bytes
    x = np.array([np.inf, -np.inf, np.nan, 3e38, -3e38, 0.0], np.float32)
    y = open_runtime("host", model).run(x)[1]
    np.testing.assert_array_equal(y, [127, -128, -128, 127, -128, -3])


def test_the_header_lists_every_tensor():
    model = compile_model(plan_model(sums()).model_bytes)
    header, source = (model.files[i].content.decode() for i in (0, 1))
    assert "#define VIT_MODEL_INPUT_COUNT 3\n" in header
    assert "#define VIT_MODEL_OUTPUT_COUNT 3\n" in header
    assert "#define VIT_MODEL_INPUT_BYTES 18\n" in header
    assert "#define VIT_MODEL_IS_IMAGE 0\n" in header
    assert "IMAGE_HEIGHT" not in header
    tensor = model.interface.inputs[1]
    scale = c_text.float32(tensor.scale)
    assert 'static const char kInput1[] = "t1";' in source
    row = f"{{kInput1, VIT_MODEL_INT8, 2, {{2, 3}}, 6, {tensor.offset}, {scale}, -3}},"
    assert row in source
    assert [t.name for t in model.interface.outputs] == ["t5", "t3", "t4"]


def test_an_image_model_has_its_own_functions():
    graph = Edges()
    x = graph.x((1, 2, 2, 1), np.int8, INT8)
    y = graph.op("ADD", (x, x), (1, 2, 2, 1), np.int8, Y, "AddOptions")
    model = compile_model(plan_model(graph.content(y)).model_bytes)
    assert model.interface.image is not None
    assert model.interface.image.classes == 4
    assert b"int8_t* vit_model_input(uint8_t* arena);" in model.files[0].content


def test_what_the_header_cannot_say_is_refused():
    graph = Edges()
    shape = (1,) * 7
    x = graph.x(shape, np.int8, INT8)
    target = graph.tensor((2,), np.int32, None, np.array([1, 1], np.int32))
    y = graph.op("RESHAPE", (x, target), (1, 1), np.int8, INT8)
    with pytest.raises(CompileError, match="expected at most 6 dimensions"):
        compile_model(plan_model(graph.content(y)).model_bytes)


def test_an_image_in_planes_is_a_tensor_as_any_other():
    """The application, which fills rows of pixels, must not take it for its image."""
    image = fused_models.ImageShape(16, 12, 2)
    embed, *rest = fused_models.vit_ops(image=image)
    ops = [dataclasses.replace(embed, planes=True), *rest]
    planned = plan_model(fused_models.model_bytes(ops)).model_bytes
    host, reference = open_runtime("host", planned), open_runtime("reference", planned)
    assert host.inputs[0].shape == (1, 2, 16, 12)
    stack = random_array(np.random.default_rng(2), (5, 1, 2, 16, 12), np.int8)
    np.testing.assert_array_equal(host.run_batch(stack)[0], reference.run_batch(stack)[0])
    compiled = compile_model(planned)
    assert compiled.interface.image is None
    with pytest.raises(PlanError, match="VitPatchEmbed reads an image in planes"):
        plan_model(fused_models.model_bytes(ops), streamed=True)
    with pytest.raises(PlanError, match="VitPatchEmbed"):
        strip_model(fused_models.model_bytes(ops))
    with pytest.raises(ContractError, match="in planes, expected"):
        with_contract(parse(planned), Contract(OWN))


@pytest.mark.parametrize(("order", "planes"), [((0, 2, 3, 1), True), ((0, 2, 1, 3), False)])
def test_only_a_transpose_to_pixels_is_of_an_image_in_planes(order, planes):
    """Rows and columns may change places: these are pixels, with channels last."""
    shape = (1, 2, 4, 2)
    graph = Edges()
    x = graph.x(shape, np.int8, INT8)
    axes = graph.tensor((4,), np.int32, data=np.array(order, np.int32))
    y = graph.op("TRANSPOSE", (x, axes), tuple(shape[i] for i in order), np.int8, INT8)
    model = plan_model(graph.content(y)).model_bytes
    assert (compile_model(model).interface.image is None) == planes


@pytest.mark.parametrize(
    ("shape", "pixels", "planes"),
    [
        ((1, 1, 6, 4), (1, 6, 4, 1), True),  # one plane: its transpose is a reshape
        ((1, 1, 6, 4), (1, 6, 1, 4), False),  # an image of one row, turned
        ((1, 6, 4, 1), (1, 1, 6, 4), False),
    ],
)
def test_an_image_in_one_plane_has_no_pixels_of_many_channels(shape, pixels, planes):
    graph = Edges()
    x = graph.x(shape, np.int8, INT8)
    target = graph.tensor((4,), np.int32, data=np.array(pixels, np.int32))
    y = graph.op("RESHAPE", (x, target), pixels, np.int8, INT8)
    found = compile_model(plan_model(graph.content(y)).model_bytes).interface.image
    assert (found is None) == planes
    if found is not None:
        assert (found.height, found.width, found.channels) == shape[1:]
