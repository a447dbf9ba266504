// node-postgres as an application uses it. Connects to what PGHOST, PGUSER and PGDATABASE say.
"use strict";

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { randomUUID } = require("node:crypto");
const { Client } = require("pg");

async function column(client, text, ...values) {
  const { rows } = await client.query({ text, values, rowMode: "array" });
  return rows.map((row) => row[0]);
}

const tests = {
  async "integer user is enrolled and spends a code once"(client) {
    const userId = 42;
    const codes = await column(client, "SELECT backup_codes_generate($1::bigint)", userId);
    assert.equal(new Set(codes).size, 10);
    const consume = "SELECT backup_codes_consume($1::bigint, $2)";
    assert.deepEqual(await column(client, consume, userId, codes[0]), [true]);
    assert.deepEqual(await column(client, consume, userId, codes[0]), [false]);
    const attempt = "SELECT * FROM backup_codes_attempt($1::bigint, $2)";
    const first = await client.query(attempt, [userId, codes[1]]);
    assert.deepEqual(first.rows, [{ status: "accepted", remaining: 8, low: false, retry_after: null, tries_left: null }]);
    const second = await client.query(attempt, [userId, codes[1]]);
    assert.deepEqual(second.rows, [{ status: "used", remaining: null, low: null, retry_after: null, tries_left: null }]);
    assert.deepEqual(await column(client, "SELECT backup_codes_remaining($1::bigint)", userId), [8]);
  },

  // node-postgres sends every parameter as text of no type, so $1 resolves to text: 42 and '42' are one user.
  async "number without a cast is the same user"(client) {
    const codes = await column(client, "SELECT backup_codes_generate($1)", 42);
    const consume = "SELECT backup_codes_consume($1, $2)";
    for (const userId of [42, "42", 42n]) {
      assert.deepEqual(await column(client, consume, userId, codes.pop()), [true]);
      assert.deepEqual(await column(client, "SELECT backup_codes_consume($1::bigint, $2)", userId, codes.pop()), [true]);
    }
  },

  // What JavaScript prints for a number is not always an integer. Without the cast it is silently another user.
  async "cast catches what is no integer"(client) {
    for (const userId of [1e21, 0.1 + 0.2, "042x", "user"]) {
      assert.equal((await column(client, "SELECT backup_codes_generate($1)", userId)).length, 10);
      const code = /^22P02|22003$/;
      await assert.rejects(column(client, "SELECT backup_codes_generate($1::bigint)", userId), { code });
    }
    const codes = await column(client, "SELECT backup_codes_generate($1::bigint)", 42);
    assert.deepEqual(await column(client, "SELECT backup_codes_consume($1, $2)", "042", codes[0]), [false]);
    assert.deepEqual(await column(client, "SELECT backup_codes_consume($1::bigint, $2)", "042", codes[0]), [true]);
  },

  async "uuid user is its canonical text"(client) {
    const userId = randomUUID();
    const codes = await column(client, "SELECT backup_codes_generate($1::uuid)", userId);
    const capitals = userId.toUpperCase();
    assert.deepEqual(await column(client, "SELECT backup_codes_consume($1::uuid, $2)", capitals, codes[0]), [true]);
    // Without the cast it is text, compared byte for byte.
    assert.deepEqual(await column(client, "SELECT backup_codes_consume($1, $2)", userId, codes[1]), [true]);
    assert.deepEqual(await column(client, "SELECT backup_codes_consume($1, $2)", capitals, codes[2]), [false]);
  },

  async "text user may have any characters"(client) {
    const userId = "acme:zoë";
    const codes = await column(client, "SELECT backup_codes_generate($1)", userId);
    assert.deepEqual(await column(client, "SELECT backup_codes_consume($1, $2)", userId, codes[0]), [true]);
    assert.deepEqual(await column(client, "SELECT backup_codes_remaining($1)", userId), [9]);
  },

  async "null and undefined are false"(client) {
    const consume = "SELECT backup_codes_consume($1::bigint, $2)";
    assert.deepEqual(await column(client, consume, null, null), [false]);
    assert.deepEqual(await column(client, consume, 42, undefined), [false]);
  },

  async "named statement goes on working"(client) {
    const codes = await column(client, "SELECT backup_codes_generate($1::bigint)", 42);
    const text = "SELECT backup_codes_consume($1::bigint, $2) AS accepted";
    for (const code of codes) {
      const { rows } = await client.query({ name: "consume", text, values: [42, code] });
      assert.deepEqual(rows, [{ accepted: true }]);
    }
  },

  async "code is not part of the statement"(client, other) {
    const codes = await column(client, "SELECT backup_codes_generate($1::bigint)", 42);
    const [pid] = await column(client, "SELECT pg_backend_pid()");
    const consume = "SELECT backup_codes_consume($1::bigint, $2)";
    await column(client, consume, 42, codes[0]);
    assert.deepEqual(await column(other, "SELECT query FROM pg_stat_activity WHERE pid = $1", pid), [consume]);
  },

  async "notification is heard at commit"(client, other) {
    const heard = [];
    other.on("notification", ({ payload }) => heard.push(JSON.parse(payload)));
    await other.query("LISTEN backup_codes");
    await client.query("BEGIN");
    await column(client, "SELECT backup_codes_generate($1::bigint)", 44);
    await other.query("SELECT 1");
    assert.deepEqual(heard, []);
    await client.query("COMMIT");
    if (heard.length === 0) await once(other, "notification", { signal: AbortSignal.timeout(30_000) });
    const [{ event, user_id, remaining }] = heard;
    assert.deepEqual({ event, user_id, remaining }, { event: "generated", user_id: "44", remaining: 10 });
  },
};

async function main() {
  for (const [name, test] of Object.entries(tests)) {
    const [client, other] = [new Client(), new Client()];
    try {
      await client.connect();
      await other.connect();
      await test(client, other);
      console.log("ok node-postgres", name);
    } catch (error) {
      process.exitCode = 1;
      console.log("not ok node-postgres", name);
      console.log(error);
    } finally {
      await Promise.allSettled([client.end(), other.end()]);
    }
  }
  console.log(`# node-postgres ${require("pg/package.json").version}, Node.js ${process.versions.node}`);
}

main();
