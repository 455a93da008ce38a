"""Which tables of a deployment are wanted, and what they are called in a destination.

Never sees a row.
"""
