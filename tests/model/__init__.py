"""Slow, obvious models of the memory system, written from its specification alone.

No line here may import membuf: the property tests drive a model and the real thing side by
side, and the two may agree only because both follow the rules.
"""
