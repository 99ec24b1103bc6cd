# SPDX-License-Identifier: Apache-2.0
"""Linking: sizes are reported, and what does not fit does not link."""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
from pathlib import Path

import pytest

from firmware.build_elf import build
from firmware.elf import Elf
from firmware.errors import FirmwareError
from firmware.project import make_project
from tests.firmware import fake_model
from tests.firmware.fake_model import FakeModel
from toolchain import VARIABLE


def test_sizes_match_the_model(build_fake):
    small = build_fake(FakeModel())
    assert small.use.arena_bytes == 512
    assert small.use.stack_reserved_bytes == small.board.stack_bytes
    assert small.use.flash_bytes > small.use.code_bytes > small.use.kernel_code_bytes > 0
    large = build_fake(FakeModel(arena_bytes=512 + 4096))
    assert large.use.arena_bytes - small.use.arena_bytes == 4096
    assert large.use.flash_bytes == small.use.flash_bytes


def test_arena_over_budget_does_not_link(build_fake, tmp_path):
    with pytest.raises(
        FirmwareError, match=r"does not fit stm32f746g_disco: .*SRAM.*overflowed by"
    ):
        build_fake(FakeModel(arena_bytes=324 * 1024))
    # The largest arena that the stack and static data leave room for does link.
    static = build_fake(FakeModel()).use
    room = 320 * 1024 - static.stack_reserved_bytes - static.data_bytes - static.bss_bytes - 128
    assert build_fake(FakeModel(arena_bytes=room)).use.arena_bytes == room


def test_flash_over_budget_does_not_link(build_fake, tmp_path):
    built = build_fake(FakeModel())
    model, kernels = fake_model.write(tmp_path)
    (model / "vit_model_weights.bin").write_bytes(bytes(1024 * 1024))
    with pytest.raises(FirmwareError, match=r"region .FLASH. overflowed by \d+ bytes"):
        build(make_project(built.board, model, kernels), tmp_path / "out" / "firmware.elf")
    assert not list((tmp_path / "out").iterdir())


def test_weights_in_qspi_leave_internal_flash(build_fake):
    internal = build_fake(FakeModel())
    external = build_fake(FakeModel(section=".extflash.vit_weights"))
    weights = fake_model.weights().tobytes()
    assert external.use.external_flash_bytes == len(weights)
    assert internal.use.external_flash_bytes == 0
    for built, base in ((internal, 0x08000000), (external, 0x90000000)):
        holders = [s.address for s in Elf(built.elf).segments if weights in s.data]
        assert [address & 0xFF000000 for address in holders] == [base]


def test_warnings_are_errors(tmp_path, build_fake):
    board = build_fake(FakeModel()).board
    model, kernels = fake_model.write(tmp_path, FakeModel(operator_zero_prologue="int unused;"))
    with pytest.raises(FirmwareError, match=r"compiling model/vit_model.c: .* failed: .*unused"):
        build(make_project(board, model, kernels), tmp_path / "firmware.elf")


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m7", "cortex-m55"])
def test_the_assembler_does_not_warn(tmp_path, core):
    """A warning would be the first thing that a person's own build prints."""
    options = [f"-mcpu={core}", "-mthumb", "-c", "-o", str(tmp_path / "o.o")]
    sources = sorted((Path(__file__).parents[2] / "firmware" / "src").rglob("*.S"))
    assert sources
    for source in sources:
        command = ["arm-none-eabi-gcc", *options, str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_missing_compiler_is_one_clear_line(tmp_path, build_fake, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FirmwareError, match=r"gcc not found; install .*gcc-arm-none-eabi"):
        build(build_fake(FakeModel()).project, tmp_path / "firmware.elf")


def test_incomplete_model_is_named(tmp_path, build_fake):
    model, kernels = fake_model.write(tmp_path)
    (model / "vit_model.h").unlink()
    with pytest.raises(FirmwareError, match=r"vit_model.h is missing"):
        make_project(build_fake(FakeModel()).board, model, kernels)


def test_a_damaged_object_is_compiled_again(build_fake, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    built = build_fake(FakeModel())
    build(built.project, tmp_path / "first.elf")
    objects = sorted((tmp_path / "cache").rglob("*.o"))
    for path, content in zip(objects, itertools.cycle((b"", b"\x7fELF")), strict=False):
        path.write_bytes(content)
    build(built.project, tmp_path / "again.elf")
    assert (tmp_path / "again.elf").read_bytes() == built.elf.read_bytes()
    assert sorted((tmp_path / "cache").rglob("*.o")) == objects


def test_builds_are_reproducible(build_fake, tmp_path, monkeypatch, request):
    """Wherever an image is built, by whom, when, and with whichever cache."""
    built = build_fake(FakeModel())
    expected = built.elf.read_bytes()
    request.addfinalizer(functools.partial(os.umask, os.umask(0o022)))
    work, other = tmp_path / "work", tmp_path / "quite another folder"
    work.mkdir()
    (tmp_path / "link").symlink_to(work)
    for number, (cwd, elf) in enumerate((
        (work, Path("out/again.elf")),
        (work, Path("again.elf")),
        (tmp_path, Path("link/deep/er/again.elf")),
        (tmp_path, other / "again.elf"),
    )):  # fmt: skip
        monkeypatch.chdir(cwd)
        monkeypatch.setenv("HOME", str(work))
        monkeypatch.setenv("USER", f"user{number}")
        monkeypatch.setenv("TZ", ("UTC", "Asia/Tokyo")[number % 2])
        monkeypatch.setenv("LC_ALL", ("C", "de_DE.ISO-8859-1")[number % 2])
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(10**9 * (number % 2)))
        for source in built.project.files:
            if source.origin is not None and source.origin.is_relative_to(built.elf.parent):
                os.utime(source.origin, (10**9 * number, 10**9 * number))
        os.umask((0o022, 0o077)[number % 2])
        for fresh in (False, True):
            if fresh:
                monkeypatch.setenv(VARIABLE, str(tmp_path / f"cache{number}"))
            build(built.project, elf)
            assert elf.read_bytes() == expected
        # What this folder has put into its cache carries no path either.
        made = list((tmp_path / f"cache{number}").rglob("*.o"))
        assert made
        assert not [p for p in made if str(tmp_path).encode() in p.read_bytes()]
