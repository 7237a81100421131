"""Whether a processor computes in bfloat16."""

from __future__ import annotations

from pathlib import Path

FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # of x86 and, the last, of ARM
PROBES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def has_bfloat16(device: str) -> bool:
    """Whether a device has instructions for bfloat16; without them it is several times slower.

    A GPU is asked through torch, a CPU through torch and through the flags that the kernel lists.
    """
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_available() and torch.cuda.is_bf16_supported())
    if device != "cpu":
        return False
    probes = [getattr(torch.cpu, name, None) for name in PROBES]
    return any(bool(probe()) for probe in probes if callable(probe)) or _listed()


def _listed(path: str = "/proc/cpuinfo") -> bool:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return any(flag in flags.split() for flag in FLAGS)
