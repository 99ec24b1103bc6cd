# SPDX-License-Identifier: Apache-2.0
"""Kills: what a command that is killed at any moment leaves, and whether it goes on from there."""
