"""Signing in to Google: saved sign-ins, keeping them fresh, getting new ones and giving them back. Loads nothing by itself."""
