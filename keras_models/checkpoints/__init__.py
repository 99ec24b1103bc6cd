# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of other libraries: files of tensors, and the Vision Transformers in them.

tensors.py      a tensor of a file; `read_tensors`, whatever the file is
safetensors.py  the safetensors format
torch_zip.py    PyTorch's zip files, read without running what is in them
layouts.py      names of timm, torchvision and AutoFormer -> `ArchConfig` and weights
"""
