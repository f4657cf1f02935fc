"""Who pays what: the company, clients, projects, people, rates and rule sets."""

from mappings.models.clients import Client, NinjaProject, Product
from mappings.models.company import Company, InvoiceDate
from mappings.models.imports import ImportJob, ImportState
from mappings.models.people import Membership, Person, Role
from mappings.models.projects import ProjectMapping, TaigaProject
from mappings.models.rates import Rate, RateLevel
from mappings.models.rule_sets import (
    Frequency,
    Grouping,
    InvoicedWhen,
    MinimumMode,
    Prefer,
    Rounding,
    RoundingMode,
    RuleSet,
    TaxDecision,
)

__all__ = [
    "Client",
    "Company",
    "Frequency",
    "Grouping",
    "ImportJob",
    "ImportState",
    "InvoiceDate",
    "InvoicedWhen",
    "Membership",
    "MinimumMode",
    "NinjaProject",
    "Person",
    "Prefer",
    "Product",
    "ProjectMapping",
    "Rate",
    "RateLevel",
    "Role",
    "Rounding",
    "RoundingMode",
    "RuleSet",
    "TaigaProject",
    "TaxDecision",
]
