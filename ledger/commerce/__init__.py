"""Spending: shops, promotions, and redemptions."""
