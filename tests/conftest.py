# SPDX-License-Identifier: Apache-2.0
"""What every test run has, also one that was not started by `make test`."""

import os

# As in the Makefile: tests that count a command's lines of error must not count TensorFlow's about
# drivers of a GPU. Set before anything imports TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
# One process a core already: BLAS threads that wait for each other only take time from the others.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
