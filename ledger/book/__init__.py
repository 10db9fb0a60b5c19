"""The double-entry book: accounts, entries, cases, holds, and the single writer per city.

The only code that writes money. Read `unit.py` (what a command works with), then `journal.py` (how an entry
comes to be), then `writer.py` (how commands become a committed, sealed batch).
"""
