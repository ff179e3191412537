"""Which device to work on."""

import torch

from regard.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one, else the CPU. Raises ConfigError for one that is not there."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "cpu")
    if (name == "cuda" and not cuda) or (name == "mps" and not mps) or name not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"there is no device {name!r} on this machine", fix="say auto or cpu")
    return torch.device(name)
