# SPDX-License-Identifier: Apache-2.0
"""Complete runs of the toolkit."""
