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

# What is faulty, for people.
ROOMS: dict[str, tuple[Fault, ...]] = {
    "console protocol, attention and norms, parser of options": of_device.FAULTS,
    "kernels in C": of_portable.FAULTS,
    "kernels for DSP instructions, emulated M4 and M7": of_dsp.FAULTS,
    "kernels for Helium, M55 in QEMU": of_helium.FAULTS,
    "reader, plans, placement, folders": of_files.FAULTS,
    "arithmetic, lowering, schedules, calibration": of_converter.FAULTS,
    "limits, search, evolution, replicas": of_search.FAULTS,
    "figures, commands, flags, errors and links of documents": of_docs.FAULTS,
}
FAULTS: tuple[Fault, ...] = tuple(fault for faults in ROOMS.values() for fault in faults)
