#!/usr/bin/env python
"""Django's command line for the billing console."""

from __future__ import annotations

import os
import sys

from billing_console.env import UnreadableSetting


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_console.settings")
    from django.core.management import execute_from_command_line
    from django.db.utils import DatabaseError

    from billing_console.database_errors import explain

    try:
        execute_from_command_line(sys.argv)
    except UnreadableSetting as error:
        sys.exit(str(error))
    except DatabaseError as error:
        sentence = explain(error)
        if sentence is None or "--traceback" in sys.argv:
            raise
        sys.exit(sentence)


if __name__ == "__main__":
    main()
