# SPDX-License-Identifier: Apache-2.0
"""Files that follow from the operators' declarations; checked in.

``python -m tflm_custom_ops.ops.generate`` writes them, a test regenerates and compares them.
"""

from tflm_custom_ops.ops.generate.files import generated_files

__all__ = ["generated_files"]
