# SPDX-License-Identifier: Apache-2.0
"""Evolution of a space: what its dimensions should become, round by round."""
