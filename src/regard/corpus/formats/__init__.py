"""Readers of corpora, one module per format.

They stream. `regard.documents` has readers of some of the same formats, which edit a file in place.
"""
