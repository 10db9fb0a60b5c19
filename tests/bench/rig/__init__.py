"""What the measurements are made with: databases on a real disk, servers to compare with, a cheap client."""
