"""The public formats and their verifier: standard library and `cryptography`, nothing else of the project."""
