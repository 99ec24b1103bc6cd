# SPDX-License-Identifier: Apache-2.0
"""Memory planning: where every buffer of a network lives (docs/memory.md)."""
