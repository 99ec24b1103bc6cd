# SPDX-License-Identifier: Apache-2.0
"""All planted faults. Add one for each kind of mistake that a test is there for."""

from __future__ import annotations

from benchmarks.mutations import (
    of_converter,
    of_device,
    of_docs,
    of_dsp,
    of_files,
    of_helium,
    of_portable,
    of_search,
)
from benchmarks.mutations.fault import Fault

FAULTS: tuple[Fault, ...] = (
    *of_device.FAULTS,
    *of_portable.FAULTS,
    *of_dsp.FAULTS,
    *of_helium.FAULTS,
    *of_files.FAULTS,
    *of_converter.FAULTS,
    *of_search.FAULTS,
    *of_docs.FAULTS,
)
