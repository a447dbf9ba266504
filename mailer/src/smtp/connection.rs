//! A connection to the mail server, and the dialogue for one mail.

use std::time::Duration;

use mail_send::SmtpClient;
use smtp_proto::{EXT_DSN, EXT_PIPELINING, EXT_SMTP_UTF8, EhloResponse, Response};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::fault::{Fault, Stage, What};
use super::replies::{Replies, within};
use crate::address::Address;

/// For each of MAIL and RCPT (RFC 5321 §4.5.3.2 allows more, to servers that are not one's own).
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// For DATA, and for the mail itself.
const DATA_TIMEOUT: Duration = Duration::from_secs(60);
/// For the server's answer to QUIT.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// What a connection runs over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection that is ready for mail.
pub struct Connection {
    client: SmtpClient<BufWriter<Box<dyn Stream>>>,
    replies: Replies,
    pipelining: bool,
    dsn: bool,
    utf8: bool,
    final_timeout: Duration,
    opened: Instant,
    mails: u32,
}

/// Who a mail is from and to.
pub struct Envelope<'a> {
    pub from: &'a Address,
    pub to: &'a Address,
    /// What a bounce names.
    pub id: Uuid,
}

impl Connection {
    pub fn new(
        client: SmtpClient<BufWriter<Box<dyn Stream>>>,
        offers: &EhloResponse<String>,
        final_timeout: Duration,
    ) -> Self {
        Self {
            client,
            replies: Replies::default(),
            pipelining: offers.has_capability(EXT_PIPELINING),
            dsn: offers.has_capability(EXT_DSN),
            utf8: offers.has_capability(EXT_SMTP_UTF8),
            final_timeout,
            opened: Instant::now(),
            mails: 0,
        }
    }

    /// For how long it has been open.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// How many mails it has carried.
    pub fn mails(&self) -> u32 {
        self.mails
    }

    /// Sends one mail. Ok: the server has taken it, with what it says. After a fault that breaks it, the connection must be
    /// thrown away.
    pub async fn send(&mut self, envelope: &Envelope<'_>, mail: &[u8]) -> Result<Response<String>, Fault> {
        if !self.replies.is_quiet(&mut self.client.stream).await {
            return Err(Fault::new(Stage::Mail, What::Closed));
        }
        let commands = self.commands(envelope)?;
        self.mails += 1;
        if self.pipelining {
            self.write(Stage::Mail, &commands.concat(), COMMAND_TIMEOUT).await?;
            let deadline = within(DATA_TIMEOUT);
            let from = self.reply(Stage::Mail, deadline).await?;
            let to = self.reply(Stage::Rcpt, deadline).await;
            // A server that gives up after a refusal still has refused.
            if from.code / 100 != 2 {
                return self.refused(Fault::reply(Stage::Mail, &from)).await;
            }
            let to = to?;
            if to.code / 100 != 2 {
                return self.refused(Fault::reply(Stage::Rcpt, &to)).await;
            }
            let data = self.reply(Stage::Data, deadline).await?;
            if data.code != 354 {
                return self.refused(Fault::reply(Stage::Data, &data)).await;
            }
        } else {
            let stages = [(Stage::Mail, COMMAND_TIMEOUT), (Stage::Rcpt, COMMAND_TIMEOUT), (Stage::Data, DATA_TIMEOUT)];
            for (command, (stage, time)) in commands.iter().zip(stages) {
                self.write(stage, command, time).await?;
                let reply = self.reply(stage, within(time)).await?;
                let wanted = if stage == Stage::Data { reply.code == 354 } else { reply.code / 100 == 2 };
                if !wanted {
                    let fault = Fault::reply(stage, &reply);
                    self.reset(&fault).await?;
                    return Err(fault);
                }
            }
        }
        // As long as not all of it is on its way, the server cannot have taken it; nobody can say when that is, so that a failure
        // from here on counts as unknown.
        let written = timeout_at(within(DATA_TIMEOUT), self.client.write_message(mail)).await;
        match written {
            Err(_) => return Err(Fault::new(Stage::Dot, What::Timeout)),
            Ok(Err(error)) => return Err(Fault::new(Stage::Dot, What::Failed(error.to_string()))),
            Ok(Ok(())) => {}
        }
        let reply = self.reply(Stage::Dot, within(self.final_timeout)).await?;
        if reply.code / 100 == 2 { Ok(reply) } else { Err(Fault::reply(Stage::Dot, &reply)) }
    }

    /// Whether the server would take mail from this sender.
    pub async fn probe(&mut self, from: &Address) -> Result<(), Fault> {
        self.write(Stage::Mail, &format!("MAIL FROM:<{}>\r\n", from.as_str()), COMMAND_TIMEOUT).await?;
        let reply = self.reply(Stage::Mail, within(COMMAND_TIMEOUT)).await?;
        if reply.code / 100 != 2 {
            return Err(Fault::reply(Stage::Mail, &reply));
        }
        self.write(Stage::Mail, "RSET\r\n", COMMAND_TIMEOUT).await?;
        self.reply(Stage::Mail, within(COMMAND_TIMEOUT)).await.map(|_| ())
    }

    /// Says goodbye.
    pub async fn quit(mut self) {
        let farewell = async {
            self.write(Stage::Mail, "QUIT\r\n", QUIT_TIMEOUT).await?;
            self.reply(Stage::Mail, within(QUIT_TIMEOUT)).await
        };
        let _ = timeout(QUIT_TIMEOUT, farewell).await;
    }

    fn commands(&self, envelope: &Envelope<'_>) -> Result<[String; 3], Fault> {
        let utf8 = envelope.to.needs_utf8();
        if utf8 && !self.utf8 {
            return Err(Fault::new(Stage::Mail, What::Missing("SMTPUTF8")));
        }
        let mut from = format!("MAIL FROM:<{}>", envelope.from.as_str());
        let mut to = format!("RCPT TO:<{}>", envelope.to.as_str());
        if utf8 {
            from.push_str(" SMTPUTF8");
        }
        if self.dsn {
            from.push_str(&format!(" RET=HDRS ENVID={}", envelope.id));
            to.push_str(" NOTIFY=FAILURE");
        }
        Ok([from + "\r\n", to + "\r\n", "DATA\r\n".to_owned()])
    }

    async fn write(&mut self, stage: Stage, command: &str, time: Duration) -> Result<(), Fault> {
        let writing = async {
            self.client.stream.write_all(command.as_bytes()).await?;
            self.client.stream.flush().await
        };
        match timeout(time, writing).await {
            Err(_) => Err(Fault::new(stage, What::Timeout)),
            Ok(result) => result.map_err(|error| Fault::new(stage, What::Failed(error.to_string()))),
        }
    }

    async fn reply(&mut self, stage: Stage, deadline: Instant) -> Result<Response<String>, Fault> {
        self.replies.next(&mut self.client.stream, deadline).await.map_err(|what| Fault::new(stage, what))
    }

    /// Ends a pipelined dialogue after a refusal: the replies that are still to come are read, and where the server waits for a
    /// mail all the same, it gets an empty one (RFC 2920 §3.1), which has no recipient.
    async fn refused(&mut self, fault: Fault) -> Result<Response<String>, Fault> {
        if fault.breaks() {
            return Err(fault);
        }
        // The reply to RCPT was read in any case; where it failed, so does this.
        let deadline = within(DATA_TIMEOUT);
        if fault.stage < Stage::Data {
            let data = match self.reply(Stage::Data, deadline).await {
                Ok(data) => data,
                Err(_) => return Err(self.spoil(fault)),
            };
            if data.code == 354 {
                let ended = self.write(Stage::Data, ".\r\n", DATA_TIMEOUT).await;
                if ended.is_err() || self.reply(Stage::Data, deadline).await.is_err() {
                    return Err(self.spoil(fault));
                }
            }
        }
        self.reset(&fault).await?;
        Err(fault)
    }

    /// Makes the server forget a mail that was refused half-way.
    async fn reset(&mut self, fault: &Fault) -> Result<(), Fault> {
        if fault.breaks() {
            return Ok(());
        }
        let reset = async {
            self.write(Stage::Mail, "RSET\r\n", COMMAND_TIMEOUT).await?;
            self.reply(Stage::Mail, within(COMMAND_TIMEOUT)).await
        };
        if !matches!(reset.await, Ok(reply) if reply.code / 100 == 2) {
            self.spoil(fault.clone());
        }
        Ok(())
    }

    /// Makes sure that nobody uses the connection again: the fault itself says nothing of it.
    fn spoil(&mut self, fault: Fault) -> Fault {
        self.mails = u32::MAX;
        fault
    }
}
