# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization; `python -m converter.quantize` is `__main__`."""
