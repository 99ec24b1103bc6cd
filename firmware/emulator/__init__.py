# SPDX-License-Identifier: Apache-2.0
"""Executes a board's own ELF on an emulated core with that board's exact memory map."""
