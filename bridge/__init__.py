"""The bridge between an Aventa phone system and Cention's casework."""

__version__ = "0.1.0"
