"""The rows between Taiga and Invoice Ninja, in the order of the flow."""

from sync.models.deliveries import RejectedDelivery, Verdict, WebhookDelivery
from sync.models.differences import Difference
from sync.models.doctor import DoctorCheck, DoctorFinding
from sync.models.entries import TimeEntry
from sync.models.items import FoundBy, TaigaAttributes, WorkItem
from sync.models.records import RecordKind, RemoteRecord, Server
from sync.models.system import Alarm, ConsoleProcess, Heartbeat, ProjectSweep, UpstreamGate, UpstreamPin
from sync.models.transitions import CallSummary, Transition, UpstreamCall

__all__ = [
    "Alarm",
    "CallSummary",
    "ConsoleProcess",
    "Difference",
    "DoctorCheck",
    "DoctorFinding",
    "FoundBy",
    "Heartbeat",
    "ProjectSweep",
    "RecordKind",
    "RejectedDelivery",
    "RemoteRecord",
    "Server",
    "TaigaAttributes",
    "TimeEntry",
    "Transition",
    "UpstreamCall",
    "UpstreamGate",
    "UpstreamPin",
    "Verdict",
    "WebhookDelivery",
    "WorkItem",
]
