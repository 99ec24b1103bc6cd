# SPDX-License-Identifier: Apache-2.0
"""Planted faults: whether the tests of a room notice when its code is wrong."""
