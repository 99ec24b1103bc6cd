# SPDX-License-Identifier: Apache-2.0
"""Firmware: boards, start-up and application code, project export, and emulation."""
