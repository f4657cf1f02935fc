"""Only languages that the console can speak are offered."""

from __future__ import annotations

import pytest
from django.conf import settings

from tests.people import browser_of


def test_every_language_that_is_offered_has_a_catalogue() -> None:
    (folder,) = settings.LOCALE_PATHS

    for code, _name in settings.LANGUAGES:
        assert code == settings.LANGUAGE_CODE or (folder / code / "LC_MESSAGES" / "django.mo").exists(), code


@pytest.mark.django_db
def test_there_is_no_menu_with_a_single_language() -> None:
    page = browser_of("viewer").get("/admin/", headers={"accept-language": "fr"}).content.decode()

    assert ('name="language"' in page) == (len(settings.LANGUAGES) > 1)
    assert settings.UNFOLD["SHOW_LANGUAGES"] == (len(settings.LANGUAGES) > 1)
    if "fr" not in dict(settings.LANGUAGES):
        assert '<html lang="en-gb"' in page
