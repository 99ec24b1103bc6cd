# SPDX-License-Identifier: Apache-2.0
"""Pictures composed of real ones: what the data set of detection is made of."""
