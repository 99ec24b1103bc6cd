# SPDX-License-Identifier: Apache-2.0
"""Benchmarks; each writes its result as JSON with the command and the versions."""
