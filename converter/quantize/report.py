# SPDX-License-Identifier: Apache-2.0
"""What `python -m converter.quantize` says of its result."""

from __future__ import annotations

import dataclasses

from converter.weight_bits.pipeline import WeightBitsReport


@dataclasses.dataclass(frozen=True)
class QatReport:
    """Quantization-aware training.

    Attributes:
      epochs, learning_rate, residual_bits, weight_bits, seed: as asked for.
      validation_accuracy_before, validation_accuracy_after: with rounding, 0..1.
      seconds: of training.
    """

    epochs: int
    learning_rate: float
    residual_bits: int
    weight_bits: int
    seed: int
    validation_accuracy_before: float
    validation_accuracy_after: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class QuantizeReport:
    """Result of quantizing one model.

    Attributes:
      name: of the architecture.
      parameters: of the float model.
      input: how bytes of an image become its input; "" where nobody says so.
      calibration_images: number of images that the ranges come from.
      dataset: where they come from: a data set's name or a folder.
      calibration: how ranges are chosen, with the percentile where that is the method.
      per_channel: weight scales.
      operators: in the `.tflite`.
      model_bytes: size of the `.tflite`.
      qat: what quantization-aware training did; null without it.
      weight_bits: which layers have 4 bits; null where all have 8.
      seconds: wall clock, model building included.
    """

    name: str
    parameters: int
    input: str
    calibration_images: int
    dataset: str
    calibration: str
    per_channel: bool
    operators: int
    model_bytes: int
    qat: QatReport | None
    weight_bits: WeightBitsReport | None
    seconds: float

    def table(self) -> str:
        rows = [
            ("network", f"{self.name}, {self.parameters:,} parameters"),
            ("input", self.input or "values as they are; no metadata says how images become them"),
            (
                "calibration",
                f"{self.calibration_images} images of {self.dataset}, {self.calibration}",
            ),
            ("weights", "int8 per channel" if self.per_channel else "int8 per layer"),
            ("operators", str(self.operators)),
            ("size", f"{self.model_bytes:,} B"),
            ("time", f"{self.seconds:.1f} s"),
        ]
        if self.qat is not None:
            before, after = self.qat.validation_accuracy_before, self.qat.validation_accuracy_after
            text = f"{self.qat.epochs} epochs, validation {before:.2%} -> {after:.2%}"
            rows.insert(3, ("QAT", text))
        lines = [f"{name:12} {value}" for name, value in rows]
        return "\n".join(lines + ([] if self.weight_bits is None else [self.weight_bits.table()]))
