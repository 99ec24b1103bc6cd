# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between a ``.tflite`` and a result from TensorFlow Lite Micro."""

from __future__ import annotations


class TflmError(RuntimeError):
    """Base of all errors of this package. The message is complete and fit to be shown alone."""


class TflmBuildError(TflmError):
    """The operator library could not be built: no compiler, or the compiler failed."""


class TflmAbiError(TflmError):
    """The wheel or the operator library is not the one that this project was written for."""


class TflmModelError(TflmError):
    """The model is malformed, or TFLM refuses it; TFLM's own text is part of the message."""


class TflmArenaError(TflmModelError):
    """The model is fine but does not fit the arena."""


class TflmInvokeError(TflmError):
    """An operator failed while the model ran, or the input does not fit the model."""
