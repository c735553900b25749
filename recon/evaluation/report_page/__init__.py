"""One HTML file which shows an evaluation: tables, charts, and meshes to turn."""

from recon.evaluation.report_page.page import write_report_page

__all__ = ["write_report_page"]
