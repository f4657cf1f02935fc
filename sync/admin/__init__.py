"""Lists and forms of what lies between Taiga and Invoice Ninja. Nothing is typed here: acts go through services."""

from sync.admin import entries, gates, journals, remote
from sync.admin_views import AttentionPage
from sync.brake_views import ConfirmBrake
from sync.coverage_views import CoveragePage
from sync.provision_views import ConnectPage, ProgressPage, ProvisionPage
from sync.unmapped_views import UnmappedPage

__all__ = [
    "AttentionPage",
    "ConfirmBrake",
    "ConnectPage",
    "CoveragePage",
    "ProgressPage",
    "ProvisionPage",
    "UnmappedPage",
    "entries",
    "gates",
    "journals",
    "remote",
]
