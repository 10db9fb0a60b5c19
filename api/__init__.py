"""The only HTTP: the JSON API, the public log, and the pages. Everything true stands in `ledger`."""
