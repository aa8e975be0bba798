"""A site to be set up: a TOML file, secret files and an environment, as a test wants them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.settings import Settings, SettingsError, load_settings

UPSTREAM = {
    "BRIDGE_CENTION__BASE_URL": "https://api.cention.example",
    "BRIDGE_CENTION__WORKSPACE": "demo",
    "BRIDGE_CENTION__TOKEN": "cention-token",
}
ROUTE = '[[routes]]\nname = "sales"\nqueue_names = ["Sales"]\nworkspace = "sales"\n'


@dataclass
class Site:
    folder: Path
    environ: dict[str, str] = field(default_factory=lambda: dict(UPSTREAM))
    config: Path | None = None
    secrets_dir: Path | None = None

    def write(self, toml: str | bytes) -> Path:
        self.config = self.folder / "bridge.toml"
        self.config.write_bytes(toml if isinstance(toml, bytes) else toml.encode())
        return self.config

    def secrets(self, files: Mapping[str, str]) -> Path:
        self.secrets_dir = self.folder / "secrets"
        self.secrets_dir.mkdir(exist_ok=True)
        for name, content in files.items():
            (self.secrets_dir / name).write_text(content)
        return self.secrets_dir

    def load(self, toml: str = "", *, require_upstream: bool = True, **env: str) -> Settings:
        """Load what was written, with a TOML file and BRIDGE_ variables (without prefix) if any."""
        if toml:
            self.write(toml)
        for name, text in env.items():
            self.environ[f"BRIDGE_{name}"] = text
        return load_settings(
            config=self.config,
            secrets_dir=self.secrets_dir,
            environ=self.environ,
            require_upstream=require_upstream,
        )

    def problems(self, toml: str = "", *, require_upstream: bool = True, **env: str) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            self.load(toml, require_upstream=require_upstream, **env)
        return caught.value.problems
