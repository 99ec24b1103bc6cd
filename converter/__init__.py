# SPDX-License-Identifier: Apache-2.0
"""From Keras models to fused, planned `.tflite` files and to C.

Importing this package imports neither TensorFlow nor Keras; the modules that need them do.
"""

from tflm_vit.start import package_of_commands

package_of_commands(__name__)
