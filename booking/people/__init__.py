"""Accounts (a verified phone), one-time codes, and the patients an account may book for."""
