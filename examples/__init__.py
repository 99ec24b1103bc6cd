# SPDX-License-Identifier: Apache-2.0
"""Complete runs of the toolkit."""

from tflm_vit.start import package_of_commands

package_of_commands(__name__)
