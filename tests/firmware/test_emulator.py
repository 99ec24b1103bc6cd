# SPDX-License-Identifier: Apache-2.0
"""The emulated board: start-up, exact counts, stack, and faults that say where."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from boards import get_board
from firmware.emulator.emulator import Emulator
from firmware.emulator.faults import GuestFault
from firmware.errors import FirmwareError
from tests.firmware import fake_model
from tests.firmware.fake_model import FakeModel

RCC, PWR, FLASH = "RCC", "PWR", "FLASH"


@pytest.fixture(params=[False, True], ids=["resident", "streamed"])
def emulator(request, build_fake):
    built = build_fake(FakeModel(streamed=request.param))
    return Emulator(built.board, built.elf)


def test_boots_and_introduces_itself(emulator):
    mode = "streamed" if emulator.model.streamed else "resident"
    assert f"STM32F746G-DISCO, 216 MHz: image 8x6x3 {mode}, 10 classes" in emulator.banner


def test_clock_sequence_follows_the_manual(emulator):
    """RM0385: power, HSE, PLL, over-drive, wait states, and only then the switch to the PLL."""
    chip = emulator.machine.chip
    assert chip.rcc.system_hz() == 216_000_000
    writes = [(w.block, w.offset, w.value) for w in chip.log]

    def first(block, offset, mask):
        return next(
            i
            for i, (b, o, v) in enumerate(writes)
            if (b, o) == (block, offset) and v & mask == mask
        )

    steps = [
        first(RCC, 0x40, 1 << 28),  # PWREN
        first(PWR, 0x00, 3 << 14),  # VOS scale 1
        first(RCC, 0x00, 1 << 16),  # HSEON
        first(RCC, 0x04, 1 << 22),  # PLL source HSE
        first(RCC, 0x00, 1 << 24),  # PLLON
        first(PWR, 0x00, 1 << 16),  # ODEN
        first(PWR, 0x00, 1 << 17),  # ODSWEN
        first(FLASH, 0x00, 7),  # seven wait states
        first(RCC, 0x08, 2),  # SW = PLL
    ]
    assert steps == sorted(steps)
    assert writes[steps[-1]][2] == 0b101 << 10 | 0b100 << 13 | 2
    pll = next(v for b, o, v in writes if (b, o) == (RCC, 0x04))
    assert (pll & 0x3F, pll >> 6 & 0x1FF, pll >> 16 & 3, pll >> 24 & 0xF) == (25, 432, 0, 9)


def test_caches_and_stack_guard_are_on(emulator):
    writes = {(w.block, w.offset): w.value for w in emulator.machine.chip.log}
    assert writes["PPB", 0xED14] & (1 << 16 | 1 << 17) == 1 << 16 | 1 << 17
    assert writes["PPB", 0xED94] & 1
    bases = [w.value for w in emulator.machine.chip.log if (w.block, w.offset) == ("PPB", 0xED9C)]
    assert bases[0] == emulator.elf.address("__stack_bottom")


def test_logits_equal_the_reference(emulator):
    for image in fake_model.images(5):
        np.testing.assert_array_equal(emulator.classify(image).logits, fake_model.reference(image))


def test_counts_are_exact(emulator):
    """fake_loop executes a number of instructions that can be counted by hand."""
    emulator.classify(fake_model.images(1)[0])
    functions = {f.name: f.instructions for f in emulator.profile()}
    assert functions["fake_loop"] == fake_model.LOOP_INSTRUCTIONS
    loop = emulator.operator_counts()[1]
    assert loop.name == "loop"
    # The call of fake_loop and of the hooks around it are a few instructions more.
    assert 0 < loop.instructions - fake_model.LOOP_INSTRUCTIONS < 10


@pytest.mark.parametrize(
    ("loop", "per_turn"),
    [
        ("subs %0, %0, #1\\n bne 1b", 2),
        ("subs.w %0, %0, #1\\n nop.w\\n nop\\n bne.w 1b", 4),
        ("subs %0, %0, #1\\n add.w r2, r2, r2, lsl #3\\n bne 1b", 3),
        # Inside an IT block every instruction counts, whether its condition holds or not.
        ("subs %0, %0, #1\\n ite ne\\n movne r2, #1\\n moveq.w r2, #2\\n bne 1b", 5),
        ("subs %0, %0, #1\\n smlad r2, r2, r2, r2\\n it ne\\n bne 1b", 4),
    ],
)
def test_any_mix_of_instruction_sizes_is_exact(build_fake, loop, per_turn):
    def count(turns):
        statement = f'int turns = {turns}; __asm volatile("1: {loop}" : "+r"(turns) :: "r2", "cc");'
        built = build_fake(FakeModel(operator_zero_prologue=statement))
        emulator = Emulator(built.board, built.elf)
        return emulator.classify(fake_model.images(1)[0]).instructions

    assert count(201) - count(1) == 200 * per_turn


def test_counts_repeat_and_add_up(emulator, build_fake):
    image = fake_model.images(1)[0]
    first = emulator.classify(image)
    again = emulator.classify(image)
    assert first.instructions == again.instructions
    assert first.operators == again.operators
    built = build_fake(FakeModel(streamed=emulator.model.streamed))
    assert Emulator(built.board, built.elf).classify(image).instructions == first.instructions
    operators = sum(count.instructions for count in first.operators)
    # Outside operators: clipping of ten logits, calls of the hooks, per-row calls when streamed.
    assert 0 < first.instructions - operators < 600


def test_measuring_functions_are_not_counted(emulator):
    emulator.classify(fake_model.images(1)[0])
    counted = {f.name for f in emulator.profile()}
    assert "fake_loop" in counted
    assert not counted & {"meter_operator", "advance", "cycle_counter_read", "meter_start"}


def test_stack_high_water(emulator):
    before = emulator.stack_high_water_bytes()
    assert 0 < before < 512
    operators = emulator.classify(fake_model.images(1)[0]).operators
    assert operators[2].stack_bytes == fake_model.STACK_BYTES
    assert operators[1].stack_bytes == 0
    after = emulator.stack_high_water_bytes()
    assert fake_model.STACK_BYTES < after < fake_model.STACK_BYTES + 256


def test_sram_total_is_the_sum(emulator):
    emulator.classify(fake_model.images(1)[0])
    use = emulator.memory_use()
    assert use.arena_bytes == 512
    assert emulator.sram_total_bytes() == (
        use.arena_bytes + use.data_bytes + use.bss_bytes + emulator.stack_high_water_bytes()
    )


@pytest.mark.parametrize(
    ("statement", "address", "text"),
    [
        ("*(volatile int*)0x20050000 = 1;", 0x20050000, "write to 0x20050000 of 4 bytes"),
        ("(void)*(volatile int*)0x60000000;", 0x60000000, "read from 0x60000000"),
        ("*(volatile int*)0x08000100 = 1;", 0x08000100, "write to read-only 0x08000100"),
        ("(void)*(volatile char*)0x08100000;", 0x08100000, "read from 0x08100000 of 1 bytes"),
        ("(void)*(volatile int*)0x40005400;", 0x40005400, "read from 0x40005400"),
        ("(void)*(volatile int*)0x40011400;", 0x40011400, "has no peripheral"),
        ("(void)*(volatile int*)0x40011030;", 0x40011030, "no register at offset 0x30"),
        ("(void)*(volatile char*)0x40011000;", 0x40011000, "1-byte access"),
        ("((void (*)(void))0x20000801)();", 0x20000800, "execution in non-executable"),
        ('__asm volatile("udf #1");', None, ""),
        ('__asm volatile("svc #1");', None, "SVC"),
    ],
)
def test_faults_name_address_and_place(build_fake, statement, address, text):
    built = build_fake(FakeModel(operator_zero_prologue=statement))
    emulator = Emulator(built.board, built.elf)
    with pytest.raises(GuestFault) as caught:
        emulator.classify(fake_model.images(1)[0])
    assert text in str(caught.value)
    assert caught.value.address == address
    if "execution" not in text:
        assert "vit_model_push_rows+0x" in str(caught.value)


@pytest.mark.parametrize(
    "instruction",
    ["ldm r0, {r1, r2}", "ldrd r1, r2, [r0]", "stm.w r0, {r1, r2}", "vldr s0, [r0]"],
)
def test_unaligned_multiple_accesses_fault_in_strict_mode(build_fake, instruction):
    statement = (
        f'__asm volatile("mov r0, %0\\n add r0, #2\\n {instruction}\\n ldr r1, [r0]"'
        ' :: "r"(arena) : "r0", "r1", "r2", "s0", "memory");'
    )
    built = build_fake(FakeModel(operator_zero_prologue=statement))
    image = fake_model.images(1)[0]
    Emulator(built.board, built.elf).classify(image)  # Nothing is noticed without strict.
    strict = Emulator(built.board, built.elf, strict=True)
    text = r"unaligned access to 0x2000\w+, pc .* vit_model_push"
    with pytest.raises(GuestFault, match=text) as caught:
        strict.classify(image)
    assert caught.value.address % 4 == 2


def test_unaligned_single_loads_are_legal_in_strict_mode(build_fake):
    statement = (
        '__asm volatile("mov r0, %0\\n ldr r1, [r0, #2]\\n ldrh r1, [r0, #1]"'
        ' :: "r"(arena) : "r0", "r1");'
    )
    built = build_fake(FakeModel(operator_zero_prologue=statement))
    image = fake_model.images(1)[0]
    logits = Emulator(built.board, built.elf, strict=True).classify(image).logits
    np.testing.assert_array_equal(logits, fake_model.reference(image))


def test_stack_overflow_leaves_the_memory_that_exists(build_fake):
    statement = "volatile char big[8192]; for (int i = 0; i < 8192; ++i) big[i] = 1; (void)big[0];"
    built = build_fake(FakeModel(operator_zero_prologue=statement))
    with pytest.raises(GuestFault, match="write to 0x1fff"):
        Emulator(built.board, built.elf).classify(fake_model.images(1)[0])


def test_hanging_firmware_is_stopped(build_fake):
    built = build_fake(FakeModel(operator_zero_prologue='__asm volatile("1: b 1b");'))
    with pytest.raises(GuestFault, match="more than 1,000,000 instructions"):
        Emulator(built.board, built.elf, limit=1_000_000).classify(fake_model.images(1)[0])


def test_double_precision_is_refused(build_fake, tmp_path):
    statement = '__asm volatile(".fpu fpv5-d16\\n vadd.f64 d0, d0, d1");'
    built = build_fake(FakeModel(operator_zero_prologue=statement))
    with pytest.raises(FirmwareError, match=r"double-precision instruction .* in vit_model_push"):
        Emulator(built.board, built.elf)
    converts = '__asm volatile(".fpu fpv5-d16\\n vcvt.f64.f32 d0, s0");'
    built = build_fake(FakeModel(operator_zero_prologue=converts))
    with pytest.raises(FirmwareError, match="double-precision"):
        Emulator(built.board, built.elf)


def test_single_precision_and_dsp_execute(build_fake):
    """What the F746's core has must run: DSP, single-precision FPU, D register moves."""
    statement = (
        '__asm volatile("smlad r0, r0, r1, r2\\n sxtb16 r0, r1\\n vmov d0, r0, r1\\n'
        ' vfma.f32 s0, s1, s2\\n vrinta.f32 s0, s0" ::: "r0", "r1", "r2", "s0", "s1", "s2");'
    )
    built = build_fake(FakeModel(operator_zero_prologue=statement))
    image = fake_model.images(1)[0]
    logits = Emulator(built.board, built.elf).classify(image).logits
    np.testing.assert_array_equal(logits, fake_model.reference(image))


def test_wrong_inputs_are_named(emulator, build_fake, tmp_path):
    with pytest.raises(FirmwareError, match=r"image is int8\[4, 4, 3\], expected int8\[8, 6, 3\]"):
        emulator.classify(np.zeros((4, 4, 3), np.int8))
    with pytest.raises(FirmwareError, match="cannot read"):
        Emulator(emulator.board, tmp_path / "missing.elf")
    garbage = tmp_path / "garbage.elf"
    garbage.write_bytes(b"not an elf at all")
    with pytest.raises(FirmwareError, match="not an ELF"):
        Emulator(emulator.board, garbage)


def test_elf_of_a_larger_board_is_refused(build_fake):
    built = build_fake(FakeModel())
    board = get_board("stm32f746g_disco")
    regions = tuple(
        dataclasses.replace(r, size_bytes=4096) if r.name == "FLASH" else r for r in board.regions
    )
    with pytest.raises(FirmwareError, match="outside the memory of"):
        Emulator(dataclasses.replace(board, regions=regions), built.elf)
