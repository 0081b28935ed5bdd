"""The page that shows what a backtest found: one file that needs nothing else."""

from __future__ import annotations

from alertd.backtest.report.page import page

__all__ = ["page"]
