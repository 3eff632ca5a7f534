"""The report of a finished model: a page that a person reads, and the pictures in it."""

from graft.training.report.files import report_files

__all__ = ["report_files"]
