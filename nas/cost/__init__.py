# SPDX-License-Identifier: Apache-2.0
"""What a network costs on a target, how much of a space fits, and random networks that do."""
