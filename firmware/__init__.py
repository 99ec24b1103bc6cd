# SPDX-License-Identifier: Apache-2.0
"""Firmware: boards, start-up and application code, project export, and emulation."""

from tflm_vit.start import package_of_commands

package_of_commands(__name__)
