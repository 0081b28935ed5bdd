"""`python -m alertd` and the `alertd` script."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from alertd.cli import alertd

    alertd(prog_name="alertd")


if __name__ == "__main__":
    main()
