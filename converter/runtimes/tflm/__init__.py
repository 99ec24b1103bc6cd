# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite Micro: files made fit for it, and the loader that runs them in the PyPI wheel."""
