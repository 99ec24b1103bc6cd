# SPDX-License-Identifier: Apache-2.0
"""Installs the wheel as a user would and measures the way to a fused file and to firmware."""
