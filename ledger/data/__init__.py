"""The city files that come with the package."""
