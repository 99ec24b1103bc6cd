# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite Micro: the operators (C++), and the loader that runs them in the PyPI wheel."""
