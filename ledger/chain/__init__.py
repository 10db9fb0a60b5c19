"""The optional chain: nothing else may need it. `client` will be the only importer of web3."""
