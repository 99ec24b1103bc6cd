# SPDX-License-Identifier: Apache-2.0
"""What a study of quantization found, and its tables."""

from __future__ import annotations

import dataclasses
import math
import os

from tflm_vit.files import read_json, reading
from tflm_vit.records import checked


@dataclasses.dataclass(frozen=True)
class OperatorSensitivity:
    """One operator of the fused graph.

    SQNR in dB, null if nothing differs; accuracies 0..1, null without labels.

    Attributes:
      index, name, label: in the fused graph; `label` is its output tensor.
      own_db: its output against the float one, for the float input quantized.
      alone_db, alone_accuracy: logits when only it runs in integers.
      left_out_db, left_out_accuracy: logits when only it runs in float.
    """

    index: int
    name: str
    label: str
    own_db: float | None
    alone_db: float | None
    alone_accuracy: float | None
    left_out_db: float | None
    left_out_accuracy: float | None


@dataclasses.dataclass(frozen=True)
class LayerSensitivity:
    """One linear layer of the plain graph: SQNR in dB of rounding just this.

    Attributes:
      label: output tensor.
      weights_db: the weights in the file against the float ones as the converter folded them.
      output_db: the float output, quantized to the file's type and back.
      clipped: share of the float outputs outside the type's range, 0..1.
    """

    label: str
    weights_db: float | None
    output_db: float | None
    clipped: float


@dataclasses.dataclass(frozen=True)
class SensitivityReport:
    """The study of one network.

    Attributes:
      command, tensorflow: how it was made, absolute folders shortened, and with which version.
      model, calibration: name and choice of ranges.
      residual_bits: 8 or 16.
      images: measured on.
      float_accuracy, accuracy: of the float network and of all operators in integers; 0..1.
      db: logits with all operators in integers.
    """

    command: str
    tensorflow: str
    model: str
    calibration: str
    residual_bits: int
    images: int
    float_accuracy: float | None
    accuracy: float | None
    db: float | None
    operators: tuple[OperatorSensitivity, ...]
    layers: tuple[LayerSensitivity, ...]

    def text(self) -> str:
        """Two tables; accuracy columns are the change against float and against all integers."""
        head = f"{self.model}, residual int{self.residual_bits}, {self.calibration} ranges, "
        lines = [f"{head}{self.images} images: {_db(self.db)} dB"]
        if self.float_accuracy is not None and self.accuracy is not None:
            lines.append(f"accuracy: float {self.float_accuracy:.2%}, int8 {self.accuracy:.2%}")
        lines.append(
            f"\n{'operator':34} {'own dB':>7} {'alone dB':>9} {'points':>7} "
            f"{'left out dB':>12} {'points':>7}"
        )
        for op in self.operators:
            alone = _points(op.alone_accuracy, self.float_accuracy)
            left_out = _points(op.left_out_accuracy, self.accuracy)
            name = f"{op.index:2} {op.name.removeprefix('Vit'):12} {short(op.label):18}"
            lines.append(
                f"{name} {_db(op.own_db):>7} {_db(op.alone_db):>9} {alone:>7} "
                f"{_db(op.left_out_db):>12} {left_out:>7}"
            )
        lines.append(f"\n{'layer':34} {'weights dB':>10} {'output dB':>10} {'clipped %':>10}")
        for layer in self.layers:
            name, weights, output = short(layer.label, -1), layer.weights_db, layer.output_db
            lines.append(
                f"{name:34} {_db(weights):>10} {_db(output):>10} {100 * layer.clipped:10.3f}"
            )
        return "\n".join(lines)


def read_report(path: str | os.PathLike[str]) -> SensitivityReport:
    """What `converter.sensitivity --json` wrote.

    Raises:
      OSError, FileError: the file cannot be read, or is something else.
    """
    with reading(path, "a report of converter.sensitivity"):
        data = read_json(path)
        return checked(
            SensitivityReport(
                **{f.name: data[f.name] for f in dataclasses.fields(SensitivityReport)}
                | {
                    "operators": tuple(
                        checked(OperatorSensitivity(**each)) for each in data["operators"]
                    ),
                    "layers": tuple(checked(LayerSensitivity(**each)) for each in data["layers"]),
                }
            )
        )


def short(name: str, part: int = 0) -> str:
    """A tensor's layer: "vit_1/block0_norm1_1/add;vit_1/block0_fc1_1/BiasAdd" -> "block0_norm1".

    The converter joins the names of what it merges; `part` -1 gives the last one's.
    """
    if name.startswith("StatefulPartitionedCall"):
        return "logits"
    parts = name.split(";")[part].split("/")
    return (parts[1] if len(parts) > 2 else parts[0]).removesuffix("_1") or name


def _db(value: float | None) -> str:
    return "exact" if value is None else f"{value:.1f}"


def _points(value: float | None, base: float | None) -> str:
    return "-" if value is None or base is None else f"{100 * (value - base):+.2f}"


def finite(value: float) -> float | None:
    """A figure as it is stored: None where nothing differs."""
    return value if math.isfinite(value) else None
