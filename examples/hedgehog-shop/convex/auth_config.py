from pyconvex import OidcProvider

providers = [OidcProvider.this_deployment()]
