//! A worker's two pipes, each with a thread of its own.

use std::io::{BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use super::frame::{self, Said};

/// Writes frames: a worker that does not read must not block the parent.
pub(super) fn write_requests(mut to: ChildStdin) -> Sender<Vec<u8>> {
    let (sender, requests) = channel::<Vec<u8>>();
    std::thread::spawn(move || {
        for bytes in requests {
            if to.write_all(&bytes).and_then(|()| to.flush()).is_err() {
                return;
            }
        }
    });
    sender
}

/// Reads frames, a few ahead.
pub(super) fn read_replies(stdout: Option<ChildStdout>) -> Receiver<std::io::Result<Option<Said>>> {
    const AHEAD: usize = 16;
    let (sender, replies) = sync_channel(AHEAD);
    std::thread::spawn(move || {
        let Some(mut from) = stdout.map(BufReader::new) else {
            return;
        };
        loop {
            let said = frame::read_said(&mut from);
            let last = !matches!(said, Ok(Some(_)));
            if sender.send(said).is_err() || last {
                return;
            }
        }
    });
    replies
}
