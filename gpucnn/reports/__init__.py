"""Reports on runs: a table of them, the pictures in their directories, and a page of HTML."""

from __future__ import annotations

from gpucnn.reports.page import report
from gpucnn.reports.pictures import save_pictures
from gpucnn.reports.summary import RunSummary, summaries

__all__ = ["RunSummary", "report", "save_pictures", "summaries"]
