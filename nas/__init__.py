# SPDX-License-Identifier: Apache-2.0
"""Search for Vision Transformers that fit a microcontroller.

Spaces (`space`, `presets`), exact cost (`cost`, `census`, `report`), the weight-entangled supernet
(`supernet`, `train_supernet`), search (`search`), evolution of the space (`evolve_space`), and
training of what was found (`retrain`). docs/search.md explains them in order.
"""
