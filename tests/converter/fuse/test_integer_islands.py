# SPDX-License-Identifier: Apache-2.0
"""Float operators between integers, as PT2E leaves them, become integers with ranges that hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from converter.fuse import __main__ as command
from converter.fuse import fuse_model
from converter.fuse.gate.plain import PlainGraph as Runner
from converter.fuse.gate.plain import rounding, to_real
from converter.fuse.islands import graph as islands_graph
from converter.fuse.islands.cuts import RangeSource, find_cuts
from converter.fuse.islands.intervals import RealInterval
from converter.fuse.probe_images import probe_samples
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.samples import SampleError
from converter.support.verdict import verdicts
from converter.tflite import GraphView, Quantization, TfliteError, parse
from tests.converter.fuse.blocks import AttentionSpelling, attention, mlp
from tests.converter.fuse.gate.networks import network
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.pt2e import as_pt2e, pt2e_of


def lines(content: bytes, bits: int | None = None, count: int = 0) -> str:
    return fuse_model(content, bits, probes=samples(content, count) or None).report.table()


def samples(content: bytes, count: int) -> list[list[np.ndarray]]:
    graph = parse(content).graph
    rng = np.random.default_rng(5)
    tensors = [graph.tensors[i] for i in graph.inputs]
    return [[rng.integers(-90, 90, t.shape).astype(np.int8) for t in tensors] for _ in range(count)]


def blocks(rank_3: bool = True, joined: bool = False, seed: int = 2, normed: bool = False) -> bytes:
    """Attention and MLP on a stream; `joined`: two class tokens are put before the first block;
    `normed`: a LayerNorm is (Twins, Swin, CLIP)."""
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.normal(0, 1, (1, 5, 12) if rank_3 else (5, 12)))
    if joined:
        x = g.concatenation([g.constant(g.rng.normal(0, 1, (1, 2, 12))), g.linear(x, 12)], 1)
    else:
        x = g.layer_norm(g.linear(x, 12)) if normed else g.add(x, g.linear(x, 12))
    spelling = AttentionSpelling(tokens=7 if joined else 5, embed_dim=12, rank_3=rank_3)
    y = mlp(g, attention(g, x, spelling), 24)
    return pt2e_of(g, g.linear(g.layer_norm(y), 6))


def test_a_network_whose_layers_alone_are_integers_is_fused_whole_and_runs_everywhere() -> None:
    content = as_pt2e(network())
    fused = fuse_model(content)
    assert fused.report.ops_before == 63
    assert [left.name for left in fused.report.leftovers] == ["MEAN"]
    codes = [op.custom_code for op in fused.report.fused]
    assert codes[:4] == ["VitPatchEmbed", "VitAttention", "VitMlp", "VitLayerNorm"]
    assert {op.residual_bits for op in fused.report.fused[:3]} == {16}
    planned = plan_model(fused.model_bytes).model_bytes
    assert all(entry.runs for entry in verdicts(parse(planned).graph))
    for sample in samples(content, 2):
        (want,) = open_runtime("reference", planned).run(*sample)
        for runtime in ("host", "tflm"):
            np.testing.assert_array_equal(open_runtime(runtime, planned).run(*sample)[0], want)


def test_the_report_compares_with_the_file_and_says_where_ranges_come_from() -> None:
    content = blocks()
    fused = fuse_model(content).report
    assert fused.accuracy is not None
    # Of the file: float operators between its integers are exact in it.
    view = GraphView(parse(content).graph)
    runner, outputs = Runner(view), view.graph.outputs
    power = {True: 0.0, False: 0.0}
    for sample in samples(content, 8):
        x = {view.graph.inputs[0]: to_real(view.tensor(view.graph.inputs[0]), sample[0])}
        exact = runner.results(outputs, x)[outputs[0]]
        off = runner.results(outputs, x, rounding)[outputs[0]] - exact
        power[True] += float(np.sum(exact**2))
        power[False] += float(np.sum(off**2))
    measured = 10 * np.log10(power[True] / power[False])
    assert abs(fused.accuracy.plain_db - measured) < 3.0
    text = lines(content)
    assert "tensors between float operators became int8; ranges: 3 a bound" in text
    assert "in float before, is int16" in text
    assert "ranges: 3 seen on 4 inputs" in lines(content, 8, count=4)
    assert "int16" not in lines(content, 8, count=4)


@pytest.mark.parametrize("begin", ["joined", "normed"])
def test_an_int16_stream_begins_at_joined_tokens_or_a_norm(begin: str) -> None:
    content = blocks(joined=begin == "joined", normed=begin == "normed")
    fused = fuse_model(content)
    assert "stays int8" not in fused.report.table()
    graph = parse(fused.model_bytes).graph
    types = [[graph.tensors[i].dtype for i in (op.inputs[0], op.outputs[0])]
             for op in graph.operators if op.opcode == "QUANTIZE"]  # fmt: skip
    assert [np.int8, np.int16] in types
    assert {op.residual_bits for op in fused.report.fused if "A" in op.custom_code} == {16}
    planned = plan_model(fused.model_bytes).model_bytes
    for sample in samples(content, 2):
        want = open_runtime("reference", planned).run(*sample)[0]
        np.testing.assert_array_equal(open_runtime("tflm", planned).run(*sample)[0], want)


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("scaled", [False, True])
def test_learnt_queries_in_float_are_an_operand_of_a_core(heads: int, scaled: bool) -> None:
    """SigLIP's pooling: queries are constants, computed before the export."""
    tokens, depth = 9, 8
    g = PlainGraph(np.random.default_rng(heads))
    x = g.linear(g.input(g.rng.normal(0, 1, (1, tokens, 12))), 12)
    k, v = (
        g.transpose(g.reshape(g.linear(x, heads * depth), 1, tokens, heads, depth), 0, 2, 1, 3)
        for _ in range(2)
    )
    if scaled:
        k = g.mul(k, g.constant(np.array(depth**-0.5)))
    q = g.constant(g.rng.normal(0, 1, (1, heads, 2, depth)))
    context = g.matmul(g.softmax(g.matmul(q, k, adj_y=True)), v)
    joined = g.reshape(g.transpose(context, 0, 2, 1, 3), 1, 2, heads * depth)
    content = pt2e_of(g, g.linear(g.linear(joined, 12), 4), quantized={"FULLY_CONNECTED"})
    fused = fuse_model(content)
    assert not fused.report.leftovers
    assert "VitAttentionCore" in {op.custom_code for op in fused.report.fused}
    accuracy = fused.report.accuracy
    assert accuracy is not None
    assert accuracy.fused_db > accuracy.plain_db - 1.0
    planned = plan_model(fused.model_bytes).model_bytes
    for sample in samples(content, 2):
        want = open_runtime("reference", planned).run(*sample)[0]
        for runtime in ("host", "tflm"):
            np.testing.assert_array_equal(open_runtime(runtime, planned).run(*sample)[0], want)


def test_integers_that_are_far_worse_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    content = blocks()

    def coarse(interval: RealInterval) -> Quantization:
        return Quantization.per_tensor(4.0 * max(-interval.low, interval.high), 0)

    monkeypatch.setattr(islands_graph, "quantization_of", coarse)
    report = fuse_model(content, 8).report
    assert any("float operators stay: as integers" in line for line in report.remarks)
    assert "RSQRT" in {left.name for left in report.leftovers}
    assert report.accuracy is not None
    assert report.accuracy.fused_db > report.accuracy.plain_db - 1.0
    # Ranges from data are the user's word: taken, and what they cost is said.
    text = lines(content, 8, count=4)
    assert "these integers cost" in text
    assert "not fused, in int8 now and in float in the file: ADD (op" in text
    assert "RSQRT" not in text


def test_products_of_activations_need_data() -> None:
    g = PlainGraph(np.random.default_rng(0))
    a, b = (g.linear(g.input(g.rng.normal(0, 1, (1, 6, 8))), 8) for _ in range(2))
    content = pt2e_of(g, g.linear(g.gelu(g.mul(a, b)), 4), quantized={"FULLY_CONNECTED"})
    without = lines(content)
    assert "stays in float, for it has no range: MUL" in without
    assert "--calibration_file=FILE.npy gives one" in without
    with_data = lines(content, count=4)
    assert "ranges: 1 seen on 4 inputs" in with_data
    assert "QUANTIZE" not in with_data


def test_constants_of_each_channel_behind_a_layer_go_into_it() -> None:
    """Batch normalization as PT2E leaves it, and a sum behind it."""
    g = PlainGraph(np.random.default_rng(4))
    x = g.linear(g.input(g.rng.normal(0, 1, (1, 6, 8))), 8)
    scaled = g.mul(g.linear(x, 8), g.constant(g.rng.uniform(0.5, 2, 8)))
    branch = g.add(scaled, g.constant(g.rng.normal(0, 1, 8)))
    report = fuse_model(pt2e_of(g, g.linear(g.add(x, branch), 4))).report
    assert [left.name for left in report.leftovers] == ["ADD"]
    assert not any("constants" in line for line in report.remarks)


# ---- ranges --------------------------------------------------------------------------------------

Grow = Callable[[PlainGraph, list[int]], int]


def _joined(g: PlainGraph, ts: list[int]) -> int:
    return g.slice(g.concatenation([ts[-1], ts[0]], 1), (0, 1, 0), (1, 3, 6))


def _repeated_mean(g: PlainGraph, ts: list[int]) -> int:
    return g.add(g.mean(ts[-1], 1), ts[0])


STEPS: dict[str, Grow] = {
    "sum": lambda g, ts: g.add(ts[-1], ts[0]),
    "difference": lambda g, ts: g.sub(ts[0], ts[-1]),
    "scale": lambda g, ts: g.mul(ts[-1], g.constant(g.rng.normal(0, 2, 6))),
    "offset": lambda g, ts: g.add(ts[-1], g.constant(g.rng.normal(0, 2, (3, 6)))),
    "gelu": lambda g, ts: g.gelu(ts[-1]),
    "silu": lambda g, ts: g.mul(
        ts[-1], g.unary("LOGISTIC", ts[-1], 1 / (1 + np.exp(-g.value(ts[-1]))))
    ),
    "norm": lambda g, ts: g.layer_norm(ts[-1]),
    "mean": _repeated_mean,
    "joined": _joined,
}


@given(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=5), st.integers(0, 99))
@example(["scale", "scale", "silu", "difference"], 3)  # its least value is between two codes
def test_no_number_leaves_a_range_that_is_exact_or_a_bound(steps: list[str], seed: int) -> None:
    g = PlainGraph(np.random.default_rng(seed))
    tensors = [g.input(g.rng.normal(0, 1, (1, 3, 6)))]
    for step in steps:
        tensors.append(STEPS[step](g, tensors))
    view = GraphView(parse(pt2e_of(g, g.linear(tensors[-1], 4))).graph)
    cuts = [c for c in find_cuts(view).cuts if c.source in (RangeSource.EXACT, RangeSource.BOUND)]
    (x,) = view.graph.inputs
    for value in (g.rng.integers(-128, 128, (1, 3, 6)), g.rng.choice([-128, 127], (1, 3, 6))):
        real = {x: to_real(view.tensor(x), value)}
        found = Runner(view).results([c.tensor for c in cuts], real, rounding)
        for cut in cuts:
            low, high = float(found[cut.tensor].min()), float(found[cut.tensor].max())
            room = 1e-5 * max(abs(cut.interval.low), abs(cut.interval.high))
            assert cut.interval.low - room <= low, cut
            assert high <= cut.interval.high + room, cut


def test_a_quantize_beside_a_stream_gives_its_range() -> None:
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0, 1, (1, 5, 8)))
    y = g.add(x, g.linear(x, 8))
    z = g.add(y, g.linear(y, 8))
    cuts = find_cuts(GraphView(parse(pt2e_of(g, g.linear(z, 4))).graph)).cuts
    assert [cut.source for cut in cuts] == [RangeSource.QUANTIZE]


def test_the_command_takes_inputs_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = blocks()
    (tmp_path / "plain.tflite").write_bytes(content)
    x = parse(content).graph.tensors[parse(content).graph.inputs[0]]
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(0, 1, (6, *x.shape[1:])))
    words = [f"--model={tmp_path / 'plain.tflite'}", f"--out={tmp_path / 'f.tflite'}"]
    command.main([*words, f"--calibration_file={tmp_path / 'x.npy'}"])
    printed = capsys.readouterr()
    assert "ranges: 3 seen on 6 inputs" in printed.out
    assert "residual int16" in printed.out
    assert not printed.err
    np.save(tmp_path / "y.npy", np.zeros((2, 7), np.float32))
    with pytest.raises(SystemExit):
        command.main([*words, f"--calibration_file={tmp_path / 'y.npy'}"])
    assert "got shape [2, 7], expected [n, 5, 12]" in capsys.readouterr().err


def _refused_samples(tmp_path: Path, x: np.ndarray) -> str:
    np.save(tmp_path / "x.npy", x)
    with pytest.raises((SampleError, TfliteError)) as error:
        probe_samples(blocks(), str(tmp_path / "x.npy"))
    return str(error.value)


def test_samples_of_another_layout_are_refused(tmp_path: Path) -> None:
    """As many numbers, in PyTorch's order: ranges would be learnt from a scrambled input."""
    x = np.random.default_rng(0).normal(0, 1, (3, 5, 12))
    line = _refused_samples(tmp_path, x.swapaxes(1, 2))
    assert "got shape [3, 12, 5], expected [n, 5, 12]" in line
    for same in (x, x.reshape(3, 60), x.reshape(3, 1, 5, 12)):
        np.save(tmp_path / "x.npy", same)
        assert len(probe_samples(blocks(), str(tmp_path / "x.npy"))) == 3


@pytest.mark.parametrize("factor", [50.0, 0.02, np.nan])
def test_samples_scaled_otherwise_are_refused(tmp_path: Path, factor: float) -> None:
    """Bytes for a network of -1..1: every input would be one of its range's ends."""
    x = np.random.default_rng(0).normal(0, 1, (3, 5, 12)) * factor
    line = _refused_samples(tmp_path, x)
    assert ("not finite" if np.isnan(factor) else "scale them as in its training") in line
