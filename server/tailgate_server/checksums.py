"""Digests that say whether weights are what they were, whatever file they lie in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch

CONTENT_SHA256 = "content_sha256"
"""Key of a safetensors file's metadata under which its writer recorded `content_sha256` of its tensors."""


def content_sha256(state: Mapping[str, torch.Tensor]) -> str:
    """Digest of every tensor's name, type, shape and bytes, in order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
