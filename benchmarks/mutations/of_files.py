# SPDX-License-Identifier: Apache-2.0
"""Faults of what reads and writes files: plans in them, the reader, folders."""

from __future__ import annotations

from benchmarks.mutations.fault import Fault

_STORED = "converter/plan/stored.py"
_STORED_TESTS = ("tests/converter/plan/test_stored.py",)
_LIFETIME_TESTS = ("tests/converter/plan/test_lifetimes.py",)
_PATCH_TESTS = ("tests/converter/plan/test_patch_overlap.py",)
_METADATA = "converter/plan/metadata.py"
_VALIDATE = "converter/plan/validate.py"
_VALIDATE_TESTS = ("tests/converter/plan/test_validate.py",)
_FILLS = "converter/plan/fills.py"
_FILL_TESTS = ("tests/converter/plan/test_fills.py",)
_PLANNER_TESTS = ("tests/converter/plan/test_planner.py",)
_OPERATORS = "converter/tflite/operators.py"
_RULES = "converter/tflite/quantization_rules.py"
_READER_TESTS = ("tests/converter/tflite/test_strict_reader.py",)
_FOLDER_TESTS = ("tests/tflm_vit/test_folders.py",)

FAULTS: tuple[Fault, ...] = (
    # Plans.
    Fault("arena not compared", _STORED, "if plan.arena_bytes != top:",
          "if plan.arena_bytes > top:", _STORED_TESTS),
    Fault("entries not compared", _STORED, "if offset not in offsets:", "if False:",
          _STORED_TESTS),
    Fault("overlaps not looked for", _STORED, "    validate(stated.problem, offsets)\n", "",
          _STORED_TESTS),
    Fault("more than the model has", _STORED, "if len(placed) != len(", "if len(placed) < len(",
          _STORED_TESTS),
    Fault("a convolution runs before its input", "converter/plan/order.py",
          "return max(made, default=0)", "return 0", ("tests/converter/plan/test_order.py",)),
    Fault("life of variables", "converter/plan/lifetimes.py", "        if tensor.is_variable:\n",
          "        if False:\n", _LIFETIME_TESTS),
    Fault("in place in another type", "converter/plan/in_place.py",
          " and tensor.dtype == output.dtype", "", _LIFETIME_TESTS),
    Fault("plan of another graph", _METADATA, "if words[3] != fingerprint(graph):", "if False:",
          _STORED_TESTS),
    Fault("bytes without an offset", _METADATA, "if offset == NOT_PLANNED and size:", "if False:",
          _STORED_TESTS),
    Fault("offset that is not aligned", _VALIDATE, "if at % b.alignment:", "if False:",
          _VALIDATE_TESTS),
    Fault("overwritten while it is read", _VALIDATE, "before.upper - 1 != after.lower or ", "",
          _VALIDATE_TESTS),
    Fault("overwritten without its margin", _VALIDATE, "at[1] + o.margin_bytes <= at[0]",
          "at[1] <= at[0]", _VALIDATE_TESTS),
    Fault("fixed offset that moved", _VALIDATE, "if b.offset is not None and at != b.offset:",
          "if False:", _VALIDATE_TESTS),
    Fault("end beyond the region", _VALIDATE, "at + b.size_bytes > region.capacity_bytes",
          "at > region.capacity_bytes", _VALIDATE_TESTS),
    Fault("input that is read twice is overwritten", "converter/plan/in_place.py",
          " and op.inputs.count(op.inputs[0]) == 1", "", _LIFETIME_TESTS),
    Fault("strip of one channel", "tflm_custom_ops/ops/base.py",
          "return self.strip_rows * self.image[1] * self.image[2]",
          "return self.strip_rows * self.image[1]", _PATCH_TESTS),
    # Placement.
    Fault("rows are fetched once", _FILLS, "(1 if stays else stream.passes)", "1", _FILL_TESTS),
    Fault("all of an arena is slow", _FILLS, "- max(begin, self.fast_bytes)", "- begin",
          _FILL_TESTS),
    Fault("the slowest group first", "converter/plan/regions.py", ", reverse=True)", ")",
          _PLANNER_TESTS),
    Fault("greedy overwrites", "converter/plan/heuristic.py",
          "plain = dataclasses.replace(problem, overwrites=())", "plain = problem",
          _PLANNER_TESTS),
    # Reader.
    Fault("versions", _OPERATORS, "<= op.version <= row.version", "<= op.version", _READER_TESTS),
    Fault("options of another operator", _OPERATORS, "if kind != row.options:", "if False:",
          _READER_TESTS),
    Fault("shapes not compared", _OPERATORS, "if t.shape != shape:", "if False:", _READER_TESTS),
    Fault("several scales anywhere", _OPERATORS, "not in row.channels or", "is None or",
          _READER_TESTS),
    Fault("scale of the bias", _RULES, "np.any(np.abs(b.scale - product) > 0.02 * out)", "False",
          _READER_TESTS),
    Fault("sums that do not fit", _RULES, "2 * max(a, b), y * 2**shift", "y, 2 * y", _READER_TESTS),
    Fault("zero points out of type", "converter/tflite/graph_checks.py",
          "zero_point.min() < low or zero_point.max() > high", "False", _READER_TESTS),
    Fault("shared bytes not counted", "converter/tflite/sizes.py", "if total > limit:",
          "if False:", _READER_TESTS),
    # Folders.
    Fault("old folder not restored", "tflm_vit/folders.py",
          "if (left / _OLD).is_dir() and not place.exists():", "if False:", _FOLDER_TESTS),
    Fault("folder of a running process", "tflm_vit/leftovers.py",
          "and not _alive(int(m[2]))", "", _FOLDER_TESTS),
    Fault("folder of another machine", "tflm_vit/leftovers.py",
          "and m[1] == _machine() ", "", _FOLDER_TESTS),
    Fault("killed write stays", "tflm_vit/files.py",
          "os.unlink(os.path.join(folder, name))", "pass", ("tests/tflm_vit/test_files.py",)),
)  # fmt: skip
