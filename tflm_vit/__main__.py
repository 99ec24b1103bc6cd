# SPDX-License-Identifier: Apache-2.0
"""`python -m tflm_vit VERB`, the same as `tflm-vit VERB`."""

from tflm_vit.command import main

if __name__ == "__main__":
    main()
