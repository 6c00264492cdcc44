-- What we were told. One row an event, unique for good; only bodies expire.

CREATE TABLE installation (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) /*strict*/;

CREATE TABLE inbox (
  id /*serial*/ BIGINT PRIMARY KEY,
  source TEXT NOT NULL,
  event_id TEXT NOT NULL,
  type TEXT NOT NULL,
  occurred_at_ms BIGINT NOT NULL,
  received_at_ms BIGINT NOT NULL,
  says_hash TEXT NOT NULL,
  headers TEXT NOT NULL,
  body BYTEA,
  status TEXT NOT NULL DEFAULT 'new',
  reason TEXT,
  tenant_id BIGINT,
  subscription_id TEXT,
  customer_id TEXT,
  try_at_ms BIGINT,
  tries BIGINT NOT NULL DEFAULT 0,
  repeats BIGINT NOT NULL DEFAULT 0,
  UNIQUE (source, event_id)
) /*strict*/;

-- Partial, so that the cost of finding news does not grow with what was ever received.
CREATE INDEX inbox_new ON inbox (id) WHERE status = 'new';
CREATE INDEX inbox_due ON inbox (try_at_ms) WHERE try_at_ms IS NOT NULL;
CREATE INDEX inbox_waiting_subscription ON inbox (source, subscription_id) WHERE status = 'waiting';
CREATE INDEX inbox_waiting_customer ON inbox (source, customer_id) WHERE status = 'waiting';
CREATE INDEX inbox_tenant ON inbox (tenant_id, id) WHERE tenant_id IS NOT NULL;

-- A known id that says something else: kept and shown, never applied.
CREATE TABLE inbox_conflicts (
  id /*serial*/ BIGINT PRIMARY KEY,
  source TEXT NOT NULL,
  event_id TEXT NOT NULL,
  received_at_ms BIGINT NOT NULL,
  says_hash TEXT NOT NULL,
  headers TEXT NOT NULL,
  body BYTEA,
  is_read BIGINT NOT NULL DEFAULT 0,
  UNIQUE (source, event_id, says_hash)
) /*strict*/;
CREATE INDEX inbox_conflicts_unread ON inbox_conflicts (id) WHERE is_read = 0;

-- The last requests that failed verification: a ring of fixed size, never a body.
CREATE TABLE rejections (
  source TEXT NOT NULL,
  slot BIGINT NOT NULL,
  at_ms BIGINT NOT NULL,
  code TEXT NOT NULL,
  skew_ms BIGINT,
  body_bytes BIGINT NOT NULL,
  PRIMARY KEY (source, slot)
) /*strict*/;
