"""The parts of a run by name, in the order in which they run."""

from . import attempts, bulk, consume, outbox, slow_hash, storage

SHORT = {
    "right": consume.right,
    "processor": consume.processor,
    "wrong": attempts.wrong,
    "malformed": attempts.malformed,
    "read": attempts.read,
    "notify": outbox.notify,
    "drain": outbox.drain,
    "framework": slow_hash.framework,
    "bulk": bulk.bulk,
    "connect": attempts.connect,
    "disk": storage.disk,
    "wal": storage.wal,
    "paths": slow_hash.paths,
    "strangers": attempts.strangers,
}
LONG = {
    "clients": consume.clients,
    "size": consume.size,
    "partitions": consume.partitions,
    "drain_delivered": outbox.drain_delivered,
    "enrol": bulk.enrol,
}
