"""Metrics of translation quality, and what is measured along with them: calibration, alignment, degenerate output."""
