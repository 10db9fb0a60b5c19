"""The tour: the day of a learning city, played through a real browser, in pictures for `docs/tour.md`.

`scripts/tour` runs it. `town` is the running product at a clock that can be set, `life` the weeks before, `day` the
scenes in their order, `album` the pictures on disk.
"""
