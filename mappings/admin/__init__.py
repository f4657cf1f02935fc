"""Set-up in the admin: who pays what from when."""

from mappings.admin.clients import ClientAdmin, NinjaProjectAdmin
from mappings.admin.company import CompanyAdmin
from mappings.admin.people import MembershipAdmin, PersonAdmin, RoleAdmin
from mappings.admin.projects import ProjectMappingAdmin, TaigaProjectAdmin
from mappings.admin.rates import RateAdmin
from mappings.admin.rule_sets import RuleSetAdmin
from mappings.config_views import ConfigurationPage

__all__ = [
    "ClientAdmin",
    "CompanyAdmin",
    "ConfigurationPage",
    "MembershipAdmin",
    "NinjaProjectAdmin",
    "PersonAdmin",
    "ProjectMappingAdmin",
    "RateAdmin",
    "RoleAdmin",
    "RuleSetAdmin",
    "TaigaProjectAdmin",
]
