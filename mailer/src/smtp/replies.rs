//! Replies of the server, one at a time. Bytes that come behind a reply are kept: with pipelining they are the next one, and
//! where no other was asked for, they mean that the two sides no longer agree on where they are.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use smtp_proto::Response;
use smtp_proto::response::parser::ResponseReceiver;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::fault::What;

/// What was read and not yet taken.
#[derive(Default)]
pub struct Replies {
    bytes: Vec<u8>,
}

impl Replies {
    /// The next reply, before the deadline.
    pub async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        deadline: Instant,
    ) -> Result<Response<String>, What> {
        let mut parser = ResponseReceiver::default();
        loop {
            let mut rest = self.bytes.iter();
            let parsed = parser.parse(&mut rest);
            let left = rest.len();
            self.bytes.drain(..self.bytes.len() - left);
            match parsed {
                Ok(reply) => return Ok(reply),
                Err(smtp_proto::Error::NeedsMoreData { .. }) => {}
                Err(_) => return Err(What::Garbage),
            }
            let mut buffer = [0; 1024];
            match timeout_at(deadline, stream.read(&mut buffer)).await {
                Err(_) => return Err(What::Timeout),
                Ok(Err(error)) => return Err(What::Failed(error.to_string())),
                Ok(Ok(0)) => return Err(What::Closed),
                Ok(Ok(count)) => self.bytes.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Whether the server has said anything that nobody asked for, or is gone: without waiting.
    pub async fn is_quiet(&self, stream: &mut (impl AsyncRead + Unpin)) -> bool {
        if !self.bytes.is_empty() {
            return false;
        }
        std::future::poll_fn(|context| {
            let mut byte = [0];
            let mut buffer = ReadBuf::new(&mut byte);
            Poll::Ready(Pin::new(&mut *stream).poll_read(context, &mut buffer).is_pending())
        })
        .await
    }
}

/// A deadline from now.
pub fn within(time: Duration) -> Instant {
    Instant::now() + time
}
