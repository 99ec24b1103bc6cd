# SPDX-License-Identifier: Apache-2.0
"""The toolkit's version, for packages and for what it exports."""

VERSION = "0.1.0"
