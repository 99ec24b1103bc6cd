# SPDX-License-Identifier: Apache-2.0
"""Parts of the gate: the plain graph in NumPy, the threshold, probes, normal forms, remarks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.fuse import fuse_model, pipeline
from converter.fuse.gate import Feeds, PlainGraph, checked_normal_form
from converter.fuse.gate.noise import Noise
from converter.fuse.gate.plain import MEANINGS, Limits, rounding, to_integers
from converter.fuse.gate.probes import probe
from converter.fuse.rewrite import RULES, Edit, Rule
from converter.runtimes.reference import GraphInterpreter
from converter.tflite import GraphView, Quantization, Tensor, parse
from tests.converter.fuse import plain_graph
from tests.converter.fuse.blocks import AttentionSpelling, attention, token_input
from tests.converter.fuse.gate.networks import network
from tests.converter.fuse.rewrite.checks import graph_of


def convolutions() -> bytes:
    """What a network's stem and head may have besides linear layers."""
    g = plain_graph.PlainGraph(np.random.default_rng(3))
    x = g.input(g.rng.normal(0, 1, (1, 9, 9, 3)))
    t = g.convolution(g.convolution(x, 8, 3), 8, 3, depthwise=True)
    sigmoid = g.unary("LOGISTIC", t, 1 / (1 + np.exp(-g.value(t))))
    t = g.reshape(g.mul(t, sigmoid), 25, 8)
    return g.finish(g.softmax(g.linear(g.split(t, 2)[0], 5)))


def growing() -> bytes:
    """What a dense head has: images cut into blocks and put together, enlarged, in groups."""
    g = plain_graph.PlainGraph(np.random.default_rng(4))
    x = g.input(g.rng.normal(0, 1, (1, 6, 10, 2)))
    blocks = plain_graph.options("SpaceToDepthOptions", blockSize=2)
    t = g.op("SPACE_TO_DEPTH", [x], np.ones((1, 3, 5, 8)), like=x, **blocks)
    t = _grouped(g, t, 12, 2)
    blocks = plain_graph.options("DepthToSpaceOptions", blockSize=2)
    t = g.op("DEPTH_TO_SPACE", [t], np.ones((1, 6, 10, 3)), like=t, **blocks)
    for kernel, stride, same in ((2, 2, False), (3, 2, True), (4, 3, True), (1, 2, True)):
        t = _transposed(g, t, 2, kernel, stride, same)
        t = g.slice(t, (0, 0, 0, 0), (1, 5, 7, 2))
    for corners, half, size in ((0, 0, (7, 9)), (1, 0, (11, 5)), (0, 1, (4, 30))):
        opts = plain_graph.options("ResizeBilinearOptions", alignCorners=corners,
                                   halfPixelCenters=half)  # fmt: skip
        result = np.ones((1, *size, 2))
        t = g.op("RESIZE_BILINEAR", [t, g.indices(*size)], result, like=t, **opts)
    return g.finish(t)


def _weights(g: plain_graph.PlainGraph, x: int, *shape: int) -> tuple[int, int]:
    """Filters of one scale and a bias."""
    data = g.rng.integers(-127, 128, shape).astype(np.int8)
    scale = np.full(shape[0], 1 / 127 / np.sqrt(np.prod(shape[1:])), np.float32)
    zeros = np.zeros(shape[0], np.int64)
    w = Tensor("w", shape, data.dtype, Quantization(scale, zeros, 0), data)
    unit = (g.tensors[x].scale * scale).astype(np.float32)
    b = np.rint(g.rng.normal(0, 0.1, shape[0]) / unit).astype(np.int32)
    bias = Tensor("b", b.shape, b.dtype, Quantization(unit, zeros), b)
    return g._add(w, w.real()), g._add(bias, bias.real())


def _grouped(g: plain_graph.PlainGraph, x: int, count: int, groups: int) -> int:
    _, rows, columns, depth = g.values[x].shape
    w, b = _weights(g, x, count, 3, 3, depth // groups)
    ones = dict.fromkeys(("strideH", "strideW", "dilationHFactor", "dilationWFactor"), 1)
    opts = plain_graph.options("Conv2DOptions", padding=0, **ones)
    return g.op("CONV_2D", [x, w, b], g.rng.normal(0, 1, (1, rows, columns, count)), **opts)


def _transposed(
    g: plain_graph.PlainGraph, x: int, count: int, kernel: int, stride: int, same: bool
) -> int:
    _, rows, columns, depth = g.values[x].shape
    more = 0 if same else max(0, kernel - stride)
    shape = (1, rows * stride + more, columns * stride + more, count)
    w, b = _weights(g, x, count, kernel, kernel, depth)
    opts = plain_graph.options("TransposeConvOptions", padding=int(not same), strideH=stride,
                               strideW=stride)  # fmt: skip
    inputs = [g.indices(*shape), w, x, b]
    return g.op("TRANSPOSE_CONV", inputs, g.rng.normal(0, 1, shape), version=3, **opts)


@pytest.mark.parametrize("make", [network, convolutions, growing])
def test_plain_graph_in_numpy_is_the_int8_graph(make) -> None:  # type: ignore[no-untyped-def]
    """Tensor for tensor as LiteRT's kernels compute it, from the same inputs: a unit apart."""
    content = make()
    graph = parse(content).graph
    plain = PlainGraph(GraphView(graph))
    start = Feeds(plain.view).values(0)
    x = graph.tensors[graph.inputs[0]]
    exact = GraphInterpreter(content).tensors(to_integers(x, start[graph.inputs[0]]))
    for index, op in enumerate(graph.operators):
        values = {t: (exact[t].astype(np.float32) - graph.tensors[t].zero_point)
                  * np.float32(graph.tensors[t].scale)
                  for t in op.inputs if t in exact}  # fmt: skip
        plain.run([index], values, rounding)
        for t in op.outputs:
            got = to_integers(graph.tensors[t], values[t]).astype(int)
            # RSQRT of a kernel works on a table; its units are coarse.
            allowed = 3 if op.opcode in ("RSQRT", "LOGISTIC", "SOFTMAX") else 1
            assert np.max(np.abs(got - exact[t].astype(int))) <= allowed, op.opcode


@pytest.mark.parametrize("make", [network, convolutions])
@given(seed=st.integers(0, 1 << 30))
@settings(max_examples=20, deadline=None)
def test_limits_compute_again_what_depends_on_a_clipped_tensor(make, seed: int) -> None:  # type: ignore[no-untyped-def]
    """The same to the bit as a run with the limits from the beginning, whichever tensors clip."""
    plain = PlainGraph(GraphView(parse(make()).graph))
    rng, start = np.random.default_rng(seed), dict(Feeds(plain.view).values(0))
    ops = range(len(plain.view.graph.operators))
    free, limited = dict(start), dict(start)
    plain.run(ops, free)
    inner = [t for op in ops for t in plain.view.op(op).outputs]
    chosen = rng.choice(inner, min(len(inner), 4), replace=False)
    ranges = {int(t): tuple(np.quantile(free[int(t)], (0.1, 0.9))) for t in chosen}
    plain.run(ops, limited, Limits(ranges))
    found = plain.run_again(ops, free, Limits(ranges))
    assert found.keys() == limited.keys()
    assert all(np.array_equal(found[t], limited[t]) for t in limited)
    assert any(not np.array_equal(found[t], free[t]) for t in ranges)


def noise_of(error: np.ndarray, plain: float = 0.3, probes: int = 8) -> Noise:  # type: ignore[type-arg]
    """Errors of a fused result next to uniform noise of the plain one; units of 1."""
    rng = np.random.default_rng(7)
    noise = Noise(16, 1.0)
    for _ in range(probes):
        x = rng.normal(0, 20, (20, 16))
        truth = x + rng.normal(0, 20, x.shape)
        fused = truth + rng.normal(0, 0.3, truth.shape) + error * (truth - x)
        noise.add(truth, fused, truth + rng.normal(0, plain, truth.shape), x)
    return noise


def test_threshold() -> None:
    nothing = np.zeros((20, 16))
    assert noise_of(nothing).refusal() is None
    assert noise_of(nothing, plain=0.29).refusal() is None  # 0.3 dB
    far = noise_of(nothing, plain=0.2).refusal()
    assert far is not None
    assert "dB from the float result" in far
    gain = noise_of(nothing + 0.03, plain=3.0).refusal()
    assert gain is not None
    assert "times as large" in gain
    assert noise_of(nothing + 0.005, plain=3.0).refusal() is None


@given(st.integers(0, 1000), st.sampled_from([1, 3, 24]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_equal_noise_is_never_refused(seed: int, probes: int) -> None:
    rng = np.random.default_rng(seed)
    noise = Noise(12, 1.0)
    for _ in range(probes):
        truth = rng.normal(0, 30, (30, 12))
        a, b = (truth + rng.uniform(-0.5, 0.5, truth.shape) for _ in range(2))
        noise.add(truth, a, b, rng.normal(0, 30, truth.shape))
    assert noise.refusal() is None


@pytest.mark.parametrize("axis", [0, 1])
def test_offsets_of_a_channel_or_a_place(axis: int) -> None:
    rng = np.random.default_rng(7)
    noise = Noise(16, 1.0)
    offset = rng.normal(0, 1.5, (1, 16) if axis else (20, 16))
    for _ in range(24):
        truth = rng.normal(0, 30, (20, 16))
        fused = truth + rng.normal(0, 0.3, truth.shape) + offset
        noise.add(truth, fused, truth + rng.normal(0, 3, truth.shape))
    assert "off by" in str(noise.refusal())


def test_a_rule_that_changes_the_network_is_left_out() -> None:
    def drop_gelu(view: GraphView, op: int) -> Edit:
        return Edit((op,), renamed={view.op(op).outputs[0]: view.op(op).inputs[0]})

    wrong = Rule("wrong", "", frozenset({"GELU"}), drop_gelu)
    plain = PlainGraph(GraphView(parse(network()).graph))
    feeds = Feeds(plain.view)
    assert any(o.opcode == "GELU" for o in plain.view.graph.operators)
    normal = checked_normal_form(plain, feeds, (*RULES, wrong))
    names = [o.opcode for o in normal.graph.operators]
    assert names.count("GELU") == 2
    right = checked_normal_form(plain, feeds, RULES)
    assert names == [o.opcode for o in right.graph.operators]


def test_a_network_that_makes_much_of_small_differences_keeps_its_rules() -> None:
    """What is left of two nearly equal tensors: a rule is judged by what it writes itself."""

    def nudge(view: GraphView, op: int) -> Edit | None:
        """Weights larger by a part in 5,000, as rounding of a folded constant may be."""
        operator = view.op(op)
        w = view.tensor(operator.inputs[1])
        q = w.quantization
        if w.name == "nudged" or q is None:
            return None
        scale = dataclasses.replace(q, scale=q.scale * np.float32(1.0002))
        made = dataclasses.replace(w, name="nudged", quantization=scale)
        inputs = (operator.inputs[0], len(view.graph.tensors), *operator.inputs[2:])
        return Edit((op,), (dataclasses.replace(operator, inputs=inputs),), (made,))

    g = plain_graph.PlainGraph(np.random.default_rng(3))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 5, 8)))
    h = g.linear(x, 8, bias=False)
    content = g.finish(g.sub(h, g.constant(g.value(h))))
    plain = PlainGraph(GraphView(parse(content).graph))
    sample = to_integers(plain.view.tensor(x), g.value(x).astype(np.float32))
    rule = Rule("nudge", "", frozenset({"FULLY_CONNECTED"}), nudge)
    normal = checked_normal_form(plain, Feeds(plain.view, [[sample]]), (rule,))
    assert "nudged" in [t.name for t in normal.graph.tensors]


def test_given_probes_are_used_and_checked() -> None:
    content = network()
    x = parse(content).graph.tensors[parse(content).graph.inputs[0]]
    rng = np.random.default_rng(0)
    images = [[rng.integers(-60, 60, x.shape).astype(np.int8)] for _ in range(3)]
    made, given = fuse_model(content), fuse_model(content, probes=images)
    assert made.model_bytes == given.model_bytes
    assert made.report.accuracy != given.report.accuracy
    with pytest.raises(ValueError, match="probes: got none"):
        fuse_model(content, probes=[])
    with pytest.raises(ValueError, match="got 2 values, expected 1"):
        fuse_model(content, probes=[[*images[0], *images[0]]])
    with pytest.raises(ValueError, match="got float32"):
        fuse_model(content, probes=[[images[0][0].astype(np.float32)]])


def test_the_same_file_gives_the_same_verdict() -> None:
    assert fuse_model(network()) == fuse_model(network())


def test_operator_without_a_meaning_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is still checked, on numbers of the tensors' types behind it."""
    monkeypatch.delitem(MEANINGS, "REVERSE_V2")
    s = AttentionSpelling()
    g = plain_graph.PlainGraph(np.random.default_rng(1))
    x = token_input(g, s.tokens, s.embed_dim)
    turned = np.flip(g.value(x), 1)
    opts = plain_graph.options("ReverseV2Options")
    h = g.op("REVERSE_V2", [x, g.indices(1)], turned, like=x, **opts)
    y = attention(g, h, s)
    report = fuse_model(g.finish(y)).report
    assert [op.custom_code for op in report.fused] == ["VitAttention"]
    assert report.accuracy is None
    assert report.remarks == ("the whole network is not compared: REVERSE_V2 cannot be evaluated",)


def test_whole_network_that_got_worse_gives_blocks_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every region passes, the outputs do not: nothing is kept on trust."""
    monkeypatch.setattr(Noise, "refusal", lambda _: None)
    real = Noise.over_threshold

    def whole_only(noise: Noise) -> str | None:
        return real(noise) if noise.step == 0.0 else None

    monkeypatch.setattr(Noise, "over_threshold", whole_only)
    lower = pipeline.lower

    def shifted(match, type_of):  # type: ignore[no-untyped-def]
        op = lower(match, type_of)
        if type(op).__name__ != "LinearOp":
            return op
        up = dataclasses.replace(op.projection.up, weights=op.projection.up.weights[::-1].copy())
        return dataclasses.replace(op, projection=dataclasses.replace(op.projection, up=up))

    monkeypatch.setattr(pipeline, "lower", shifted)
    report = fuse_model(network()).report
    assert "VitLinear" not in {op.custom_code for op in report.fused}
    assert any("of the whole network" in n.reason for n in report.not_fused)


def test_graphs_share_constants_of_the_plain_one_only() -> None:
    g = plain_graph.PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0, 1, (1, 4, 6)))
    graph = graph_of(g, g.linear(x, 3))
    first = PlainGraph(GraphView(graph))
    values = []
    for factor in (1, 2):
        table = dataclasses.replace(
            graph.tensors[graph.operators[0].inputs[1]], data=np.full((3, 6), factor, np.int8)
        )
        op = graph.operators[0]
        more = dataclasses.replace(
            graph,
            tensors=(*graph.tensors, table),
            operators=(dataclasses.replace(op, inputs=(x, len(graph.tensors), op.inputs[2])),),
        )
        other = PlainGraph(GraphView(more), first)
        values.append(other.constant(len(graph.tensors)))
        assert other.constant(op.inputs[1]) is first.constant(op.inputs[1])
    np.testing.assert_allclose(values[1], 2 * values[0])


def test_probes_of_the_largest_steps_are_finite() -> None:
    """A warning of NumPy's would be a line beside a command's own."""
    quantization = Quantization(np.array([3e38], np.float32), np.array([-128]))
    tensor = Tensor("t", (2, 3), np.dtype(np.int8), quantization)
    assert np.isfinite(probe(tensor, np.random.default_rng(0))).all()


def coarse(view: GraphView, op: int) -> Edit | None:
    """Products in steps 32 times as large: the same on real numbers, not in integers."""
    operator = view.op(op)
    y = view.tensor(operator.outputs[0])
    if y.name == "coarse" or y.quantization is None:
        return None
    steps = dataclasses.replace(y.quantization, scale=y.quantization.scale * np.float32(32))
    made = dataclasses.replace(y, name="coarse", quantization=steps)
    index = len(view.graph.tensors)
    return Edit(
        (op,),
        (dataclasses.replace(operator, outputs=(index,)),),
        (made,),
        {operator.outputs[0]: index},
    )


def test_a_normal_form_that_is_worse_alone_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is fused (any more) the rules themselves are what made the network worse."""
    g = plain_graph.PlainGraph(np.random.default_rng(5))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 7, 16)))
    a, b = g.split(x, 2)
    content = g.finish(g.add(g.mul(a, b), a))
    before = fuse_model(content)
    assert not before.report.fused
    rule = Rule("coarse", "", frozenset({"MUL"}), coarse)
    monkeypatch.setattr(pipeline, "RULES", (*RULES, rule))
    after = fuse_model(content)
    names = [t.name for t in parse(after.model_bytes).graph.tensors]
    assert "coarse" not in names
    assert any(r.startswith("not in normal form, which alone") for r in after.report.remarks)
    assert not any("normal form" in r for r in before.report.remarks)
    unchecked = fuse_model(content, judged=False)
    assert "coarse" in [t.name for t in parse(unchecked.model_bytes).graph.tensors]
