"""The guide's configuration, exactly as printed."""

from __future__ import annotations

import pytest

PROJECTS = """{
  "project_mappings": [
    {
      "taiga_project_id": 1,
      "taiga_project_name": "Website Redesign",
      "invoiceninja_client_id": "client_abc123",
      "invoiceninja_project_id": "proj_web001",
      "default_hourly_rate": 75.00
    }
  ]
}
"""
USERS = """{
  "user_rates": {
    "senior_dev": 95.00,
    "mid_dev": 75.00,
    "junior_dev": 50.00,
    "designer": 70.00,
    "pm": 85.00
  }
}
"""
RULES = """billing_rules:
  frequency: monthly  # weekly, biweekly, monthly
  generation_day: 1   # Day of month (1-31)
  min_billable_hours: 0.25  # Minimum hours to bill
  rounding: quarter_hour  # none, quarter_hour, half_hour, hour
  auto_send: false  # Automatically email invoices
  payment_terms: net30  # Payment terms
"""


@pytest.fixture
def guide_files() -> list[tuple[str, str]]:
    """The three files of the guide's configuration chapter."""
    return [("projects.json", PROJECTS), ("users.json", USERS), ("rules.yaml", RULES)]


@pytest.fixture
def guide_markdown() -> str:
    """The same as fenced blocks, among others that are no configuration."""
    blocks = [
        ("json", '{\n  "id": 123\n}\n'),
        ("bash", "POST /api/v1/tasks\n"),
        ("json", PROJECTS),
        ("json", USERS),
        ("yaml", "version: '3.8'\n"),
        ("yaml", RULES),
    ]
    return "# Guide\n\n" + "\n".join(f"```{language}\n{block}```\n" for language, block in blocks)
