# SPDX-License-Identifier: Apache-2.0
"""Search for Vision Transformers that fit a microcontroller.

Rooms, each importing those before it only: `space`, `cost`, `supernet`, `search`, `evolution`.
The modules beside them are the commands and what they share. README.md shows both, docs/search.md
explains them in order.
"""

from tflm_vit.start import package_of_commands

package_of_commands(__name__)
