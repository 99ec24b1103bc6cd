# SPDX-License-Identifier: Apache-2.0
"""What a long training will take, said before it begins."""

from __future__ import annotations

import dataclasses

# Multiply-accumulates of a step for each one of an inference: forward, and twice that backward.
STEP_MACS = 3
OPERATIONS = 2  # of a multiply-accumulate
SUSTAINED = 1e14  # operations a second of a data centre's GPU in bfloat16; assumed, not measured
LONG = 1e16  # operations: a minute and a half there, hours on a CPU


@dataclasses.dataclass(frozen=True)
class Forecast:
    """A training that is left to do.

    Attributes:
      macs: of the network, one inference.
      images: of an epoch.
      epochs: left.
      image_seconds: that one process takes to read and augment an image.
      workers: processes that do so; 0: the training itself, between its steps.
    """

    macs: int
    images: int
    epochs: int
    image_seconds: float
    workers: int

    @property
    def operations(self) -> float:
        """Of all steps."""
        return float(STEP_MACS * OPERATIONS) * self.macs * self.images * self.epochs

    @property
    def long(self) -> bool:
        """Whether it is worth a forecast."""
        return self.operations >= LONG

    @property
    def gpu_hours(self) -> float:
        """Of the steps, if a GPU sustains `SUSTAINED`."""
        return self.operations / SUSTAINED / 3600

    @property
    def data_hours(self) -> float:
        """Until all batches are made."""
        each = self.image_seconds / max(1, self.workers)
        return each * self.images * self.epochs / 3600

    def text(self) -> str:
        """Two lines."""
        makers = f"{self.workers} workers" if self.workers else "no workers (--workers)"
        return (
            f"{self.epochs} epochs of {self.images:,} images: {self.operations:.1e} operations, "
            f"{self.gpu_hours:.1f} GPU-hours at {SUSTAINED:.0e} a second (assumed)\n"
            f"images read and augmented in {1000 * self.image_seconds:.1f} ms each (measured): "
            f"{self.data_hours:.1f} hours with {makers}"
        )
