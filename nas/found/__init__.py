# SPDX-License-Identifier: Apache-2.0
"""What searches and evolutions found, read back from their folders, and a page of it."""
