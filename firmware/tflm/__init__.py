# SPDX-License-Identifier: Apache-2.0
"""`--runtime=tflm`: a project whose model runs in TensorFlow Lite Micro's interpreter.

`TFLM_DIR` names a TFLM tree in which TFLM's own build made a static library for the board's core
(`make -f tensorflow/lite/micro/tools/make/Makefile TARGET=cortex_m_generic
TARGET_ARCH=cortex-m7+fp microlite`). The library and the headers that are really included are
copied into the project, which then needs the tree no more. This toolkit neither downloads nor
builds TFLM.
"""
