"""The demo behind `./run demo`: the shop with everything that it needs, started together.

`launcher` reads the command line and starts things, `processes` owns child processes, `steps` holds
the scripted visit, one module a step, `visit` what a step is given, and `timeline` what the visit
should have left in PostHog Local. Started as `python -m demo` in the folder above.
"""
