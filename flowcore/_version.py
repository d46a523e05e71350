"""The one place where the version of Rarewave is written."""

__version__ = "0.1.0"
