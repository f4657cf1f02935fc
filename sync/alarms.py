"""What a person should hear of without looking: shown on the start page, mailed once to ALERT_EMAILS, and its end too.

Whoever notices trouble raises an alarm by a key and clears it when it is over, as often as they like. A task mails what
lasted ALARM_AFTER_SECONDS, so that a hiccup mails nobody. Times are real time.
"""

from __future__ import annotations

import logging
import smtplib
from datetime import timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from sync.models import Alarm

logger = logging.getLogger(__name__)


def raise_alarm(key: str, sentence: str, *, url_name: str = "") -> bool:
    """Say `sentence` (what happened, what to do) until `clear(key)`; True when it is news.

    `url_name` names the admin page where it is looked at. While it is open a newer sentence replaces the older one.
    """
    if Alarm.objects.filter(key=key, cleared_at__isnull=True).exclude(sentence=sentence).update(sentence=sentence):
        return False
    alarm = Alarm(key=key, sentence=sentence, url_name=url_name, raised_at=timezone.now())
    # Two workers may notice at once: the second finds the row of the first (alarm_one_open_per_key).
    Alarm.objects.bulk_create([alarm], ignore_conflicts=True)
    if is_new := Alarm.objects.filter(key=key, cleared_at__isnull=True, raised_at=alarm.raised_at).exists():
        logger.error("alarm: %s", sentence)
    return is_new


def clear(key: str) -> bool:
    """It is over; True when it was open. An alarm that nobody was mailed of ends silently."""
    return bool(Alarm.objects.filter(key=key, cleared_at__isnull=True).update(cleared_at=timezone.now()))


def mail_due() -> int:
    """Mail what lasts, and what is over of that which was mailed; returns how many mails left.

    A mail that cannot be sent is a sentence on the alarm, shown on the start page, and is tried again.
    """
    if not settings.ALERT_EMAILS:
        return 0
    lasts = Q(mailed_at__isnull=True, cleared_at__isnull=True, raised_at__lte=timezone.now() - _patience())
    is_over = Q(mailed_at__isnull=False, cleared_at__isnull=False, end_mailed_at__isnull=True)
    return sum(_mail(alarm) for alarm in Alarm.objects.filter(lasts | is_over).order_by("id")[:20])


def _mail(alarm: Alarm) -> bool:
    is_end = alarm.mailed_at is not None
    subject = _("Billing console: over") if is_end else _("Billing console: please look")
    since = f"{timezone.localtime(alarm.raised_at):%Y-%m-%d %H:%M %Z}"
    text = _("%(sentence)s\n\nSince %(since)s. %(url)s") % {
        "sentence": _("Over: %(sentence)s") % {"sentence": alarm.sentence} if is_end else alarm.sentence,
        "since": since,
        "url": f"{settings.PUBLIC_URL}/admin/",
    }
    column = "end_mailed_at" if is_end else "mailed_at"
    # The claim comes first: two workers do not mail the same alarm twice.
    claimed = Alarm.objects.filter(pk=alarm.pk, **{f"{column}__isnull": True})
    if not claimed.update(**{column: timezone.now()}):
        return False
    try:
        send_mail(subject, text, None, settings.ALERT_EMAILS)
    except (smtplib.SMTPException, OSError) as error:
        reason = _("The mail about this could not be sent (%(error)s). Check EMAIL_URL.") % {
            "error": type(error).__name__
        }
        Alarm.objects.filter(pk=alarm.pk).update(**{column: None}, mail_error=reason)
        logger.exception("an alarm could not be mailed")
        return False
    Alarm.objects.filter(pk=alarm.pk).exclude(mail_error="").update(mail_error="")
    return True


def _patience() -> timedelta:
    return timedelta(seconds=settings.ALARM_AFTER_SECONDS)
