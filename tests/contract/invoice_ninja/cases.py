"""The recorded cases of each method of the console's client, with the state that each of them needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.ninja.app import InvoiceNinja
from sandbox.ninja.data import currency_ids
from tests.contract.invoice_ninja import mail_cases, money_cases
from tests.contract.invoice_ninja.recording import FRESH_INSTALLS, recordings
from tests.contract.invoice_ninja.sending import send
from tests.contract.invoice_ninja.world import NEWER_SERVER, Arrange, a_client, an_invoice, before, newer


@dataclass(frozen=True)
class Case:
    """One recorded exchange. `ignore` names fields whose value depends on what was not recorded; types still count."""

    recording: str
    arrange: Arrange
    ignore: frozenset[str] = frozenset()

    @property
    def number(self) -> int:
        """The exchange's number."""
        return int(self.recording.split("-")[0])


def _after(*numbers: int, **more: Any) -> dict[str, Any]:
    """The case sees the effect of these exchanges, which are sent again."""
    return {"replay": numbers, **more}


def _free_tasks(ninja: InvoiceNinja) -> None:
    """No task is on an invoice yet."""
    with ninja.memory.transaction():
        for task in ninja.store["tasks"].all():
            ninja.store.save("tasks", task["id"], invoice_id="")


def _as_draft(invoice_id: str) -> Arrange:
    """The invoice as it was before it was sent."""

    def arrange(ninja: InvoiceNinja) -> None:
        row = ninja.store["invoices"].get(invoice_id) or {}
        unsent = [{**invitation, "sent_date": "", "message_id": ""} for invitation in row["invitations"]]
        draft = {"status_id": "1", "balance": 0, "paid_to_date": 0, "due_date": "", "last_sent_date": ""}
        with ninja.memory.transaction():
            ninja.store.save("invoices", invoice_id, **draft, invitations=unsent)

    return arrange


def _as_sent(invoice_id: str) -> Arrange:
    """The invoice as it was before it was cancelled."""

    def arrange(ninja: InvoiceNinja) -> None:
        amount = (ninja.store["invoices"].get(invoice_id) or {})["amount"]
        with ninja.memory.transaction():
            ninja.store.save("invoices", invoice_id, status_id="2", balance=amount)

    return arrange


def _alive(invoice_id: str) -> Arrange:
    """The invoice as it was before it was deleted."""

    def arrange(ninja: InvoiceNinja) -> None:
        number = (ninja.store["invoices"].get(invoice_id) or {})["number"].removesuffix("_Deleted")
        with ninja.memory.transaction():
            ninja.store.save("invoices", invoice_id, is_deleted=False, archived_at=0, number=number)

    return arrange


def _just_asked(number: int) -> Arrange:
    """The same request was sent a moment ago."""
    return lambda ninja: (send(ninja, recordings()[number]), None)[1]


def _throttled(ninja: InvoiceNinja) -> None:
    """Three calls were made within this minute."""
    with ninja.memory.transaction():
        ninja.store["counters"].insert({"value": 3, "since": ninja.store.now()}, "throttle")


def _in_maintenance(ninja: InvoiceNinja) -> None:
    """`artisan down`"""
    ninja.faults.add({"kind": "status", "status": 503, "count": None})


def _delete_project(project_id: str) -> Arrange:
    def arrange(ninja: InvoiceNinja) -> None:
        with ninja.memory.transaction():
            ninja.store.save("projects", project_id, is_deleted=True, archived_at=1)

    return arrange


def _invited(ninja: InvoiceNinja) -> None:
    """Some invoice has the invitation whose key was asked for (keys are not in the recordings)."""
    key = recordings()[392].path.split("/")[-2]
    row = ninja.store["invoices"].all()[-1]
    with ninja.memory.transaction():
        ninja.store.save("invoices", row["id"], invitations=[{**one, "key": key} for one in row["invitations"]])


def _not_refunded(ninja: InvoiceNinja) -> None:
    """The payment of 5.00 and its invoice as they were before the refund."""
    with ninja.memory.transaction():
        ninja.store.save("payments", "4openRe7Az", refunded=0, status_id="4")
        ninja.store.save("invoices", "QnXe0VXbxr", balance=0, paid_to_date=5, status_id="4", next_send_date="")


def _taken_off(*numbers: int) -> Arrange:
    """The invitations that these exchanges showed of an invoice, and that are not on it now, lie aside with their keys.

    No answer shows them."""

    def arrange(ninja: InvoiceNinja) -> None:
        for number in numbers:
            shown = recordings()[number].answer["data"]
            row = ninja.store["invoices"].get(shown["id"]) or {}
            have = {one["id"] for one in [*row["invitations"], *row.get("_taken_off", [])]}
            aside = [one for one in shown["invitations"] if one["id"] not in have]
            with ninja.memory.transaction():
                ninja.store.save("invoices", row["id"], _taken_off=[*row.get("_taken_off", []), *aside])

    return arrange


def _ann_alone(ninja: InvoiceNinja) -> None:
    """Ann was the client's only contact who wanted mail when the invoice was made; Ben came later."""
    ann, ben = (
        {**(ninja.store["clients"].get("Oy5eVOMaEP") or {})["contacts"][0], "id": contact, "is_primary": is_primary}
        for contact, is_primary in (("AnnWasHere", True), ("qM7e5yBe2v", False))
    )
    row = ninja.store["invoices"].get("yJrb2vvbWL") or {}
    invited = [{**one, "id": "AnnInvited", "client_contact_id": "AnnWasHere"} for one in row["invitations"]]
    with ninja.memory.transaction():
        ninja.store.save("clients", "Oy5eVOMaEP", contacts=[ann, ben])
        ninja.store.save("invoices", "yJrb2vvbWL", invitations=invited)


COUNTERS = {f"{kind}_number_counter" for kind in ("invoice", "client", "task", "payment", "project", "credit", "quote")}
# The company rounds totals to five cents; the client was never shown.
_FIVE_CENTS: dict[str, Any] = {"settings": {"enable_rappen_rounding": True}, "ignore": {"client_contact_id"}}

SPECIAL: dict[int, dict[str, Any]] = {
    31: _after(30),
    61: _after(55),
    62: _after(58),
    63: _after(56),
    60: _after(52),
    64: {"also": (90,)},
    89: {"ignore": {"date"}},
    90: {"also": (90,)},
    104: _after(103),
    # A task that nobody recorded being made, and a status that was stored for a garbage id.
    **{number: {"also": (116, 150)} for number in range(116, 151)},
    164: _after(163, also=(164,), then=_free_tasks),
    165: _after(163, also=(164,), then=_free_tasks),
    173: _after(172),
    204: _after(203),
    206: _after(203, 205),
    211: _after(210),
    213: _after(212),
    226: _after(225),
    232: _after(231),
    233: _after(231),
    219: {"also": (219,), "then": _as_draft("QJ0dN6dLOv")},
    236: _after(231, 234),
    237: _after(231, 234, ignore={"balance"}),
    240: {"also": (240,)},
    242: {"also": (241,), "then": _just_asked(242)},
    249: {"also": (249,), "then": _as_draft("mWZdPwbKgR")},
    256: _after(231, 234, 253, 254, 255),
    259: _after(231, 234, 238, 239, 258),
    260: {"also": (260,)},
    262: {"rows": an_invoice("Oy5eVMdEP4", client_id="VolejRejNm")},
    264: {"ignore": {*COUNTERS, "is_large"}},
    269: {"ignore": {"balance", "paid_to_date"}},
    270: {"also": (271,), "then": _alive("Oy5eVMdEP4")},
    271: {"also": (271,), "then": _alive("Oy5eVMdEP4")},
    285: {"settings": {"task_round_to_nearest": 900, "task_round_up": True}},
    287: {"also": (287,)},
    288: {"also": (288,)},
    289: {"also": (289,)},
    # No order was asked for, and the database chose its own.
    **{number: {"ignore": {"data"}} for number in (302, 304, 308, 309, 311, 312)},
    340: {"ignore": {"balance"}},
    343: _after(231, 234, 253, 254, 255, 257, 258),
    353: {"ignore": {"balance"}},
    355: {"also": (355,)},
    380: {"ignore": {"industries", "countries", "languages", "gateways"}},
    358: {"ignore": {*COUNTERS, "is_large"}},
    376: {"also": (353,)},
    378: {"ignore": {"activities", "ledger", "system_logs", "balance"}},
    383: {"permissions": "view_task,create_task", "ignore": {"total", "total_pages"}},
    384: {"permissions": "view_task,create_task"},
    **{number: {"permissions": "view_task,create_task"} for number in range(385, 392)},
    392: {"then": _invited},
    394: {"settings": {"pdf_email_attachment": True}},
    395: {"settings": {"pdf_email_attachment": True}},
    396: {"rows": a_client("4openRe7Az", settings={"currency_id": currency_ids()["JPY"]})},
    401: {"rows": a_client("WJxbojagwO", public_notes="CLIENT NOTE")},
    402: {"rows": a_client("WJxbojagwO", public_notes="CLIENT NOTE")},
    404: {"rows": a_client("WJxbojagwO")},
    412: {"also": (413,)},
    416: {"also": (418,), "switches": {"number_race": True}},
    417: {"also": (418,)},
    421: {"then": _throttled},
    422: {"then": _throttled},
    **{number: {"ignore": {"total", "total_pages", "current_hours"}} for number in (426, 431, 433, 434, 435)},
    436: {"rows": a_client("k8mep2bMyJ", archived_at=1)},
    437: {"rows": a_client("k8mep2bMyJ", archived_at=1)},
    438: {"rows": a_client("k8mep2bMyJ"), "ignore": {"data"}},
    440: {"also": (438, 443)},
    442: {"also": (442, 443)},
    443: {"also": (443,)},
    444: {"also": (438, 443), "then": _delete_project("wMvbmOeYAl")},
    445: {"also": (445,), "then": _as_draft("VWPe9Q3eLy")},
    446: _after(445, also=(445,), then=_as_draft("VWPe9Q3eLy")),
    447: {"also": (447,), "then": _as_draft("QnXe0VXbxr")},
    448: {"also": (447, 448), "then": _not_refunded},
    449: _after(448, also=(447, 448), then=_not_refunded),
    451: {"settings": {"counter_number_applied": "when_sent"}},
    453: {"then": _in_maintenance},
    454: {"then": _in_maintenance},
    460: {"ignore": {"total", "total_pages"}},
    461: {"ignore": {"total", "total_pages"}},
    462: {"also": (462,), "then": _as_draft("Volejq5djN")},
    463: _after(462, also=(462,), then=_as_draft("Volejq5djN")),
    464: {"also": (463,)},
    467: _after(466),
    474: {"then": _just_asked(473)},
    **{number: {"rows": a_client("VolejRejNm")} for number in range(475, 481)},
    **{number: {"rows": a_client("Wpmbk5ezJn")} for number in range(481, 499)},
    492: _after(491, rows=a_client("Wpmbk5ezJn")),
    494: _after(491, rows=a_client("Wpmbk5ezJn")),
    495: _after(491, 492, rows=a_client("Wpmbk5ezJn")),
    **{number: {"also": (504,)} for number in (505, 506, 508, 509, 513)},
    499: _after(497, also=(499,)),
    500: {"also": (500,), "then": _as_sent("wMvbmOeYAl")},
    501: _after(500, also=(500, 501), then=_as_sent("wMvbmOeYAl")),
    502: {"also": (501,)},
    503: _after(502, also=(501,)),
    507: _after(506, also=(504,)),
    510: _after(509, also=(504,)),
    511: {"ignore": COUNTERS},
    639: {"also": (639,), "then": _as_draft("W4QbYvpdzq")},
    640: {"also": (640,), "then": _as_draft("joQeZV6epZ")},
    644: {"then": _taken_off(636)},
    651: {"then": _taken_off(639)},
    654: {"then": _taken_off(636, 642)},
    657: {"then": _taken_off(636, 653)},
    659: {"also": (659,), "rows": a_client("Oy5eVOMaEP"), "then": _ann_alone},
    662: {"ignore": {"balance"}},
    663: _after(662),
    664: _after(662),
    823: {"also": (823,)},
    824: {"also": (824,)},
    825: {"switches": {"pdf_engine": True}},
    **{number: {"rows": a_client("Wjneg56bwZ"), "ignore": {"client_contact_id"}} for number in range(870, 888)},
    **{number: {**_FIVE_CENTS, "rows": a_client("Wjneg5YbwZ")} for number in range(792, 798)},
    798: {**_FIVE_CENTS, "rows": a_client("Volej2RejN")},
    **money_cases.SPECIAL,
}
# Settings that somebody changed in between, unrecorded, by the first exchange that saw them.
_CHANGED: list[tuple[int, dict[str, Any], dict[str, Any]]] = [
    (269, {}, {"invoice_task_lock": False}),
    (280, {"default_task_rate": 33.3}, {}),
    (295, {"enable_reminder1": True, "num_days_reminder1": 3, "schedule_reminder1": "after_due_date"}, {}),
]


SPECIAL |= mail_cases.special()


def case(number: int) -> Case:
    """The case of one exchange."""
    special = dict(SPECIAL.get(number, {}))
    for since, settings, company in _CHANGED:
        if since <= number < FRESH_INSTALLS[0]:
            special["settings"] = {**settings, **special.get("settings", {})}
            special["company"] = {**company, **special.get("company", {})}
    ignore = frozenset(special.pop("ignore", ()))
    arrange = newer(number, **special) if number >= NEWER_SERVER else before(number, **special)
    return Case(recordings()[number].name, arrange, ignore)


def _numbers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split():
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


_EXCHANGES = {
    "self_check": "14",
    "ping": "13 428 429 453 455 457",
    "company": "16 358 391 511",
    "currencies": "380",
    "clients": "353 363-369 375-378 386",
    "client": "206 237 291",
    "projects": "354 370-373 379",
    "products": "166 355 374",
    "tax_rates": "512",
    "find_tasks": "59 117-119 409 411 431 432",
    "task": "31 60-63 100-102 104 164 423 442 499 501 871 873 875 877 879 886",
    "tasks": "1-4 116 120-162 383 426 427 433 434 460 461 503",
    "create_task": (
        "5-7 10 15 30 32-58 65-89 91 106 107 273-283 285 286 290 293 294 384 403 405-408 410 412-415 424 436 439 440"
        " 444 454 458 459 479 480 870 872 874 876 878 880 885 887"
    ),
    "update_task": "92-99 105 110 260-262 265 266 425 502",
    "archive_task": "109 112-115",
    "restore_task": "108 111 268",
    "find_invoices": "328 435 482 483",
    "invoice": "165 204 211 213 226 232 233 259 388 446 449 463 494 498 507 510"
    " 638 643 645 647 650 655 660 663 664 824 882 884",
    "create_invoice": (
        "163 167 168 174 177-198 207-210 212 253 254 295-297 385 396-402 404 416-419 437 441 451 466 467 475 481 505"
        " 506 508 509 513 636 792-796 798 881 883"
    ),
    "update_invoice": "169 176 199-203 205 238 243 244 270 462 465 476 477 484 641 826",
    "set_invitations": "642 644 646 648 651 652 654 656-659",
    "delete_invoice": "172 247 255 271 464",
    "cancel_invoice": "239 240 242 250 251 500",
    "mark_invoice_sent": "219-221 241 252 452 478 797",
    "send_email": "225 227-230 395 445 447 639 649 653",
    "invoice_pdf": "392 825",
    "invoices_updated_since": "173 299-327 329-342 387",
    "payments_updated_since": "236 256 343-352 359",
    "create_credit": "485-487",
    "credits": "488-490 495 496",
    "create_payment": "231 450 473 474 491 493 827",
}
# What the scenario, the sandbox and the operator do at the server, and the console never does.
_OTHERS = {
    "routes": "8 9 12 17 430",
    "delete_task": "103 263 267",
    "invoice actions": "170 171 175 222-224 234 235 245 246 248 249 257 298 393 394 497 640",
    "payments": "258 448",
    "clients": "18-21 269 272 292 420-422 438 472 504 635 637 662 823",
    "projects": "22-25 284 443 468-471",
    "company and people": "26-29 64 90 264 356 357 381 382 389",
    "webhooks": "214-217 287-289 390",
    "credits": "492",
}
CASES: dict[str, list[Case]] = {
    method: [
        case(number)
        for number in (
            *_numbers(" ".join(all_.get(method, "") for all_ in (_EXCHANGES, mail_cases.EXCHANGES))),
            *money_cases.EXCHANGES.get(method, ()),
        )
    ]
    for method in {**_EXCHANGES, **mail_cases.EXCHANGES}
}
OTHER_CASES: dict[str, list[Case]] = {
    about: [
        case(number)
        for number in (
            *_numbers(" ".join(all_.get(about, "") for all_ in (_OTHERS, mail_cases.OTHERS))),
            *money_cases.OTHERS.get(about, ()),
        )
    ]
    for about in {**_OTHERS, **money_cases.OTHERS}
}
