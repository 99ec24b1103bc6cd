# SPDX-License-Identifier: Apache-2.0
"""The parts of `python -m keras_models.train`: recipe, augmentation, batches, checkpoint, logs."""
