"""What needs programme and commerce together: city files, loading, export, simulation."""
