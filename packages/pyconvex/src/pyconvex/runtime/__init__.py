"""Running functions: of an app or the host's own, on their way from a call to what it came to.

The edges see `calls`, `notation` and little else; what builds a server imports the rest. This
module imports none of it: whoever needs one room pays for that room.
"""
