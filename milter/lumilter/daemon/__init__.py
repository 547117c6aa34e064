"""Joins wire, sessions and scripts: what `lumilter serve` runs.

The law: nothing is decided here.
"""
