# SPDX-License-Identifier: Apache-2.0
"""The public face of the toolkit: what its commands share."""
