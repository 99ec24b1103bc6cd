# SPDX-License-Identifier: Apache-2.0
"""A model as a component of somebody's firmware: C with one header, no start-up, no console.

Several such libraries may be linked into one image. Each one's own symbols begin with its name; the
kernels' begin with `vit_` and a digest of all their sources, so that libraries of one version of
the toolkit share them and those of two versions do not meet.
"""

from firmware.library.library import Library, Optimization, library_from_model
from firmware.library.names import check_library_name
from firmware.library.tflm_library import tflm_library_from_model

__all__ = [
    "Library",
    "Optimization",
    "check_library_name",
    "library_from_model",
    "tflm_library_from_model",
]
