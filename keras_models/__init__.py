# SPDX-License-Identifier: Apache-2.0
"""Vision Transformers for microcontrollers: architectures, Keras models, data and training.

Importing this package imports neither Keras nor TensorFlow; the modules that need them do.
"""
