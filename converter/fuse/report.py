# SPDX-License-Identifier: Apache-2.0
"""What fusing did, and why the rest stayed."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable

from tflm_vit.files import json_text


@dataclasses.dataclass(frozen=True)
class FusedOp:
    """One custom operator.

    Attributes:
      label: what it is in the network, e.g. "block 3 attention".
      custom_code: operator name in the file.
      replaced_ops: number of plain operators it stands for.
      input_shape, output_shape: of its activation tensors.
      residual_bits: type of its output, 8 or 16.
      parameter_bytes: size of its constant blob.
      plain_ops: indices of those operators in the plain graph.
    """

    label: str
    custom_code: str
    replaced_ops: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    residual_bits: int
    parameter_bytes: int
    plain_ops: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class NotFused:
    """A place where a pattern could have been but does not fit.

    Attributes:
      label: what it is in the network.
      op: index of the operator in the plain graph where the pattern is looked for.
      reason: why not.
      part: what of it is fused all the same, e.g. "only its core is fused".
    """

    label: str
    op: int
    reason: str
    part: str = ""

    def __str__(self) -> str:
        return f"{self.label}: {self.part or 'not fused'}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Leftover:
    """A builtin operator in the fused graph.

    Attributes:
      op: index in the fused graph.
      name: operator name.
      reason: why it is there.
    """

    op: int
    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """Distance of the network's outputs from the float network's, on probe inputs, SQNR in dB."""

    plain_db: float
    fused_db: float


@dataclasses.dataclass(frozen=True)
class FuseReport:
    """Result of fusing one graph.

    Attributes:
      ops_before, ops_after: operators of the plain and of the fused graph.
      fused: the custom operators in order.
      not_fused: patterns that were refused, with the reason.
      leftovers: builtin operators that remain.
      residual_bits: as asked for.
      notes: why residual tensors are int8 although int16 was asked for.
      accuracy: of the whole network; None where it was not compared.
      remarks: what could not be checked, and why.
    """

    ops_before: int
    ops_after: int
    fused: tuple[FusedOp, ...]
    not_fused: tuple[NotFused, ...]
    leftovers: tuple[Leftover, ...]
    residual_bits: int
    notes: tuple[str, ...]
    accuracy: Accuracy | None = None
    remarks: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json_text(dataclasses.asdict(self))

    def table(self) -> str:
        """Text for people."""
        lines = [f"{'operator':15} {'count':>5} {'replaces':>9} {'parameters':>13}"]
        groups: dict[str, list[FusedOp]] = collections.defaultdict(list)
        for op in self.fused:
            groups[op.custom_code].append(op)
        for code, ops in groups.items():
            total = _total(ops, lambda op: op.replaced_ops)
            size = _total(ops, lambda op: op.parameter_bytes)
            lines.append(f"{code:15} {len(ops):5} {total:9} {size:11,} B")
        for name, count in collections.Counter(left.name for left in self.leftovers).items():
            lines.append(f"{name:15} {count:5} {'builtin':>9}")
        lines.append(f"operators: {self.ops_before} -> {self.ops_after}")
        lines += [str(entry) for entry in self.not_fused]
        lines += [f"residual stays int8: {note}" for note in self.notes]
        lines += list(self.remarks)
        if self.accuracy is not None:
            lines.append(
                f"from the float network, on probe inputs: plain {self.accuracy.plain_db:.1f} dB, "
                f"fused {self.accuracy.fused_db:.1f} dB"
            )
        return "\n".join(lines)


def _total(ops: list[FusedOp], value: Callable[[FusedOp], int]) -> int:
    return sum(value(op) for op in ops)
