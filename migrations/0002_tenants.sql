-- Who they are, what their subscriptions say, and whose lease they are under.

CREATE TABLE tenants (
  id /*serial*/ BIGINT PRIMARY KEY,
  tenant_key TEXT NOT NULL UNIQUE,
  self_named BIGINT NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT 'new',
  wanted TEXT NOT NULL DEFAULT 'nothing',
  reason TEXT NOT NULL DEFAULT '',
  changes_at_ms BIGINT,
  generation BIGINT NOT NULL DEFAULT 1,
  version BIGINT NOT NULL DEFAULT 1,
  fence BIGINT NOT NULL DEFAULT 0,
  lease_owner TEXT,
  lease_until_ms BIGINT,
  next_run_at_ms BIGINT,
  hold TEXT,
  blocked_code TEXT,
  blocked_message TEXT,
  blocked_step TEXT,
  blocked_wanted TEXT,
  blocked_at_ms BIGINT,
  tries BIGINT NOT NULL DEFAULT 0,
  created_at_ms BIGINT NOT NULL,
  updated_at_ms BIGINT NOT NULL
) /*strict*/;

-- A leased tenant carries its lease's end as next_run_at_ms, so that one narrow index finds work and the abandoned.
CREATE INDEX tenants_due ON tenants (next_run_at_ms, id) WHERE next_run_at_ms IS NOT NULL;
CREATE INDEX tenants_blocked ON tenants (blocked_code) WHERE blocked_code IS NOT NULL;
CREATE INDEX tenants_state ON tenants (state, id);

CREATE TABLE tenant_aliases (
  alias_key TEXT PRIMARY KEY,
  tenant_id BIGINT NOT NULL REFERENCES tenants (id)
) /*strict*/;

CREATE TABLE subscriptions (
  id /*serial*/ BIGINT PRIMARY KEY,
  source TEXT NOT NULL,
  subscription_id TEXT NOT NULL,
  tenant_id BIGINT NOT NULL REFERENCES tenants (id),
  linked_by TEXT NOT NULL,
  record TEXT NOT NULL,
  reread_at_ms BIGINT,
  updated_at_ms BIGINT NOT NULL,
  UNIQUE (source, subscription_id)
) /*strict*/;
CREATE INDEX subscriptions_tenant ON subscriptions (tenant_id);

CREATE TABLE customer_links (
  source TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  tenant_id BIGINT NOT NULL REFERENCES tenants (id),
  PRIMARY KEY (source, customer_id, tenant_id)
) /*strict*/;

CREATE TABLE options (
  tenant_id BIGINT NOT NULL REFERENCES tenants (id),
  level TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  occurred_at_ms BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, level, name)
) /*strict*/;

-- Everything that happened to a tenant, oldest first; rows are never changed.
CREATE TABLE journal (
  id /*serial*/ BIGINT PRIMARY KEY,
  tenant_id BIGINT,
  at_ms BIGINT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  detail TEXT NOT NULL,
  actor TEXT,
  inbox_id BIGINT
) /*strict*/;
CREATE INDEX journal_tenant ON journal (tenant_id, id);

-- News of tenants for other systems, written with the change that it announces.
CREATE TABLE outbox (
  id /*serial*/ BIGINT PRIMARY KEY,
  message_id TEXT NOT NULL UNIQUE,
  tenant_id BIGINT NOT NULL,
  type TEXT NOT NULL,
  body TEXT NOT NULL,
  created_at_ms BIGINT NOT NULL,
  sent_at_ms BIGINT
) /*strict*/;
CREATE INDEX outbox_unsent ON outbox (id) WHERE sent_at_ms IS NULL;
CREATE INDEX outbox_tenant ON outbox (tenant_id);
