"""The public log of each city, under `/log/<city>/`."""
