"""Holds accounts, the issuing CA and the archive of sealed images; answers requests and announces images."""
