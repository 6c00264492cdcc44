-- What is held, what was tried, and the purchase protocol's own record.

CREATE TABLE holdings (
  tenant_id BIGINT NOT NULL REFERENCES tenants (id),
  step TEXT NOT NULL,
  held TEXT NOT NULL,
  ref TEXT,
  detail TEXT NOT NULL,
  doubt_at_ms BIGINT,
  updated_at_ms BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, step)
) /*strict*/;
CREATE INDEX holdings_ref ON holdings (step, ref) WHERE ref IS NOT NULL;

-- One row a call that may change something outside, committed before the call; rows are never changed.
CREATE TABLE attempts (
  id /*serial*/ BIGINT PRIMARY KEY,
  tenant_id BIGINT NOT NULL REFERENCES tenants (id),
  generation BIGINT NOT NULL,
  step TEXT NOT NULL,
  operation TEXT NOT NULL,
  number TEXT,
  fence BIGINT NOT NULL,
  began_at_ms BIGINT NOT NULL,
  deadline_at_ms BIGINT NOT NULL
) /*strict*/;
CREATE INDEX attempts_tenant ON attempts (tenant_id, generation, id);
CREATE INDEX attempts_number ON attempts (number, operation) WHERE number IS NOT NULL;
CREATE INDEX attempts_began ON attempts (operation, began_at_ms);

-- How an attempt ended. None: it may have happened. `unclear` may be followed by what a later look proved.
CREATE TABLE attempt_outcomes (
  id /*serial*/ BIGINT PRIMARY KEY,
  attempt_id BIGINT NOT NULL REFERENCES attempts (id),
  outcome TEXT NOT NULL,
  code TEXT,
  detail TEXT,
  at_ms BIGINT NOT NULL,
  duration_ms BIGINT NOT NULL
) /*strict*/;
CREATE INDEX attempt_outcomes_attempt ON attempt_outcomes (attempt_id);

CREATE TABLE intents (
  id /*serial*/ BIGINT PRIMARY KEY,
  tenant_id BIGINT NOT NULL REFERENCES tenants (id),
  generation BIGINT NOT NULL,
  number TEXT NOT NULL,
  tag TEXT NOT NULL,
  status TEXT NOT NULL,
  is_exact BIGINT NOT NULL,
  round BIGINT NOT NULL DEFAULT 1,
  looks BIGINT NOT NULL DEFAULT 0,
  chosen_at_ms BIGINT NOT NULL,
  first_sent_at_ms BIGINT,
  round_sent_at_ms BIGINT,
  taken_at_ms BIGINT,
  ended_at_ms BIGINT,
  reason TEXT,
  sid TEXT,
  country TEXT NOT NULL,
  number_type TEXT NOT NULL,
  counts_as_candidate BIGINT NOT NULL DEFAULT 1,
  version BIGINT NOT NULL DEFAULT 1
) /*strict*/;
-- The two rules that make a second purchase impossible, kept by the database and not by us.
CREATE UNIQUE INDEX intents_one_a_generation ON intents (tenant_id, generation)
  WHERE status IN ('chosen', 'sent', 'unknown', 'owned');
CREATE UNIQUE INDEX intents_one_a_number ON intents (number)
  WHERE status IN ('chosen', 'sent', 'unknown', 'owned');
CREATE INDEX intents_first_sent ON intents (first_sent_at_ms) WHERE first_sent_at_ms IS NOT NULL;
CREATE INDEX intents_refused ON intents (number, ended_at_ms) WHERE status = 'refused';

-- What was gained and lost, for good; rows are never changed.
CREATE TABLE ledger (
  id /*serial*/ BIGINT PRIMARY KEY,
  tenant_id BIGINT NOT NULL REFERENCES tenants (id),
  generation BIGINT NOT NULL,
  thing TEXT NOT NULL,
  change TEXT NOT NULL,
  how TEXT NOT NULL,
  provider TEXT NOT NULL,
  ref TEXT NOT NULL,
  number TEXT NOT NULL,
  at_ms BIGINT NOT NULL
) /*strict*/;
CREATE INDEX ledger_tenant ON ledger (tenant_id, id);
CREATE INDEX ledger_ref ON ledger (ref, id);
CREATE INDEX ledger_at ON ledger (thing, change, at_ms);

-- What all workers know of a provider: back-off after a 429, and the breaker after refused credentials.
CREATE TABLE providers (
  name TEXT PRIMARY KEY,
  paused_until_ms BIGINT NOT NULL DEFAULT 0,
  pauses BIGINT NOT NULL DEFAULT 0,
  is_refusing BIGINT NOT NULL DEFAULT 0,
  probe_at_ms BIGINT NOT NULL DEFAULT 0,
  reason TEXT,
  changed_at_ms BIGINT NOT NULL DEFAULT 0
) /*strict*/;
