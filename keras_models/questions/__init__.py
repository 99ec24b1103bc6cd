# SPDX-License-Identifier: Apache-2.0
"""Pictures of shapes, questions about them, and how both are one example of a network."""
