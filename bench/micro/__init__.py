"""Measurements inside one process, in memory."""
