"""`python -m alertd` and the `alertd` script."""

from __future__ import annotations

import gc
import os


def main() -> None:
    """Run the command line."""
    # Starting makes many objects that stay: looking through them again after each 700 new ones finds nothing.
    gc.set_threshold(20_000, 20, 20)
    # Without this, pydantic reads the metadata of every installed package in search of plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from alertd.cli import alertd

    alertd(prog_name="alertd")


if __name__ == "__main__":
    main()
