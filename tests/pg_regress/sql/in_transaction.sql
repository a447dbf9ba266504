-- backup_codes.in_transaction: where a caller could take an attempt back, it is allowed, warned of, or refused.
CREATE EXTENSION backup_codes;
SELECT code AS c1, lead(code, 1) OVER () AS c2, lead(code, 2) OVER () AS c3, lead(code, 3) OVER () AS c4
  FROM backup_codes_generate('u') AS code LIMIT 1 \gset
\set VERBOSITY sqlstate
-- Allowed by default.
BEGIN;
SELECT backup_codes_consume('u', 'nonsense');
COMMIT;

SET backup_codes.in_transaction = warn;
BEGIN;
SELECT backup_codes_consume('u', 'nonsense');
SELECT status FROM backup_codes_attempt(NULL::text, NULL);
COMMIT;
SELECT backup_codes_consume('u', 'nonsense') AS alone;

SET backup_codes.in_transaction = refuse;
\set VERBOSITY default
-- In a block, whatever the arguments.
BEGIN;
SELECT backup_codes_consume('u', :'c1');
ROLLBACK;
BEGIN;
SELECT backup_codes_consume(NULL::bigint, NULL);
ROLLBACK;
BEGIN;
SELECT count(*) FROM backup_codes_regenerate('u', :'c1');
ROLLBACK;
BEGIN;
SELECT backup_codes_disable('u', :'c1');
ROLLBACK;
-- After a savepoint.
BEGIN;
SAVEPOINT s;
SELECT * FROM backup_codes_attempt('u', :'c1');
ROLLBACK;
-- In a query string of several statements.
SELECT 1 AS first\; SELECT backup_codes_consume('u', :'c1');
-- In a block with an exception handler.
DO $$
BEGIN
  PERFORM backup_codes_consume('u', 'nonsense');
EXCEPTION WHEN division_by_zero THEN
  NULL;
END
$$;
-- A single statement, in a function or not, is the caller's whole transaction.
SELECT backup_codes_consume('u', :'c1');
SELECT status FROM backup_codes_attempt('u', :'c2');
DO $$
BEGIN
  PERFORM backup_codes_consume('u', 'nonsense');
END
$$;
-- What reads is not concerned, and neither is what only the issuer decides.
BEGIN;
SELECT backup_codes_remaining('u');
SELECT remaining FROM backup_codes_status('u');
SELECT count(*) FROM backup_codes_prepare('u');
SELECT backup_codes_cancel('u');
ROLLBACK;
-- Nothing was counted, and nothing consumed, by what was refused.
SELECT backup_codes_disable('u', :'c3') AS gated, failures, unused FROM backup_codes.account WHERE user_id = 'u';
SET backup_codes.in_transaction = 'sometimes';
