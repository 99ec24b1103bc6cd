# SPDX-License-Identifier: Apache-2.0
"""Benchmarks; each writes its result as JSON with the command and the versions."""

from tflm_vit.start import package_of_commands

package_of_commands(__name__)
