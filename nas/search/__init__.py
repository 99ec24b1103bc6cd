# SPDX-License-Identifier: Apache-2.0
"""Search of a trained supernet; `python -m nas.search` is `__main__`."""
