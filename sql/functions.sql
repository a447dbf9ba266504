-- Made by scripts/functions from functions.sql.in: change that file, and run it.

-- The functions of the API. A function of a user is written once in functions.sql.in, and comes for bigint, uuid and text.
-- Every one but backup_codes_user_id, which reads nothing, is SECURITY DEFINER with the same search_path: pg_temp is named, and
-- last, or a caller's temporary table would capture the function. COST 10000 keeps the planner from running a writer on rows that a
-- cheaper condition drops.

CREATE FUNCTION @extschema@.backup_codes_generate(user_id bigint, count integer DEFAULT NULL, valid_for interval DEFAULT NULL)
  RETURNS SETOF text
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 10
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_generate_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_generate(bigint, integer, interval) IS
  'Issuer. Makes a new set of backup codes, live at once, and returns the plain codes: the only time they exist. Whatever '
  'the user had (active set, pending set, lock) is gone. count: 1 to 100; valid_for: positive, ''infinity'' for ever; NULL '
  'takes the setting. Errors: 22004, 22021, 22023, 25006, 53200, and those of a key file: F0000, 55000, 58P01, 42501, '
  '58030.';

CREATE FUNCTION @extschema@.backup_codes_generate(user_id uuid, count integer DEFAULT NULL, valid_for interval DEFAULT NULL)
  RETURNS SETOF text
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 10
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_generate_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_generate(uuid, integer, interval) IS
  'Issuer. Makes a new set of backup codes, live at once, and returns the plain codes: the only time they exist. Whatever '
  'the user had (active set, pending set, lock) is gone. count: 1 to 100; valid_for: positive, ''infinity'' for ever; NULL '
  'takes the setting. Errors: 22004, 22021, 22023, 25006, 53200, and those of a key file: F0000, 55000, 58P01, 42501, '
  '58030.';

CREATE FUNCTION @extschema@.backup_codes_generate(user_id text, count integer DEFAULT NULL, valid_for interval DEFAULT NULL)
  RETURNS SETOF text
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 10
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_generate_text';
COMMENT ON FUNCTION @extschema@.backup_codes_generate(text, integer, interval) IS
  'Issuer. Makes a new set of backup codes, live at once, and returns the plain codes: the only time they exist. Whatever '
  'the user had (active set, pending set, lock) is gone. count: 1 to 100; valid_for: positive, ''infinity'' for ever; NULL '
  'takes the setting. Errors: 22004, 22021, 22023, 25006, 53200, and those of a key file: F0000, 55000, 58P01, 42501, '
  '58030.';

CREATE FUNCTION @extschema@.backup_codes_generate_many(
  user_ids bigint[], count integer DEFAULT NULL, valid_for interval DEFAULT NULL)
  RETURNS TABLE (user_id bigint, code text)
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 1000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_generate_many_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_generate_many(bigint[], integer, interval) IS
  'Issuer. Makes a new set for each user, as backup_codes_generate does, and returns the plain codes with their users, in '
  'the order of the ids as text: enrolling many users at a time. Errors as backup_codes_generate, and 22023 when a user is '
  'named twice.';

CREATE FUNCTION @extschema@.backup_codes_generate_many(
  user_ids uuid[], count integer DEFAULT NULL, valid_for interval DEFAULT NULL)
  RETURNS TABLE (user_id uuid, code text)
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 1000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_generate_many_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_generate_many(uuid[], integer, interval) IS
  'Issuer. Makes a new set for each user, as backup_codes_generate does, and returns the plain codes with their users, in '
  'the order of the ids as text: enrolling many users at a time. Errors as backup_codes_generate, and 22023 when a user is '
  'named twice.';

CREATE FUNCTION @extschema@.backup_codes_generate_many(
  user_ids text[], count integer DEFAULT NULL, valid_for interval DEFAULT NULL)
  RETURNS TABLE (user_id text, code text)
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 1000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_generate_many_text';
COMMENT ON FUNCTION @extschema@.backup_codes_generate_many(text[], integer, interval) IS
  'Issuer. Makes a new set for each user, as backup_codes_generate does, and returns the plain codes with their users, in '
  'the order of the ids as text: enrolling many users at a time. Errors as backup_codes_generate, and 22023 when a user is '
  'named twice.';

CREATE FUNCTION @extschema@.backup_codes_prepare(user_id bigint, count integer DEFAULT NULL, valid_for interval DEFAULT NULL)
  RETURNS SETOF text
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 10
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_prepare_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_prepare(bigint, integer, interval) IS
  'Issuer. Makes a pending set and returns its plain codes: it opens nothing until backup_codes_confirm, and the active '
  'set stays valid. Preparing again replaces the pending set. Errors as backup_codes_generate.';

CREATE FUNCTION @extschema@.backup_codes_prepare(user_id uuid, count integer DEFAULT NULL, valid_for interval DEFAULT NULL)
  RETURNS SETOF text
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 10
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_prepare_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_prepare(uuid, integer, interval) IS
  'Issuer. Makes a pending set and returns its plain codes: it opens nothing until backup_codes_confirm, and the active '
  'set stays valid. Preparing again replaces the pending set. Errors as backup_codes_generate.';

CREATE FUNCTION @extschema@.backup_codes_prepare(user_id text, count integer DEFAULT NULL, valid_for interval DEFAULT NULL)
  RETURNS SETOF text
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 10
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_prepare_text';
COMMENT ON FUNCTION @extschema@.backup_codes_prepare(text, integer, interval) IS
  'Issuer. Makes a pending set and returns its plain codes: it opens nothing until backup_codes_confirm, and the active '
  'set stays valid. Preparing again replaces the pending set. Errors as backup_codes_generate.';

CREATE FUNCTION @extschema@.backup_codes_confirm(user_id bigint, code text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_confirm_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_confirm(bigint, text) IS
  'Issuer. Activates the pending set when the code is one of it; the code is not consumed. False for a wrong, malformed or '
  'NULL code, or nothing pending, or a pending set that has expired. Wrong proofs are counted: backup_codes.max_failures '
  'of them drop the pending set. Errors: 22004, 22021, 22023, 25006, 53200, and those of a key file: F0000, 55000, 58P01, '
  '42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_confirm(user_id uuid, code text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_confirm_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_confirm(uuid, text) IS
  'Issuer. Activates the pending set when the code is one of it; the code is not consumed. False for a wrong, malformed or '
  'NULL code, or nothing pending, or a pending set that has expired. Wrong proofs are counted: backup_codes.max_failures '
  'of them drop the pending set. Errors: 22004, 22021, 22023, 25006, 53200, and those of a key file: F0000, 55000, 58P01, '
  '42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_confirm(user_id text, code text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_confirm_text';
COMMENT ON FUNCTION @extschema@.backup_codes_confirm(text, text) IS
  'Issuer. Activates the pending set when the code is one of it; the code is not consumed. False for a wrong, malformed or '
  'NULL code, or nothing pending, or a pending set that has expired. Wrong proofs are counted: backup_codes.max_failures '
  'of them drop the pending set. Errors: 22004, 22021, 22023, 25006, 53200, and those of a key file: F0000, 55000, 58P01, '
  '42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_confirm(user_id bigint)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_confirm_unproved_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_confirm(bigint) IS
  'Issuer. Activates whatever is pending now, without proof that the user saved it. False when nothing is pending. Errors: '
  '22004, 22021, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_confirm(user_id uuid)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_confirm_unproved_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_confirm(uuid) IS
  'Issuer. Activates whatever is pending now, without proof that the user saved it. False when nothing is pending. Errors: '
  '22004, 22021, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_confirm(user_id text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_confirm_unproved_text';
COMMENT ON FUNCTION @extschema@.backup_codes_confirm(text) IS
  'Issuer. Activates whatever is pending now, without proof that the user saved it. False when nothing is pending. Errors: '
  '22004, 22021, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_cancel(user_id bigint)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_cancel_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_cancel(bigint) IS
  'Issuer. Drops the pending set; the active set is not touched. False when nothing was pending. Errors: 22004, 22021, '
  '22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_cancel(user_id uuid)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_cancel_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_cancel(uuid) IS
  'Issuer. Drops the pending set; the active set is not touched. False when nothing was pending. Errors: 22004, 22021, '
  '22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_cancel(user_id text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_cancel_text';
COMMENT ON FUNCTION @extschema@.backup_codes_cancel(text) IS
  'Issuer. Drops the pending set; the active set is not touched. False when nothing was pending. Errors: 22004, 22021, '
  '22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_regenerate(
  user_id bigint, code text, count integer DEFAULT NULL, valid_for interval DEFAULT NULL)
  RETURNS SETOF text
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 10
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_regenerate_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_regenerate(bigint, text, integer, interval) IS
  'Issuer. Consumes one of the user''s own codes and, when it is accepted, makes a new set as backup_codes_generate does; '
  'otherwise returns no row and leaves the set as it is. Errors as backup_codes_generate.';

CREATE FUNCTION @extschema@.backup_codes_regenerate(
  user_id uuid, code text, count integer DEFAULT NULL, valid_for interval DEFAULT NULL)
  RETURNS SETOF text
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 10
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_regenerate_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_regenerate(uuid, text, integer, interval) IS
  'Issuer. Consumes one of the user''s own codes and, when it is accepted, makes a new set as backup_codes_generate does; '
  'otherwise returns no row and leaves the set as it is. Errors as backup_codes_generate.';

CREATE FUNCTION @extschema@.backup_codes_regenerate(
  user_id text, code text, count integer DEFAULT NULL, valid_for interval DEFAULT NULL)
  RETURNS SETOF text
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 10
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_regenerate_text';
COMMENT ON FUNCTION @extschema@.backup_codes_regenerate(text, text, integer, interval) IS
  'Issuer. Consumes one of the user''s own codes and, when it is accepted, makes a new set as backup_codes_generate does; '
  'otherwise returns no row and leaves the set as it is. Errors as backup_codes_generate.';

CREATE FUNCTION @extschema@.backup_codes_disable(user_id bigint)
  RETURNS integer
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_disable_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_disable(bigint) IS
  'Issuer. Removes everything the user has, active set, pending set and lock, and returns how many unused active codes '
  'went. Errors: 22004, 22021, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_disable(user_id uuid)
  RETURNS integer
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_disable_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_disable(uuid) IS
  'Issuer. Removes everything the user has, active set, pending set and lock, and returns how many unused active codes '
  'went. Errors: 22004, 22021, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_disable(user_id text)
  RETURNS integer
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_disable_text';
COMMENT ON FUNCTION @extschema@.backup_codes_disable(text) IS
  'Issuer. Removes everything the user has, active set, pending set and lock, and returns how many unused active codes '
  'went. Errors: 22004, 22021, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_disable(user_id bigint, code text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_disable_gated_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_disable(bigint, text) IS
  'Issuer. Consumes one of the user''s own codes and, when it is accepted, removes everything the user has; otherwise '
  'false. Errors: 22004, 22021, 22023, 25006, 53200, and those of a key file: F0000, 55000, 58P01, 42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_disable(user_id uuid, code text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_disable_gated_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_disable(uuid, text) IS
  'Issuer. Consumes one of the user''s own codes and, when it is accepted, removes everything the user has; otherwise '
  'false. Errors: 22004, 22021, 22023, 25006, 53200, and those of a key file: F0000, 55000, 58P01, 42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_disable(user_id text, code text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_disable_gated_text';
COMMENT ON FUNCTION @extschema@.backup_codes_disable(text, text) IS
  'Issuer. Consumes one of the user''s own codes and, when it is accepted, removes everything the user has; otherwise '
  'false. Errors: 22004, 22021, 22023, 25006, 53200, and those of a key file: F0000, 55000, 58P01, 42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_unlock(user_id bigint)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_unlock_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_unlock(bigint) IS
  'Issuer. Ends the lock of a user and forgets the failures; the codes stay. Whether the user was locked. Errors: 22004, '
  '22021, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_unlock(user_id uuid)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_unlock_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_unlock(uuid) IS
  'Issuer. Ends the lock of a user and forgets the failures; the codes stay. Whether the user was locked. Errors: 22004, '
  '22021, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_unlock(user_id text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_unlock_text';
COMMENT ON FUNCTION @extschema@.backup_codes_unlock(text) IS
  'Issuer. Ends the lock of a user and forgets the failures; the codes stay. Whether the user was locked. Errors: 22004, '
  '22021, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_consume(user_id bigint, code text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_consume_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_consume(bigint, text) IS
  'Verifier. True exactly once for each code of the user''s active set, false for anything else, never NULL. Call it with '
  'bind parameters: a literal code can reach the server log. Arguments never raise; 25006 on a standby, 53200, and those '
  'of a key file: F0000, 55000, 58P01, 42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_consume(user_id uuid, code text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_consume_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_consume(uuid, text) IS
  'Verifier. True exactly once for each code of the user''s active set, false for anything else, never NULL. Call it with '
  'bind parameters: a literal code can reach the server log. Arguments never raise; 25006 on a standby, 53200, and those '
  'of a key file: F0000, 55000, 58P01, 42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_consume(user_id text, code text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_consume_text';
COMMENT ON FUNCTION @extschema@.backup_codes_consume(text, text) IS
  'Verifier. True exactly once for each code of the user''s active set, false for anything else, never NULL. Call it with '
  'bind parameters: a literal code can reach the server log. Arguments never raise; 25006 on a standby, 53200, and those '
  'of a key file: F0000, 55000, 58P01, 42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_attempt(user_id bigint, code text)
  RETURNS TABLE (status text, remaining integer, low boolean, retry_after integer, tries_left integer)
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 1
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_attempt_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_attempt(bigint, text) IS
  'Verifier. Consumes as backup_codes_consume does and says what happened: accepted, rejected, malformed, used, expired or '
  'locked. remaining and low are NULL unless accepted; retry_after, in seconds, is set when the user is or has just been locked; '
  'tries_left, how many more failures until the next lock, is NULL unless a failure was counted. '
  'Arguments never raise; 25006 on a standby, 53200, and those of a key file: F0000, 55000, 58P01, 42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_attempt(user_id uuid, code text)
  RETURNS TABLE (status text, remaining integer, low boolean, retry_after integer, tries_left integer)
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 1
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_attempt_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_attempt(uuid, text) IS
  'Verifier. Consumes as backup_codes_consume does and says what happened: accepted, rejected, malformed, used, expired or '
  'locked. remaining and low are NULL unless accepted; retry_after, in seconds, is set when the user is or has just been locked; '
  'tries_left, how many more failures until the next lock, is NULL unless a failure was counted. '
  'Arguments never raise; 25006 on a standby, 53200, and those of a key file: F0000, 55000, 58P01, 42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_attempt(user_id text, code text)
  RETURNS TABLE (status text, remaining integer, low boolean, retry_after integer, tries_left integer)
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 1
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_attempt_text';
COMMENT ON FUNCTION @extschema@.backup_codes_attempt(text, text) IS
  'Verifier. Consumes as backup_codes_consume does and says what happened: accepted, rejected, malformed, used, expired or '
  'locked. remaining and low are NULL unless accepted; retry_after, in seconds, is set when the user is or has just been locked; '
  'tries_left, how many more failures until the next lock, is NULL unless a failure was counted. '
  'Arguments never raise; 25006 on a standby, 53200, and those of a key file: F0000, 55000, 58P01, 42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_remaining(user_id bigint)
  RETURNS integer
  LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER COST 100
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_remaining_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_remaining(bigint) IS
  'Issuer, verifier. Unused codes of the user''s active, unexpired set; 0 for a user who has none. Works on a hot standby.';

CREATE FUNCTION @extschema@.backup_codes_remaining(user_id uuid)
  RETURNS integer
  LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER COST 100
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_remaining_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_remaining(uuid) IS
  'Issuer, verifier. Unused codes of the user''s active, unexpired set; 0 for a user who has none. Works on a hot standby.';

CREATE FUNCTION @extschema@.backup_codes_remaining(user_id text)
  RETURNS integer
  LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER COST 100
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_remaining_text';
COMMENT ON FUNCTION @extschema@.backup_codes_remaining(text) IS
  'Issuer, verifier. Unused codes of the user''s active, unexpired set; 0 for a user who has none. Works on a hot standby.';

CREATE FUNCTION @extschema@.backup_codes_status(user_id bigint)
  RETURNS TABLE (
    enabled boolean, remaining integer, total integer, low boolean, pending boolean, generated_at timestamptz,
    confirmed_at timestamptz, expires_at timestamptz, last_used_at timestamptz, locked_until timestamptz,
    used integer[])
  LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER COST 100 ROWS 1
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_status_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_status(bigint) IS
  'Issuer, verifier. What a settings page shows of a user, always one row; used holds the ordinals (1 to total) of the burned '
  'codes, ascending. Works on a hot standby.';

CREATE FUNCTION @extschema@.backup_codes_status(user_id uuid)
  RETURNS TABLE (
    enabled boolean, remaining integer, total integer, low boolean, pending boolean, generated_at timestamptz,
    confirmed_at timestamptz, expires_at timestamptz, last_used_at timestamptz, locked_until timestamptz,
    used integer[])
  LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER COST 100 ROWS 1
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_status_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_status(uuid) IS
  'Issuer, verifier. What a settings page shows of a user, always one row; used holds the ordinals (1 to total) of the burned '
  'codes, ascending. Works on a hot standby.';

CREATE FUNCTION @extschema@.backup_codes_status(user_id text)
  RETURNS TABLE (
    enabled boolean, remaining integer, total integer, low boolean, pending boolean, generated_at timestamptz,
    confirmed_at timestamptz, expires_at timestamptz, last_used_at timestamptz, locked_until timestamptz,
    used integer[])
  LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER COST 100 ROWS 1
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_status_text';
COMMENT ON FUNCTION @extschema@.backup_codes_status(text) IS
  'Issuer, verifier. What a settings page shows of a user, always one row; used holds the ordinals (1 to total) of the burned '
  'codes, ascending. Works on a hot standby.';

CREATE FUNCTION @extschema@.backup_codes_events_claim(max_events integer DEFAULT 100, lease_for interval DEFAULT '1 minute')
  RETURNS TABLE (
    event_id uuid, user_id text, kind text, reason text, at timestamptz, set_no integer, ordinal integer,
    remaining integer, low boolean, actor text, client_addr inet, context text, attempts integer, lease uuid)
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000 ROWS 100
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_events_claim';
COMMENT ON FUNCTION @extschema@.backup_codes_events_claim(integer, interval) IS
  'Mailer. Leases up to max_events waiting events, the oldest first, to nobody else for lease_for, a day at the most; then '
  'they can be claimed again. An event that was claimed 20 times is parked instead. Errors: 22004, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_events_ack(lease uuid, event_ids uuid[])
  RETURNS integer
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_events_ack';
COMMENT ON FUNCTION @extschema@.backup_codes_events_ack(uuid, uuid[]) IS
  'Mailer. Marks events of a lease as delivered; returns how many. Events that another mailer has claimed since are left '
  'alone. Errors: 22004, 25006.';

CREATE FUNCTION @extschema@.backup_codes_events_release(
  lease uuid, event_ids uuid[], delay interval, counts boolean DEFAULT true)
  RETURNS integer
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_events_release';
COMMENT ON FUNCTION @extschema@.backup_codes_events_release(uuid, uuid[], interval, boolean) IS
  'Mailer. Gives events of a lease back undelivered, to be claimed again after delay, from zero to a day; returns how many. '
  'counts: whether the try counts; false when nobody refused the event. The 20th try that counts parks it. Errors: 22004, '
  '22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_events_extend(lease uuid, event_ids uuid[], lease_for interval)
  RETURNS uuid
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_events_extend';
COMMENT ON FUNCTION @extschema@.backup_codes_events_extend(uuid, uuid[], interval) IS
  'Mailer. Keeps events of a lease for lease_for from now, a day at the most, under the lease that it returns; the old one '
  'no longer holds them. NULL when it held none of them. Errors: 22004, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_events_park(lease uuid, event_ids uuid[], reason text)
  RETURNS integer
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_events_park';
COMMENT ON FUNCTION @extschema@.backup_codes_events_park(uuid, uuid[], text) IS
  'Mailer. Sets events of a lease aside, until an operator calls backup_codes_events_unpark; returns how many. reason: why '
  'they cannot be delivered, cut to 200 bytes. Errors: 22004, 25006.';

CREATE FUNCTION @extschema@.backup_codes_events_backlog()
  RETURNS TABLE (waiting bigint, oldest_at timestamptz, delayed bigint, leased bigint, parked bigint)
  LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER COST 1000 ROWS 1
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_events_backlog';
COMMENT ON FUNCTION @extschema@.backup_codes_events_backlog() IS
  'Mailer. How many events are waiting, delayed, leased and parked, each counted to 10,000 at the most, and when the one that '
  'is claimed next happened. Works on a hot standby.';

CREATE FUNCTION @extschema@.backup_codes_events_unpark(event_ids uuid[] DEFAULT NULL, max_events integer DEFAULT 1000)
  RETURNS bigint
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_events_unpark';
COMMENT ON FUNCTION @extschema@.backup_codes_events_unpark(uuid[], integer) IS
  'Operator. Makes up to max_events parked events wait again, with all their tries: those that are named, or with NULL any, '
  'the oldest first; returns how many. Call it until it returns 0. Errors: 22004, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_forget_user()
  RETURNS trigger
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_forget_user';
COMMENT ON FUNCTION @extschema@.backup_codes_forget_user() IS
  'Registrar. Trigger function for the application''s users table, AFTER DELETE OR UPDATE FOR EACH ROW and BEFORE TRUNCATE: '
  'codes follow the user whose id stands in the named column; several columns are joined as by backup_codes_user_id. A deleted '
  'user loses account, codes and events; one whose key changes keeps them. Columns: smallint, integer, bigint, uuid, text, '
  'varchar, char, citext, and domains over them. Errors: 0A000, 22023, 23505, 39P01, 42703, 42804.';

CREATE FUNCTION @extschema@.backup_codes_forget_user(user_id bigint)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_forget_user_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_forget_user(bigint) IS
  'Registrar. Removes everything of a user: account, codes, pending set, lock and events. Whether there was anything. For a soft '
  'delete or a request for erasure; the trigger does it for a deleted row. Errors: 22004, 22021, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_forget_user(user_id uuid)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_forget_user_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_forget_user(uuid) IS
  'Registrar. Removes everything of a user: account, codes, pending set, lock and events. Whether there was anything. For a soft '
  'delete or a request for erasure; the trigger does it for a deleted row. Errors: 22004, 22021, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_forget_user(user_id text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_forget_user_text';
COMMENT ON FUNCTION @extschema@.backup_codes_forget_user(text) IS
  'Registrar. Removes everything of a user: account, codes, pending set, lock and events. Whether there was anything. For a soft '
  'delete or a request for erasure; the trigger does it for a deleted row. Errors: 22004, 22021, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_rename_user(old_id bigint, new_id bigint)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_rename_user_bigint';
COMMENT ON FUNCTION @extschema@.backup_codes_rename_user(bigint, bigint) IS
  'Registrar. Moves everything of a user to another key: account, codes, pending set, lock and events. Whether there was anything. '
  'The new key must have no set and no pending one; what else is left there is removed. Leases of the user''s events end. Errors: '
  '22004, 22021, 22023, 23505, 25006, and those of a key file: F0000, 55000, 58P01, 42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_rename_user(old_id uuid, new_id uuid)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_rename_user_uuid';
COMMENT ON FUNCTION @extschema@.backup_codes_rename_user(uuid, uuid) IS
  'Registrar. Moves everything of a user to another key: account, codes, pending set, lock and events. Whether there was anything. '
  'The new key must have no set and no pending one; what else is left there is removed. Leases of the user''s events end. Errors: '
  '22004, 22021, 22023, 23505, 25006, and those of a key file: F0000, 55000, 58P01, 42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_rename_user(old_id text, new_id text)
  RETURNS boolean
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_rename_user_text';
COMMENT ON FUNCTION @extschema@.backup_codes_rename_user(text, text) IS
  'Registrar. Moves everything of a user to another key: account, codes, pending set, lock and events. Whether there was anything. '
  'The new key must have no set and no pending one; what else is left there is removed. Leases of the user''s events end. Errors: '
  '22004, 22021, 22023, 23505, 25006, and those of a key file: F0000, 55000, 58P01, 42501, 58030.';

CREATE FUNCTION @extschema@.backup_codes_user_id(VARIADIC parts text[])
  RETURNS text
  LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10
  AS 'MODULE_PATHNAME', 'backup_codes_user_id_of_texts';
COMMENT ON FUNCTION @extschema@.backup_codes_user_id(text[]) IS
  'Issuer, verifier, registrar. The user id of a key of two parts or more: joined with a colon, colons and backslashes within a '
  'part escaped with a backslash. Parts: text, or what the trigger of backup_codes_forget_user reads: smallint, integer, bigint, '
  'uuid, varchar, char, citext, and domains over them. NULL when a part is NULL, or the id would be longer than 255 bytes. '
  'Errors: 22023, 42804.';

CREATE FUNCTION @extschema@.backup_codes_user_id(VARIADIC parts "any")
  RETURNS text
  LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10
  AS 'MODULE_PATHNAME', 'backup_codes_user_id';
COMMENT ON FUNCTION @extschema@.backup_codes_user_id("any") IS
  'Issuer, verifier, registrar. The user id of a key of two parts or more: joined with a colon, colons and backslashes within a '
  'part escaped with a backslash. Parts: text, or what the trigger of backup_codes_forget_user reads: smallint, integer, bigint, '
  'uuid, varchar, char, citext, and domains over them. NULL when a part is NULL, or the id would be longer than 255 bytes. '
  'Errors: 22023, 42804.';

CREATE FUNCTION @extschema@.backup_codes_revoke_all(issued_before timestamptz DEFAULT now(), max_users integer DEFAULT 1000)
  RETURNS bigint
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_revoke_all';
COMMENT ON FUNCTION @extschema@.backup_codes_revoke_all(timestamptz, integer) IS
  'Operator. Removes every set, active or pending, that was made before the given time, for up to max_users users; returns '
  'how many users lost one. Call it until it returns 0. Errors: 22004, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_purge(
  older_than interval DEFAULT '90 days', undelivered boolean DEFAULT false, max_users integer DEFAULT 1000)
  RETURNS bigint
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER COST 10000
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_purge';
COMMENT ON FUNCTION @extschema@.backup_codes_purge(interval, boolean, integer) IS
  'Operator. Removes what has been dead for longer than older_than, for up to max_users users: expired sets, abandoned '
  'pending sets, history and delivered events (with undelivered also those still waiting) and accounts that hold nothing; '
  'returns how many users lost something. Call it until it returns 0. Errors: 22004, 22023, 25006.';

CREATE FUNCTION @extschema@.backup_codes_keys()
  RETURNS TABLE (key_id integer, loaded boolean, current boolean, users bigint, key_check text)
  LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER COST 10000 ROWS 2
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_keys';
COMMENT ON FUNCTION @extschema@.backup_codes_keys() IS
  'Operator. The keys that the key file holds or that sets need, never their values: whether the file holds it, whether '
  'new sets take it, how many users have sets that need it, and a check value of the key that is loaded, in hexadecimal: '
  'equal on two servers that hold the same key.';

CREATE FUNCTION @extschema@.backup_codes_doctor()
  RETURNS TABLE (check_name text, status text, detail text, hint text)
  LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER COST 10000 ROWS 25
  SET search_path = pg_catalog, backup_codes, pg_temp
  AS 'MODULE_PATHNAME', 'backup_codes_doctor';
COMMENT ON FUNCTION @extschema@.backup_codes_doctor() IS
  'Operator. What should be looked after, a row for each check, always the same ones in the same order: status ok, warning '
  'or problem, what was found, and what to paste to put it right. Reads only; works on a hot standby.';
