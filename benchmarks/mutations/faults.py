# SPDX-License-Identifier: Apache-2.0
"""The faults, as data: what is changed where, and whose tests are to notice.

A fault is a text that occurs once in its file and what stands there instead. Add one for each kind
of mistake that a test is there for.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Fault:
    """One planted fault.

    Attributes:
      name: unique, for people.
      path: of the file, from the root.
      text: occurs once in it.
      instead: what replaces it.
      tests: paths for pytest, of the room that is to notice.
    """

    name: str
    path: str
    text: str
    instead: str
    tests: tuple[str, ...]


_PROTOCOL = "firmware/src/app/protocol.c"
_FRAME = "firmware/src/app/frame.c"
_PROTOCOL_TESTS = ("tests/firmware/test_protocol.py",)
_STORED = "converter/plan/stored.py"
_STORED_TESTS = ("tests/converter/plan/test_stored.py",)
_LIFETIME_TESTS = ("tests/converter/plan/test_lifetimes.py",)
_OPERATORS = "converter/tflite/operators.py"
_RULES = "converter/tflite/quantization_rules.py"
_READER_TESTS = ("tests/converter/tflite/test_strict_reader.py",)
_FOLDER_TESTS = ("tests/tflm_vit/test_folders.py",)
_REPLICAS = "nas/supernet/distribution.py"
_REPLICA_TESTS = ("tests/nas/supernet/test_distribution.py",)

FAULTS: tuple[Fault, ...] = (
    # The console protocol: the findings' three, and others of their kind.
    Fault("row beyond the image", _PROTOCOL, "row > expected || row >= VIT_MODEL_ROW_COUNT",
          "row > expected", _PROTOCOL_TESTS),
    Fault("finish of another image", _PROTOCOL,
          "!image_begun || read_u32(request->payload) != image_number", "!image_begun",
          _PROTOCOL_TESTS),
    Fault("escape before the flag", _FRAME, "!receiver->escaped && is_frame", "is_frame",
          _PROTOCOL_TESTS),
    Fault("row that is ahead", _PROTOCOL, "row > expected ||", "row > expected + 1 ||",
          _PROTOCOL_TESTS),
    Fault("operator beyond the last", _PROTOCOL, "index >= VIT_MODEL_OP_COUNT",
          "index > VIT_MODEL_OP_COUNT", _PROTOCOL_TESTS),
    Fault("model run twice", _PROTOCOL, "const bool first_time = image_logits == NULL;",
          "const bool first_time = true;", _PROTOCOL_TESTS),
    Fault("overlong frame", _FRAME, "length <= receiver->capacity && length >=", "length >=",
          _PROTOCOL_TESTS),
    # Plans.
    Fault("arena not compared", _STORED, "if plan.arena_bytes != top:",
          "if plan.arena_bytes > top:", _STORED_TESTS),
    Fault("entries not compared", _STORED, "if offset not in offsets:", "if False:",
          _STORED_TESTS),
    Fault("overlaps not looked for", _STORED, "    validate(stated.problem, offsets)\n", "",
          _STORED_TESTS),
    Fault("more than the model has", _STORED, "if len(placed) != len(", "if len(placed) < len(",
          _STORED_TESTS),
    Fault("life of variables", "converter/plan/lifetimes.py", "        if tensor.is_variable:\n",
          "        if False:\n", _LIFETIME_TESTS),
    Fault("in place in another type", "converter/plan/in_place.py",
          " and tensor.dtype == output.dtype", "", _LIFETIME_TESTS),
    # Reader.
    Fault("versions", _OPERATORS, "<= op.version <= row.version", "<= op.version", _READER_TESTS),
    Fault("options of another operator", _OPERATORS, "if kind != row.options:", "if False:",
          _READER_TESTS),
    Fault("shapes not compared", _OPERATORS, "if t.shape != shape:", "if False:", _READER_TESTS),
    Fault("several scales anywhere", _OPERATORS, "not in row.channels or", "is None or",
          _READER_TESTS),
    Fault("scale of the bias", _RULES, "np.any(np.abs(b.scale - product) > 0.02 * out)", "False",
          _READER_TESTS),
    Fault("sums that do not fit", _RULES, "2 * max(a, b) / (y * 2**shift)", "0.0", _READER_TESTS),
    Fault("zero points out of type", "converter/tflite/graph_checks.py",
          "zero_point.min() < low or zero_point.max() > high", "False", _READER_TESTS),
    Fault("shared bytes not counted", "converter/tflite/sizes.py", "if total > limit:",
          "if False:", _READER_TESTS),
    # Replicas of a training.
    Fault("gradients added", _REPLICAS, "[value / self.replicas for value in values]",
          "list(values)", _REPLICA_TESTS),
    Fault("one share for all", _REPLICAS, "start = context.replica_id_in_sync_group * size",
          "start = 0", _REPLICA_TESTS),
    Fault("clipped apart", _REPLICAS, "        setattr(optimizer, name, lambda pairs: pairs)\n", "",
          _REPLICA_TESTS),
    Fault("own statistics", "nas/supernet/training.py", "self.distribution.replicas > 1", "False",
          _REPLICA_TESTS),
    # Folders.
    Fault("old folder not restored", "tflm_vit/folders.py",
          "if (left / _OLD).is_dir() and not place.exists():", "if False:", _FOLDER_TESTS),
    Fault("folder of a running process", "tflm_vit/folders.py",
          "if found is None or _alive(int(found[1])):", "if found is None:", _FOLDER_TESTS),
)  # fmt: skip
