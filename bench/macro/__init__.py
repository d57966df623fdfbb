"""Measurements of whole programs, and of files."""
