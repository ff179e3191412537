"""Pairs of ids on the disk, in batches, and in an order that can be taken up anywhere."""
