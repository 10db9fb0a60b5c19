"""Earning: learning spaces, activities, the codes that stand in QR symbols, and check-ins."""
