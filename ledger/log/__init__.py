"""What the outside world reads of a city's log."""
