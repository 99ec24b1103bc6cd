# SPDX-License-Identifier: Apache-2.0
"""CPU cores: what the toolchain, the kernels and the emulator know of each Cortex-M."""

from __future__ import annotations

import dataclasses
import enum


class CycleCounter(enum.Enum):
    """What counts CPU cycles on the board."""

    DWT = "dwt"  # DWT_CYCCNT, 32 bits; optional in Armv7-M and Armv8-M, absent from Armv6-M.
    SYSTICK = "systick"  # The 24-bit system timer; its interrupt counts the wraps.


@dataclasses.dataclass(frozen=True)
class Fpu:
    """A floating-point unit: its word in a board's file, the -mfpu= value, its precision."""

    word: str
    option: str | None = None
    double_precision: bool = False


class LineReplacement(enum.Enum):
    """Which line of a full set a new one takes the place of."""

    LRU = "lru"  # The one that was not used for longest.
    RANDOM = "random"


@dataclasses.dataclass(frozen=True)
class CacheShape:
    """How a core's L1 cache is built, whatever its size.

    Attributes:
      line_bytes: of a line, a power of two.
      ways: lines of a set.
      replacement: what a model of it does; Arm's manual does not say what the Cortex-M7 does.
    """

    line_bytes: int
    ways: int
    replacement: LineReplacement = LineReplacement.LRU


@dataclasses.dataclass(frozen=True)
class Cache(CacheShape):
    """An L1 cache of a part: its size in bytes, and how the core builds it."""

    size_bytes: int = 0

    @property
    def sets(self) -> int:
        """Sets of `ways` lines."""
        return self.size_bytes // (self.line_bytes * self.ways)


NO_FPU = Fpu("none")


@dataclasses.dataclass(frozen=True)
class Cpu:
    """A core as Arm describes it; what a part leaves out is said by its board's file.

    Attributes:
      name: the compiler's -mcpu= value.
      fpus: units it may have; the first is the default.
      dsp: it has SMLAD, SXTB16 and friends (__ARM_FEATURE_DSP).
      mve: it has Helium (__ARM_FEATURE_MVE).
      instruction_cache, data_cache: how its L1 caches are built; None where it can have none.
      mpu: it may have the MPU of Armv7-M, which guards the stack.
      cycle_counter: what counts cycles.
    """

    name: str
    fpus: tuple[Fpu, ...] = (NO_FPU,)
    dsp: bool = False
    mve: bool = False
    instruction_cache: CacheShape | None = None
    data_cache: CacheShape | None = None
    mpu: bool = False
    cycle_counter: CycleCounter = CycleCounter.DWT

    @property
    def caches(self) -> bool:
        """Whether it may have L1 caches."""
        return self.data_cache is not None


CPUS = (
    Cpu("cortex-m0plus", cycle_counter=CycleCounter.SYSTICK),
    Cpu("cortex-m3", mpu=True),
    Cpu("cortex-m4", (NO_FPU, Fpu("single", "fpv4-sp-d16")), dsp=True, mpu=True),
    Cpu(
        "cortex-m7",
        (NO_FPU, Fpu("single", "fpv5-sp-d16"), Fpu("double", "fpv5-d16", True)),
        dsp=True,
        # Cortex-M7 Technical Reference Manual (Arm DDI 0489), sections 5.2 and 5.9.
        instruction_cache=CacheShape(line_bytes=32, ways=2),
        data_cache=CacheShape(line_bytes=32, ways=4),
        mpu=True,
    ),
    # With the DSP extension; the stack limit register serves instead of the MPU.
    Cpu("cortex-m33", (NO_FPU, Fpu("single", "fpv5-sp-d16")), dsp=True),
)
# Cores with Helium: their kernels are others, QEMU is their emulator, no cost is known of them.
# Without a unit Helium has integers only.
HELIUM_CPUS = (Cpu("cortex-m55", (NO_FPU, Fpu("double", "auto", True)), dsp=True, mve=True),)
CPU_OF = {cpu.name: cpu for cpu in (*CPUS, *HELIUM_CPUS)}
MPU_REGIONS = (8, 16)  # What Armv7-M parts with an MPU have.
CACHE_SIZES = (0, 4096, 8192, 16384, 32768, 65536)


@dataclasses.dataclass(frozen=True)
class Core:
    """The core of one part.

    Attributes:
      cpu: what Arm says of it.
      unit: the floating-point unit that the part has, one of `cpu.fpus`.
      instruction_cache_bytes, data_cache_bytes: size of the L1 caches, 0 for none.
      mpu_regions: of the MPU that the firmware may use, 0 for none.
    """

    cpu: Cpu
    unit: Fpu = NO_FPU
    instruction_cache_bytes: int = 0
    data_cache_bytes: int = 0
    mpu_regions: int = 0

    def __post_init__(self) -> None:
        if self.unit not in self.cpu.fpus:
            raise ValueError(f"{self.name} has no {self.unit.word} precision unit")

    @property
    def name(self) -> str:
        """The compiler's -mcpu= value, e.g. `cortex-m7`."""
        return self.cpu.name

    @property
    def fpu(self) -> str | None:
        """The compiler's -mfpu= value, or None for a core without one."""
        return self.unit.option

    @property
    def double_precision(self) -> bool:
        """True when the FPU executes double-precision instructions."""
        return self.unit.double_precision

    @property
    def dsp(self) -> bool:
        """True when SMLAD, SXTB16 and friends exist."""
        return self.cpu.dsp

    @property
    def mve(self) -> bool:
        """True when Helium's instructions exist."""
        return self.cpu.mve

    @property
    def cycle_counter(self) -> CycleCounter:
        """What counts cycles."""
        return self.cpu.cycle_counter

    @property
    def instruction_cache(self) -> Cache | None:
        """The L1 instruction cache, if the part has one."""
        return _cache(self.cpu.instruction_cache, self.instruction_cache_bytes)

    @property
    def data_cache(self) -> Cache | None:
        """The L1 data cache, if the part has one."""
        return _cache(self.cpu.data_cache, self.data_cache_bytes)

    def compiler_flags(self) -> tuple[str, ...]:
        """Flags that select this core, for arm-none-eabi-gcc."""
        if self.mve:
            name = self.name if self.fpu else f"{self.name}+nofp"
            return (f"-mcpu={name}", "-mthumb", "-mfpu=auto", "-mfloat-abi=hard")
        flags = (f"-mcpu={self.name}", "-mthumb")
        if self.fpu is None:
            return (*flags, "-mfloat-abi=soft")
        return (*flags, f"-mfpu={self.fpu}", "-mfloat-abi=hard")


def _cache(shape: CacheShape | None, size_bytes: int) -> Cache | None:
    if shape is None or not size_bytes:
        return None
    return Cache(shape.line_bytes, shape.ways, shape.replacement, size_bytes)
