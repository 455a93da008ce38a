"""Putting an app into force: its checks, its data, and the moment of the change."""
