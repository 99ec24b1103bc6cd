# SPDX-License-Identifier: Apache-2.0
"""Vision Transformers for microcontrollers: architectures, Keras models, data and training.

Importing this package imports neither Keras nor TensorFlow; the modules that need them do.
"""

from tflm_vit.start import package_of_commands

package_of_commands(__name__)
