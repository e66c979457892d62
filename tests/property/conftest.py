"""How property tests run."""

from hypothesis import HealthCheck, settings

# No deadline and no complaint of slow generation: neighbours on a machine of two processors are no finding.
settings.register_profile("pyregistry", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pyregistry")
