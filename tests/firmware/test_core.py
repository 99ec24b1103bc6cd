# SPDX-License-Identifier: Apache-2.0
"""The emulated core by itself: calls, exact counts, memories, registers, faults that say where."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.emulator.core import CortexM, stack_argument_bytes
from firmware.emulator.faults import GuestFault
from firmware.emulator.memory import Access, Memory
from firmware.errors import FirmwareError
from tests.firmware.bare_program import BACK, CODE, RAM, RAM_BASE, assemble, call, machine

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")


# ---- calls -------------------------------------------------------------------------------------


def test_arguments_are_in_registers_and_on_the_stack(tmp_path):
    body = "push {r4, r5}; ldr r4, [sp, #8]; ldr r5, [sp, #12]"
    body += "; lsls r1, r1, #4; lsls r2, r2, #8; lsls r3, r3, #12; lsls r4, r4, #16"
    body += "; lsls r5, r5, #20; adds r0, r0, r1; adds r0, r0, r2; adds r0, r0, r3"
    body += "; adds r0, r0, r4; adds r0, r0, r5; pop {r4, r5}; bx lr"
    core = machine(assemble(tmp_path, f=body))
    assert call(core, "f", 1, 2, 3, 4, 5, 6) == 0x654321
    assert call(core, "f", 6, 5, 4, 3, 2, 1) == 0x123456  # the stack was given back


@pytest.mark.parametrize(("count", "size"), [(0, 0), (4, 0), (5, 8), (6, 8), (7, 16)])
def test_stack_arguments_keep_the_stack_aligned(count, size):
    assert stack_argument_bytes([0] * count) == size


def test_results_are_signed_and_arguments_32_bits(tmp_path):
    core = machine(assemble(tmp_path, f="bx lr"))
    assert call(core, "f", -5) == -5
    assert call(core, "f", 0xFFFF_FFFF) == -1
    assert call(core, "f", 1 << 40 | 7) == 7


# ---- counts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CORES)
def test_a_loop_is_counted_exactly_on_every_core(name, tmp_path):
    core = machine(
        assemble(tmp_path, name, f="movs r1, #0; 1: adds r1, #1; cmp r1, r0; bne 1b; bx lr"), name
    )
    for turns in (1, 2, 999):
        before = core.counter.head.total
        call(core, "f", turns)
        assert core.counter.head.total - before == 2 + 3 * turns


NARROW = ("adds r0, r0, r1", "movs r2, #3", "nop", "uxtb r3, r0", "lsls r0, r0, #1")
WIDE = ("add.w r0, r0, r1", "nop.w", "smlad r0, r1, r2, r3", "movw r2, #4660", "vmov s0, r0")
CONDITIONAL = ("it ne\nmovne r2, #1", "ite eq\nmoveq r2, #1\nmovne.w r2, #2")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from((*NARROW, *WIDE, *CONDITIONAL)), min_size=1, max_size=300))
def test_any_straight_code_is_counted_exactly(tmp_path_factory, pieces):
    """Also blocks that the engine has to part, and IT blocks whose condition does not hold."""
    body = "\n".join(pieces)
    elf = assemble(tmp_path_factory.mktemp("straight"), f=f"{body}\nbx lr")
    core = machine(elf)
    call(core, "f", 0, 0, 0, 0)
    assert core.counter.head.total == len(body.splitlines()) + 1
    assert core.counter.head.metered == core.counter.head.total


def test_a_profile_names_blocks_and_adds_up(tmp_path):
    elf = assemble(tmp_path, f="push {lr}; bl g; bl g; pop {pc}", g="nop; nop; bx lr")
    core = machine(elf)
    call(core, "f")
    blocks = core.counter.profile()
    by_name: dict[str, int] = {}
    for block in blocks:
        name = elf.describe(block.address).split("+")[0]
        by_name[name] = by_name.get(name, 0) + block.instructions * block.executions
    assert by_name == {"f": 4, "g": 6}
    core.counter.profile_reset()
    assert core.counter.profile() == ()
    call(core, "g")
    assert [(b.instructions, b.executions) for b in core.counter.profile()] == [(3, 1)]


def test_nothing_is_metered_unless_asked(tmp_path):
    core = CortexM("cortex-m7", assemble(tmp_path, f="nop; bx lr"), (CODE, RAM), name="bare")
    call(core, "f")
    assert (core.counter.head.total, core.counter.head.metered) == (2, 0)
    assert core.counter.profile() == ()


def test_a_limit_stops_what_hangs(tmp_path):
    core = machine(assemble(tmp_path, f="1: b 1b", g="nop; bx lr"))
    with pytest.raises(GuestFault, match=r"bare: more than 1,000 instructions, .* in f\+0x0"):
        call(core, "f", limit=1000)
    call(core, "g", limit=2)  # the limit is that call's own


# ---- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "argument", "text", "address"),
    [
        ("nop; ldr r0, [r0]; bx lr", 0x3000_0000, "read from 0x30000000 of 4 bytes", 0x3000_0000),
        ("nop; strb r0, [r0]; bx lr", 0x3000_0001, "write to 0x30000001 of 1 bytes", 0x3000_0001),
        ("nop; str r0, [r0]; bx lr", 0x0001_0000, "write to read-only 0x00010000", 0x0001_0000),
        ("nop; bx r0", RAM_BASE | 1, "execution in non-executable 0x20000000", RAM_BASE),
        ("nop; bx r0", 0x3000_0001, "execution at 0x30000000", 0x3000_0000),
        ("nop; svc #0; bx lr", 0, "SVC", None),
        ("nop; bkpt #1; bx lr", 0, "breakpoint", None),
    ],
)
def test_faults_say_what_and_where(body, argument, text, address, tmp_path):
    core = machine(assemble(tmp_path, f=body))
    with pytest.raises(GuestFault) as caught:
        call(core, "f", argument)
    assert f"bare: {text}" in str(caught.value)
    assert caught.value.address == address
    if "execution" not in text:
        assert "in f+0x" in str(caught.value)


@pytest.mark.parametrize("lost", ["sub sp, #8", "movs r4, #0", "mov r11, r0"])
def test_a_lost_register_is_a_fault(lost, tmp_path):
    core = machine(assemble(tmp_path, f=f"{lost}; bx lr"))
    with pytest.raises(GuestFault, match=r"f\+0x0 returned with another stack pointer or register"):
        call(core, "f", 0)


def test_a_core_can_be_used_after_a_fault(tmp_path):
    core = machine(assemble(tmp_path, f="ldr r0, [r0]; bx lr"))
    core.write_u32(RAM_BASE, 41)
    with pytest.raises(GuestFault):
        call(core, "f", 0x3000_0000)
    assert call(core, "f", RAM_BASE) == 41


def test_unaligned_accesses_fault_in_strict_mode_only(tmp_path):
    elf = assemble(tmp_path, f="ldr r1, [r0]; ldrd r0, r1, [r0]; bx lr")
    call(machine(elf), "f", RAM_BASE + 2)
    with pytest.raises(GuestFault, match="unaligned access to 0x20000002"):
        call(machine(elf, strict=True), "f", RAM_BASE + 2)


# ---- memories ----------------------------------------------------------------------------------


def test_memory_is_one_for_core_and_host(tmp_path):
    core = machine(assemble(tmp_path, f="ldr r1, [r0]; adds r1, #1; str r1, [r0, #4]; bx lr"))
    core.write_u32(RAM_BASE + 8, 41)
    call(core, "f", RAM_BASE + 8)
    assert core.read_u32(RAM_BASE + 12) == 42
    view = core.view(RAM_BASE, 16)
    assert view[12] == 42
    view[8:12] = (9, 0, 0, 0)
    call(core, "f", RAM_BASE + 8)
    assert core.read(RAM_BASE + 12, 4) == bytes((10, 0, 0, 0))


def test_aliases_are_the_same_bytes_and_code_runs_there(tmp_path):
    elf = assemble(tmp_path, f="movs r0, #7; bx lr")
    code = dataclasses.replace(CODE, aliases=(0x0800_0000,))
    core = CortexM("cortex-m7", elf, (code, RAM), name="bare")
    there = elf.address("f") - CODE.base + 0x0800_0000
    assert core.call(there, (), stack=RAM.end, back=BACK, limit=10) == 7
    assert core.counter.head.total == 2


def test_a_memory_can_come_and_go(tmp_path):
    late = Memory("LATE", 0x9000_0000, 4096, Access.READ, erased=True, mapped=False)
    core = machine(assemble(tmp_path, f="ldr r0, [r0]; bx lr"), "cortex-m7", late)
    with pytest.raises(GuestFault, match="read from 0x90000000"):
        call(core, "f", late.base)
    core.map(late)
    assert call(core, "f", late.base) == -1  # erased
    core.write_u32(late.base, 5)
    core.unmap(late)
    with pytest.raises(GuestFault, match="read from 0x90000000"):
        call(core, "f", late.base)
    core.map(late)
    assert call(core, "f", late.base) == 5


def test_registers_are_answered_and_may_fault(tmp_path):
    written = []

    def read(address: int, size: int) -> int:
        if address == 0x4000_0008:
            raise GuestFault("no such register")
        return address + size

    core = machine(assemble(tmp_path, f="ldr r1, [r0]; strh r1, [r0, #2]; mov r0, r1; bx lr"))
    core.map_registers(0x4000_0000, 4096, read, lambda *write: written.append(write))
    assert call(core, "f", 0x4000_0010) == 0x4000_0014
    assert written == [(0x4000_0012, 2, 0x0014)]
    with pytest.raises(GuestFault, match="no such register") as caught:
        call(core, "f", 0x4000_0008)
    assert caught.value.address == 0x4000_0008


def test_what_cannot_be_set_up_is_refused(tmp_path):
    elf = assemble(tmp_path, f="bx lr")
    with pytest.raises(FirmwareError, match="no emulation of cortex-m85; expected one of cortex-m"):
        CortexM("cortex-m85", elf, (CODE, RAM), name="bare")
    with pytest.raises(FirmwareError, match="strict alignment checks are not available"):
        CortexM("cortex-m33", elf, (CODE, RAM), name="bare", strict=True)
    with pytest.raises(FirmwareError, match="accesses can not be watched on cortex-m33"):
        CortexM("cortex-m33", elf, (CODE, RAM), name="bare").watch_reads(RAM_BASE, 4)
    with pytest.raises(FirmwareError, match="lie outside the memory of bare"):
        CortexM("cortex-m7", elf, (RAM,), name="bare")
    with pytest.raises(FirmwareError, match="only flash keeps its content"):
        CortexM("cortex-m7", elf, (dataclasses.replace(CODE, loadable=False), RAM), name="bare")
