# SPDX-License-Identifier: Apache-2.0
"""Reports of a model's memory, flash and work; `python -m converter.inspect` is `__main__`."""
