from pyconvex import OidcProvider

from .convex_config import app

providers = [OidcProvider(domain=app.env.DOMAIN, application_id="convex")]
