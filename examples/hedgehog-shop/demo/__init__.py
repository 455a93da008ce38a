"""The demo behind `./run demo`: the shop with everything that it needs, started together.

`options` reads the command line, `launcher` starts things and prints where they are, `processes`
and `ports` own what runs, `receiver`, `host` and `shopfront` are the three that do. The scripted
visit: `steps` holds one module a step, `visit` is what a step is given, `visitors` are who does it,
`timeline` is what it should have left. Started as `python -m demo` in the folder above.
"""
