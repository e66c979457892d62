"""Settings of these tests."""

from hypothesis import HealthCheck, settings

# As in tests/property: neighbours on a busy machine are no finding.
settings.register_profile("mirror", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mirror")
