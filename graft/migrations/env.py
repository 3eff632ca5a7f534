"""Alembic's entry: runs the migrations in the transaction that graft.database.migrate has opened."""

from alembic import context

from graft.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
