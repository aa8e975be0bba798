"""The settings: one TOML file, secret files and the environment, read into frozen models.

`load_settings` is the way in. Nothing is read on import.
"""

from bridge.settings.address import Address, parse_address
from bridge.settings.errors import SettingsError
from bridge.settings.load import load_settings
from bridge.settings.root import Settings

__all__ = ["Address", "Settings", "SettingsError", "load_settings", "parse_address"]
