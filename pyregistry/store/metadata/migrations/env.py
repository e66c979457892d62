"""Run by alembic for every command; the connection comes from `migrate`, already in its transaction."""

from alembic import context

from pyregistry.store.metadata.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()
