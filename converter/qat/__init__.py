# SPDX-License-Identifier: Apache-2.0
"""Quantization-aware training with TensorFlow Model Optimization, on the tf_keras twin.

    fold      normalizations merged into the linear layers, as the converter will do
    configs   what the fused operators round, as TFMOT QuantizeConfigs
    network   the twin with these configs; the same for export
    train     fine-tuning with checkpoints

The TFLite graph that comes out is quantized by the ranges that training ended with.
"""
