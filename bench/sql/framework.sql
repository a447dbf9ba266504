-- Framework style: ten salted bcrypt hashes a user, looped over until one matches. The user's id is the cost.
CREATE SCHEMA framework;
CREATE TABLE framework.code (user_id bigint, ordinal smallint, hash text, PRIMARY KEY (user_id, ordinal));
INSERT INTO framework.code
SELECT cost, o, crypt((10000000 + o)::text, gen_salt('bf', cost))
  FROM unnest(ARRAY[10, 12]) AS cost, generate_series(1, 10) AS o;

CREATE FUNCTION framework.consume(whose bigint, typed text) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
  stored record;
BEGIN
  FOR stored IN SELECT ordinal, hash FROM framework.code WHERE user_id = whose ORDER BY ordinal FOR UPDATE LOOP
    IF crypt(typed, stored.hash) = stored.hash THEN
      DELETE FROM framework.code WHERE user_id = whose AND ordinal = stored.ordinal;
      RETURN true;
    END IF;
  END LOOP;
  RETURN false;
END
$$;
