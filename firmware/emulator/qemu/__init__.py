# SPDX-License-Identifier: Apache-2.0
"""QEMU as an emulator of boards: a second opinion on the cores that Unicorn runs, and the only one
on those with Helium. It is a program of its own (Debian's package qemu-system-arm), driven through
its debugger's port; instructions are counted exactly by its record of a run."""
