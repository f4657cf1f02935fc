"""`export_config`: print the configuration as a file that `import_config` reads."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from mappings.exporter import export_config, to_json, to_yaml


class Command(BaseCommand):
    """Prints YAML, or JSON for scripts; no secret is in it."""

    help = "Print project mappings, rates and billing rules so that import_config reads them back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The format."""
        parser.add_argument("--json", action="store_true", help="print JSON instead of YAML")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the configuration."""
        config = export_config()
        self.stdout.write((to_json(config) if options["json"] else to_yaml(config)).rstrip("\n"))
