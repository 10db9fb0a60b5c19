"""KGO Ledger: everything that is true of the ledger without HTTP."""
