"""A make-believe web shop for the sandbox: one seeded model, and the exports that its systems would write."""

from sandbox.company.crm_exports import write_exports
from sandbox.company.model import AS_OF, REPORTING_CURRENCY, REPORTING_TIME_ZONE
from sandbox.company.trade import build_company
from sandbox.company.truth import Truth

__all__ = ["AS_OF", "REPORTING_CURRENCY", "REPORTING_TIME_ZONE", "Truth", "build_company", "write_exports"]
