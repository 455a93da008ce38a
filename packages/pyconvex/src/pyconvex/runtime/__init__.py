"""Running functions: of an app or the host's own, on their way from a call to what it came to.

The edges import `calls`, what builds a server imports the rest. This module never imports any of
it: whoever needs one room pays for that room.
"""
