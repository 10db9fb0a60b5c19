"""Measurements, run by `scripts/bench NAME`: each module here is one; what several of them share stands in `rig/`.

Machines differ and are shared, so that a figure alone says little: whatever is compared runs in turns, in one run,
on one machine, and the ratio is what counts.
"""
