"""The console's addresses, and the least that a webhook receiver can do: check the signature, insert one row."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from billing_console.urls import urlpatterns as console
from sync.signature import sign


@csrf_exempt
def bare(request: HttpRequest) -> HttpResponse:
    """202 for a signed body, after one INSERT."""
    raw = request.body
    given = request.headers.get("X-Taiga-Webhook-Signature", "")
    if not hmac.compare_digest(given, sign(raw, settings.WEBHOOK_SECRET)):
        return HttpResponse(status=403)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_bare (body) VALUES (%s)", [raw])
    return HttpResponse(status=202)


urlpatterns = [*console, path("bench/bare", bare)]
