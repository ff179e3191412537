"""Lessons on attention: pages with live figures, notebooks, and a checker of their exercises.

    import regard.lessons

    regard.lessons.check("1.1", (64, 1664))

`regard lesson` opens the pages in a browser.
"""

from regard.lessons.exercises import check, figure

__all__ = ["check", "figure"]
