# SPDX-License-Identifier: Apache-2.0
"""Faults of what makes a fused file: calibration, arithmetic, lowering, schedules."""

from __future__ import annotations

from benchmarks.mutations.fault import Fault

_ARITHMETIC = "converter/fuse/arithmetic.py"
_ARITHMETIC_TESTS = ("tests/converter/fuse/test_arithmetic.py",)
_SPELLING_TESTS = ("tests/converter/fuse/test_spellings.py",)
_SUMS = "tflm_custom_ops/exact_sums.py"
_SUM_TESTS = ("tests/tflm_custom_ops/reference/test_exact_sums.py",)
_ISLANDS = "converter/fuse/rewrite/rules/float_arithmetic.py"
_ISLAND_TESTS = (
    "tests/converter/fuse/rewrite/test_float_arithmetic.py",
    "tests/converter/fuse/test_float_islands.py",
)
_INTEGER_TESTS = ("tests/converter/fuse/test_integer_islands.py",)
_SCHEDULE = "converter/schedule.py"
_TILES = "tflm_custom_ops/ops/cost.py"
_SCHEDULE_TESTS = ("tests/converter/schedule/test_schedule.py",)
_RANGES = "converter/quantize/calibration.py"
_RANGE_TESTS = ("tests/converter/calibration/test_ranges.py",)
_SAMPLES = "converter/quantize/ptq.py"
_SAMPLE_TESTS = ("tests/converter/quantize/test_quantize.py",)

FAULTS: tuple[Fault, ...] = (
    # Integers from real numbers.
    Fault("sums are not proved", _ARITHMETIC, "if int(peak.max()) > INT32_MAX:", "if False:",
          _ARITHMETIC_TESTS),
    Fault("shift that does not fit", _ARITHMETIC, "if largest_input << shift > INT32_MAX:",
          "if False:", _ARITHMETIC_TESTS),
    Fault("variance that does not fit", _ARITHMETIC,
          "if integer_epsilon + largest >= VARIANCE_LIMIT:", "if largest >= VARIANCE_LIMIT:",
          _ARITHMETIC_TESTS),
    Fault("exponentials of 24 bits", _ARITHMETIC, "bits = min(15, 23 - math.ceil",
          "bits = min(15, 24 - math.ceil", _ARITHMETIC_TESTS),
    Fault("halves are cut off", _ARITHMETIC, "+ self.zero_point + 0.5)", "+ self.zero_point)",
          _ARITHMETIC_TESTS),
    Fault("zero point of the input", _ARITHMETIC,
          "folded = bias - source.zero_point * (positive - negative)", "folded = bias",
          _ARITHMETIC_TESTS),
    Fault("epsilon of a narrower row", _ARITHMETIC, "epsilon * width * width / source.scale**2",
          "epsilon * width / source.scale**2", _ARITHMETIC_TESTS),
    Fault("factor of the wrong sign", _ARITHMETIC, "if not math.isfinite(top) or top < 0:",
          "if not math.isfinite(top):", _ARITHMETIC_TESTS),
    # Sums that share 32 bits.
    Fault("sum of the limit", _SUMS, "(high + offset < SUM_LIMIT)", "(high + offset <= SUM_LIMIT)",
          _SUM_TESTS),
    Fault("bias outside the streams", _SUMS, "if k_block > _even(inputs):",
          "if k_block > _even(inputs) + 2:", _SUM_TESTS),
    # Lowering and patterns.
    Fault("keys are lowered whole", "converter/fuse/lower.py",
          "dataclasses.replace(k_range, low=-127)", "k_range", _SPELLING_TESTS),
    Fault("shared layer runs three times", "converter/fuse/patterns/attention.py",
          "return len(first) == 1 and len(self.q.layers) == 2", "return False", _SPELLING_TESTS),
    Fault("a cut of v is forgotten", "converter/fuse/lower.py",
          "ratio = v_range.scale * match.v_factor / context.scale",
          "ratio = match.v_factor / context.scale", _SPELLING_TESTS),
    # Float islands.
    Fault("an operator that the reader refuses", "converter/fuse/rewrite/engine.py",
          "return all(operator_fault(tensors, op) is None for op in edit.operators)",
          "return True", _ISLAND_TESTS),
    Fault("an island of an old version", _ISLANDS,
          "max(operator.version, _VERSION)", "operator.version", _ISLAND_TESTS),
    Fault("a sum is no larger than its operands", "converter/fuse/islands/intervals.py",
          '"ADD": _sum', '"ADD": _hull', _INTEGER_TESTS),
    Fault("a norm's numbers are half as large", "converter/fuse/islands/composites.py",
          "reach = np.abs(norm.gamma) * far", "reach = np.abs(norm.gamma) * far / 2",
          _INTEGER_TESTS),
    Fault("integers that are far worse are taken", "converter/fuse/islands/report.py",
          "return far and accuracy.fused_db < _FINE_DB", "return False", _INTEGER_TESTS),
    Fault("a constant behind a layer is rounded", "converter/fuse/islands/cuts.py",
          "not joins and not is_foldable(view, op)", "not joins", _INTEGER_TESTS),
    Fault("the accuracy is that of the integers", "converter/fuse/gate/regions.py",
          "noise.add(whole.read_exact[tensor], values[tensor], whole.read_rounded[tensor])",
          "noise.add(whole.exact[tensor], values[tensor], whole.rounded[tensor])",
          _INTEGER_TESTS),
    # Schedules.
    Fault("passes are rounded down", _TILES, "row_capacity(-(-tokens // passes))",
          "row_capacity(tokens // passes)", _SCHEDULE_TESTS),
    Fault("good tile by its size", _TILES,
          "-(-tokens // tile) <= -(-tokens // GOOD_TOKEN_TILE)", "tile >= GOOD_TOKEN_TILE",
          _SCHEDULE_TESTS),
    Fault("hidden tile of two", "tflm_custom_ops/ops/mlp/operator.py",
          "min(hidden, -(-tile // 4) * 4)", "min(hidden, -(-tile // 2) * 2)", _SCHEDULE_TESTS),
    Fault("weights cost nothing", _SCHEDULE,
          "self.instructions + INSTRUCTIONS_PER_WEIGHT_BYTE * self.weight_bytes",
          "self.instructions", _SCHEDULE_TESTS),
    Fault("first schedule that fits", _SCHEDULE, "min(fitting, key=lambda c: c.rank).op",
          "fitting[0].op", _SCHEDULE_TESTS),
    Fault("scratch over its budget", _SCHEDULE, "c.cost.scratch_bytes <= scratch_budget_bytes",
          "c.cost.scratch_bytes <= scratch_budget_bytes + 64", _SCHEDULE_TESTS),
    # Calibration.
    Fault("percentile at one end only", _RANGES,
          "high = edges[int(np.flatnonzero(above > share)[-1]) + 1]", "high = edges[-1]",
          _RANGE_TESTS),
    Fault("range without zero", _RANGES, "return min(float(low), 0.0), max(float(high), 0.0)",
          "return float(low), float(high)", _RANGE_TESTS),
    Fault("residual stream is clipped", _RANGES, 'if _name(tree, op) == "MEAN":', "if False:",
          _RANGE_TESTS),
    Fault("clipping costs nothing", _RANGES, "level = np.clip(np.rint(x / step), -zero, _LEVELS "
          "- 1 - zero)", "level = np.rint(x / step)", _RANGE_TESTS),
    Fault("plain areas calibrate", _SAMPLES, "if plain == len(samples):", "if False:",
          _SAMPLE_TESTS),
    Fault("plain areas by channel", _SAMPLES, "area = (1, 2) if len(shape) == 3 else",
          "area = (1, 2, 3) if len(shape) == 3 else", _SAMPLE_TESTS),
    Fault("images that are not finite", _SAMPLES, "if not np.all(np.isfinite(samples)):",
          "if False:", _SAMPLE_TESTS),
)  # fmt: skip
