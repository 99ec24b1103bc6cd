# SPDX-License-Identifier: Apache-2.0
"""From Keras models to fused, planned `.tflite` files and to C.

Importing this package imports neither TensorFlow nor Keras; the modules that need them do.
"""
