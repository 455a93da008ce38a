"""What is to be done: a step in, actions for a destination and the progress after them out.

Never does any of it.
"""
