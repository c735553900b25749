"""Reconstructs the objects of images with a trained model, by default the shipped one.

    python scripts/reconstruct.py IMAGE_OR_DIRECTORY [...] [--checkpoint FILE] [--output DIR]

is the same as `recon-reconstruct` of an installed package; see recon/inference/command.py.
"""

from __future__ import annotations

import recon.entry_point  # noqa: F401  (before torch)

from recon.inference.command import main

if __name__ == "__main__":
    main()
