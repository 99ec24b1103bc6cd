# SPDX-License-Identifier: Apache-2.0
"""What quantizing each fused operator costs: `python -m converter.sensitivity` is `__main__`."""
