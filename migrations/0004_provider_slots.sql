-- How many calls each process may have open at a provider: together never more than the limit.

CREATE TABLE provider_slots (
  provider TEXT NOT NULL,
  owner TEXT NOT NULL,
  wanted BIGINT NOT NULL,
  held BIGINT NOT NULL,
  until_ms BIGINT NOT NULL,
  PRIMARY KEY (provider, owner)
) /*strict*/;
