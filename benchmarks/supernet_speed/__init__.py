# SPDX-License-Identifier: Apache-2.0
"""CPU seconds of a supernet's training step, ours and AutoFormer's own code, in one run."""
