//! What could come back after it was acknowledged.

use super::logging::{Leak, judge};
use super::sessions::setting;
use super::{Check, Scene, Status, Verdict, alter_system, counted};
use crate::pg::error::Result;
use crate::store::statement::{Statement, statement};

pub const CHECKS: &[Check] = &[SYNCHRONOUS_COMMIT, Check { name: "synchronous_standby", examine: synchronous_standby }];

/// Our own functions wait for the disk, and with off for the synchronous standby, all the same.
const SYNCHRONOUS_COMMIT: Check = Check {
    name: "synchronous_commit",
    examine: |scene| {
        Ok(judge(
            scene,
            &["synchronous_commit", "synchronous_standby_names"],
            "commits wait for what they promise",
            |values| {
                let level = values.word("synchronous_commit");
                let off = ["off", "false", "no", "0"].contains(&level.as_str());
                let local =
                    level == "local" && values.get("synchronous_standby_names").is_some_and(|names| !names.is_empty());
                (off || local).then(|| Leak {
            status: Status::Warning,
            detail: if off {
                "synchronous_commit = off: a crash takes back what an application committed after a code was burned, though not the burning"
            } else {
                "synchronous_commit = local: a failover can bring a burned code back"
            }
            .into(),
            name: "synchronous_commit",
            value: "on",
        })
            },
        ))
    },
};

statement! {
    /// A subscriber of logical replication is no standby.
    ReadReplication: Everything, Callers
    ()
    ["SELECT "]
    => Replication { recovery: bool = "pg_is_in_recovery()", standbys: i64 = "count(*)" }
    [" FROM pg_stat_replication AS r
      WHERE r.state = 'streaming'
        AND NOT EXISTS (SELECT FROM pg_replication_slots AS s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')"]
}

fn synchronous_standby(_: &Scene) -> Result<Verdict> {
    let replication = ReadReplication {}.first()?;
    let (recovery, standbys) = replication.map_or((false, 0), |row| (row.recovery, row.standbys));
    if recovery {
        return Ok(Verdict::ok("this server is a standby"));
    }
    if standbys == 0 {
        return Ok(Verdict::ok("no standby streams from this server"));
    }
    let streaming = format!("streaming to {}", counted(standbys, "standby"));
    if setting("synchronous_standby_names").is_some_and(|names| !names.is_empty()) {
        return Ok(Verdict::ok(format!("{streaming}, and commits wait for a synchronous one")));
    }
    Ok(Verdict::warning(
        format!("{streaming}, none of them synchronous: a failover can bring a burned code back"),
        alter_system("synchronous_standby_names", "'ANY 1 (*)'"),
    ))
}
