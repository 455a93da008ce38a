"""The HTTP edge: functions over plain requests, and what tools ask a deployment.

Owns routes, envelopes, formats and error codes. Never runs functions, verifies credentials or
speaks the sync protocol; all three come in as arguments. One invariant: a failed function is a 200
with `status: "error"`, and every other failure is a status with `code` and `message`; what HTTP
actions answer is theirs.
"""

from pyconvex.http.app import Deployment, Exports, create_app
from pyconvex.http.issuer import IssuerDocuments, Published
from pyconvex.http.site import SiteEndpoint

__all__ = ["Deployment", "Exports", "IssuerDocuments", "Published", "SiteEndpoint", "create_app"]
