"""psycopg 3 as an application uses it. Connects to what PGHOST, PGUSER and PGDATABASE say."""

import json
import sys
import traceback
import uuid

import psycopg

TESTS = []


def test(function):
    TESTS.append(function)
    return function


def connect():
    return psycopg.connect(autocommit=True)


def column(connection, sql, *parameters):
    return [row[0] for row in connection.execute(sql, parameters)]


@test
def integer_user_is_enrolled_and_spends_a_code_once(connection):
    user_id = 42
    codes = column(connection, "SELECT backup_codes_generate(%s)", user_id)
    assert len(set(codes)) == 10, codes
    assert column(connection, "SELECT backup_codes_consume(%s, %s)", user_id, codes[0]) == [True]
    assert column(connection, "SELECT backup_codes_consume(%s, %s)", user_id, codes[0]) == [False]
    row = connection.execute("SELECT * FROM backup_codes_attempt(%s, %s)", (user_id, codes[1])).fetchone()
    assert row == ("accepted", 8, False, None, None), row
    row = connection.execute("SELECT * FROM backup_codes_attempt(%s, %s)", (user_id, codes[1])).fetchone()
    assert row == ("used", None, None, None, None), row
    assert column(connection, "SELECT backup_codes_remaining(%s)", user_id) == [8]


@test
def integers_of_every_size_reach_the_bigint_overload_without_a_cast(connection):
    # psycopg sends an int with the smallest type that holds it.
    for user_id, sent_as in (7, "smallint"), (70_000, "integer"), (7_000_000_000, "bigint"):
        assert column(connection, "SELECT pg_typeof(%s)::text", user_id) == [sent_as]
        codes = column(connection, "SELECT backup_codes_generate(%s)", user_id)
        # One user, however the number is passed.
        for same in user_id, str(user_id):
            assert column(connection, "SELECT backup_codes_consume(%s, %s)", same, codes.pop()) == [True]
        sql = "SELECT backup_codes_consume(%s::bigint, %s)"
        assert column(connection, sql, user_id, codes.pop()) == [True]


@test
def integer_beyond_bigint_is_refused(connection):
    # It is sent as numeric, for which there is no function.
    try:
        column(connection, "SELECT backup_codes_consume(%s, %s)", 2**63, "x")
    except psycopg.errors.UndefinedFunction:
        return
    raise AssertionError("no error")


@test
def uuid_user_is_its_canonical_text(connection):
    user_id = uuid.uuid4()
    codes = column(connection, "SELECT backup_codes_generate(%s)", user_id)
    assert column(connection, "SELECT backup_codes_consume(%s, %s)", user_id, codes[0]) == [True]
    assert column(connection, "SELECT backup_codes_consume(%s, %s)", str(user_id), codes[1]) == [True]
    # A str is text, compared byte for byte: in capitals it is another user.
    assert column(connection, "SELECT backup_codes_consume(%s, %s)", str(user_id).upper(), codes[2]) == [False]
    sql = "SELECT backup_codes_consume(%s::uuid, %s)"
    assert column(connection, sql, str(user_id).upper(), codes[2]) == [True]


@test
def text_user_may_have_any_characters(connection):
    user_id = "acme:zoë"
    codes = column(connection, "SELECT backup_codes_generate(%s)", user_id)
    assert column(connection, "SELECT backup_codes_consume(%s, %s)", user_id, codes[0]) == [True]
    assert column(connection, "SELECT backup_codes_remaining(%s)", user_id) == [9]


@test
def null_is_false(connection):
    assert column(connection, "SELECT backup_codes_consume(%s, %s)", None, None) == [False]


@test
def statement_that_is_prepared_automatically_goes_on_working(connection):
    # From the sixth time on psycopg prepares a statement.
    codes = column(connection, "SELECT backup_codes_generate(%s)", 42)
    for code in codes:
        assert column(connection, "SELECT backup_codes_consume(%s, %s)", 42, code) == [True]
    assert column(connection, "SELECT backup_codes_remaining(%s)", 42) == [0]


@test
def code_is_not_part_of_the_statement(connection):
    codes = column(connection, "SELECT backup_codes_generate(%s)", 42)
    column(connection, "SELECT backup_codes_consume(%s, %s)", 42, codes[0])
    sql = "SELECT query FROM pg_stat_activity WHERE pid = %s"
    with connect() as other:
        assert column(other, sql, connection.info.backend_pid) == ["SELECT backup_codes_consume($1, $2)"]
        # A client-side cursor writes the parameters into the statement: it must not be used.
        psycopg.ClientCursor(connection).execute("SELECT backup_codes_consume(%s, %s)", (42, codes[1]))
        assert codes[1] in column(other, sql, connection.info.backend_pid)[0]


@test
def notification_is_heard_at_commit(connection):
    with connect() as listener:
        listener.execute("LISTEN backup_codes")
        with connection.transaction():
            column(connection, "SELECT backup_codes_generate(%s)", 43)
            assert list(listener.notifies(timeout=0)) == []
        (notification,) = listener.notifies(timeout=30, stop_after=1)
        event = json.loads(notification.payload)
        assert (event["event"], event["user_id"], event["remaining"]) == ("generated", "43", 10), event


def main():
    failed = 0
    for function in TESTS:
        name = "psycopg " + function.__name__.replace("_", " ")
        try:
            with connect() as connection:
                function(connection)
            print("ok", name)
        except Exception:
            failed += 1
            print("not ok", name)
            traceback.print_exc(file=sys.stdout)
    print(f"# psycopg {psycopg.__version__}, Python {sys.version.split()[0]}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
