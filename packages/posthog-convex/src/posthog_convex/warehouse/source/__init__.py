"""Where rows come from: a deployment over HTTP, its two exports, and what their answers mean.

Never keeps anything: whoever asks has the position.
"""
