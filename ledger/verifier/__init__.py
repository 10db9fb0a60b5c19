"""`kgo verify`: brings the bytes of a log to the judge (`ledger.proof`), remembers, and shows the verdict.

It needs the standard library and what `ledger.proof` needs, nothing else of the project.
"""
